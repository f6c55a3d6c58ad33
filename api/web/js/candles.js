// The candles of the selected symbol and interval: oldest first, bounded, the forming one replaced by each frame.
// Draws nothing and asks nothing.

/** Candles kept for the chart: the server's 500 and what forms while the page is open. */
export const CANDLES_MAX = 3_000;

export class Candles {
  list = [];
  /** Grows when `list` was replaced; `from` is the first index that changed since it was last drawn. */
  version = 0;
  from = 0;

  reset() {
    this.list = [];
    this.from = 0;
    this.version++;
  }

  take(frame) {
    if (frame.type === 'snapshot') {
      this.reset();
      this.list = frame.candles;
    } else {
      for (const candle of frame.candles) this.#put(candle);
    }
  }

  #put(candle) {
    const { list } = this;
    // Starts are nanoseconds with the same number of digits (until the year 2286), so text order is time order.
    let at = list.length;
    while (at > 0 && list[at - 1].start > candle.start) at--;
    if (at > 0 && list[at - 1].start === candle.start) {
      at--;
      // Its only trades were broken: there is no such candle any more.
      if (candle.trades === 0) {
        list.splice(at, 1);
        this.version++;
        return;
      }
      list[at] = candle;
    } else if (candle.trades === 0) {
      return;
    } else {
      list.splice(at, 0, candle);
      if (at < list.length - 1) this.version++;
    }
    this.from = Math.min(this.from, at);
    if (list.length > CANDLES_MAX) {
      list.splice(0, list.length - CANDLES_MAX);
      this.version++;
    }
  }
}
