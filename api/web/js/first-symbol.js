// Which symbol a visit begins with: that of the address, or of the last visit, or else the busiest. Draws nothing.

/** How long a symbol from the address or the last visit is waited for before another one is shown. */
export const WISH_WAIT_MS = 1_500;
/** How long the list is given to fill before the busiest of it is chosen. */
export const LIST_WAIT_MS = 400;

export class FirstSymbol {
  #market;
  #addressed;
  #wished;
  #choose;
  #later;
  #timer = null;

  /** `addressed` and `remembered` are names, '' for none; `choose(symbol)` shows one; `later(work, ms)` is `setTimeout`. */
  constructor(market, { addressed, remembered, choose, later = (work, ms) => setTimeout(work, ms) }) {
    this.#market = market;
    this.#addressed = addressed;
    this.#wished = addressed || remembered;
    this.#choose = choose;
    this.#later = later;
  }

  /** The ticker of a name: the exchange's own name means the same share. */
  known(name) {
    const { rows } = this.#market;
    if (rows.has(name)) return name;
    for (const row of rows.values()) if (row.exchangeSymbol === name) return row.symbol;
    return name;
  }

  /** Called after every change of the list while no symbol is chosen. */
  listChanged() {
    const { rows } = this.#market;
    // The person who names a symbol gets this one, or is told that there is none; no other is shown in its place.
    if (this.#addressed !== '' || rows.has(this.#wished)) {
      this.#choose(this.known(this.#wished));
      return;
    }
    // An empty list, as before a sign-in, starts no wait: it would end before there is anything to choose from.
    if (rows.size === 0 || this.#timer !== null) return;
    this.#timer = this.#later(() => this.#settle(), this.#wished === '' ? LIST_WAIT_MS : WISH_WAIT_MS);
  }

  #settle() {
    this.#timer = null;
    const { selected, busiest, rows } = this.#market;
    if (selected === null && busiest !== null) this.#choose(rows.has(this.#wished) ? this.#wished : busiest);
  }
}
