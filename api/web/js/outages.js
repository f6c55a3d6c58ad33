// The times in which the page saw nothing: no connection, or a feed that was silent. Bounded; draws nothing.
// Page times are milliseconds of the server's clock; exchange times nanoseconds since 1970 as text, null where not known.

const OUTAGES_KEPT = 20;

export class Outages {
  /** Oldest first: `{kind: 'lost' | 'stale', from, to, exchangeFrom, exchangeTo, anew}`; `to` is null while it lasts. */
  list = [];
  /** Grows with each change. */
  version = 0;
  /** The newest exchange time of any frame of this epoch. */
  #newest = null;
  /** Ended, but the tape has not been told. */
  #untold = null;

  get open() {
    const last = this.list.at(-1);
    return last !== undefined && last.to === null ? last : null;
  }

  /** Something is missing from now on; a lost connection goes over a silent feed. */
  begin(kind, nowMs) {
    const { open } = this;
    if (open !== null) {
      if (kind === 'lost') open.kind = kind;
      return;
    }
    this.list.push({ kind, from: nowMs, to: null, exchangeFrom: this.#newest, exchangeTo: null, anew: false });
    if (this.list.length > OUTAGES_KEPT) this.list.shift();
    this.version++;
  }

  /** Data comes again. Returns the outage that ended, or null. */
  end(nowMs) {
    const { open } = this;
    if (open === null) return null;
    open.to = nowMs;
    this.#untold = open;
    this.version++;
    return open;
  }

  /** Whatever the market shows belongs to another epoch from now on. */
  newEpoch() {
    const last = this.list.at(-1);
    // Outages between candles that are forgotten have no place any more; the one that led here has.
    for (const outage of this.list) if (outage !== last || outage.exchangeTo !== null) outage.exchangeFrom = null;
    if (last !== undefined && last.exchangeTo === null) last.anew = true;
    this.#newest = null;
    this.version++;
  }

  /** An exchange time was seen: the first one after an outage is its end on the exchange's clock. */
  at(exchangeNs) {
    if (typeof exchangeNs !== 'string') return;
    if (this.#newest === null || isAfter(exchangeNs, this.#newest)) this.#newest = exchangeNs;
    const last = this.list.at(-1);
    if (last !== undefined && last.to !== null && last.exchangeTo === null) {
      last.exchangeTo = exchangeNs;
      this.version++;
    }
  }

  /** The outage that ended and that the tape has not shown yet, once. */
  take() {
    const outage = this.#untold;
    this.#untold = null;
    return outage;
  }

  /**
   * Parts of the exchange's day in which candles may be missing, `{from, to}` in seconds. A lost connection to a server that
   * went on leaves none, for its snapshot fills them; a new day that begins before the old one's end leaves none either.
   */
  get holes() {
    return this.list
      .filter(({ kind, anew, exchangeFrom, exchangeTo }) => (kind === 'stale' || anew) && exchangeFrom !== null && exchangeTo !== null && isAfter(exchangeTo, exchangeFrom))
      .map(({ exchangeFrom, exchangeTo }) => ({ from: seconds(exchangeFrom), to: seconds(exchangeTo) }));
  }
}

const isAfter = (left, right) => left.length > right.length || (left.length === right.length && left > right);
const seconds = (nanos) => Number(nanos.slice(0, -9) || '0');
