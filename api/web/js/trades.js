// The trades of the selected symbol: newest first, bounded, holes as lines of their own, broken ones struck out, large ones known.
// Draws nothing and asks nothing.

/** Trades kept for the tape. */
export const TRADES_MAX = 400;
/** A trade is large when at most so many of the trades before it, out of so many, were as large. */
const LARGE_RANK = 2;
const LARGE_WINDOW = 120;
const LARGE_WINDOW_MIN = 30;

export class Trades {
  list = [];
  total = 0;
  /** Grows when `list` was replaced and not only added to. */
  version = 0;
  #window = [];

  reset() {
    this.list = [];
    this.total = 0;
    this.version++;
    this.#window = [];
  }

  /**
   * Takes a frame of the channel `trades`. `outage` is what was not seen before it (`{kind, from, to}`, milliseconds), or null;
   * `reason` names a hole that has no outage; `arrivedMs` is when the page got it, for trades that are new.
   */
  take(frame, outage, reason, arrivedMs) {
    let incoming = frame.trades;
    if (frame.type === 'snapshot') {
      // A snapshot replaces; but trades are facts with numbers, so what is older than it stays and a hole is shown.
      const first = incoming[0]?.seq;
      const known = this.list.filter((trade) => !trade.hole && trade.epoch === frame.epoch);
      if (first === undefined || known.length === 0) {
        this.reset();
        if (outage !== null) this.note({ ...outage, missing: true });
      } else if (known[0].seq >= first) {
        incoming = incoming.filter((trade) => trade.seq > known[0].seq);
        if (outage !== null) this.note({ ...outage, missing: false });
      } else {
        this.note({ reason, ...outage, missing: true });
      }
    }
    for (const trade of incoming) this.#add(trade, frame.epoch, frame.type === 'update' ? arrivedMs : null);
  }

  /** A line between two trades: what lies there was not seen. */
  note(hole) {
    this.#put({ hole: true, ...hole });
  }

  #add(trade, epoch, arrivedMs) {
    if (trade.conditions.includes('broken')) {
      for (const known of this.list) if (known.match_id === trade.match_id) known.broken = true;
      this.version++;
      return;
    }
    const quantity = BigInt(trade.quantity);
    Object.assign(trade, { epoch, arrivedMs, broken: false, large: this.#isLarge(quantity) });
    this.#window.push(quantity);
    if (this.#window.length > LARGE_WINDOW) this.#window.shift();
    this.#put(trade);
  }

  #put(line) {
    this.list.unshift(line);
    this.total++;
    if (this.list.length > TRADES_MAX) this.list.pop();
  }

  #isLarge(quantity) {
    if (this.#window.length < LARGE_WINDOW_MIN) return false;
    let larger = 0;
    for (const other of this.#window) if (other >= quantity && ++larger > LARGE_RANK) return false;
    return true;
  }
}
