// What the page knows of the market: one row per symbol, and book, trades, candles and auction of the selected one.
// Takes frames, keeps bounded state and tells which part changed; draws nothing.

import { Book } from './book.js';
import { changeBasisPoints, compareDecimals, significantDecimals, subtract } from './decimal.js';

/** Trades kept for the tape. */
export const TRADES_MAX = 400;
/** Candles kept for the chart: the server's 500 and what forms while the page is open. */
export const CANDLES_MAX = 3_000;
/** A trade is large when at most so many of the trades before it, out of so many, were as large. */
const LARGE_RANK = 2;
const LARGE_WINDOW = 120;
const LARGE_WINDOW_MIN = 30;
/**
 * At most one frame in so many milliseconds, merged by the server: a screen shows 60 pictures a second and a person reads
 * fewer, so that the page costs the same at 200 and at 20,000 messages a second. Nothing is lost by it but pictures in between.
 */
const WATCH_CONFLATE_MS = 250;
const BOOK_CONFLATE_MS = 20;
const TRADES_CONFLATE_MS = 40;
const CANDLES_CONFLATE_MS = 100;
const GAPS_KEPT = 20;
/** Two clocks further apart than this are shown both. */
const CLOCKS_APART_MS = 5_000;

export class Market {
  /** symbol → row of the watchlist */
  rows = new Map();
  selected = null;
  depth = 10;
  interval = '1m';
  book = null;
  bookFrame = null;
  bookBad = false;
  auction = null;
  trades = [];
  tradesTotal = 0;
  /** Grows when `trades` was replaced and not only added to. */
  tradesVersion = 0;
  candles = [];
  /** Grows when `candles` was replaced; `candleFrom` is the first index that changed since it was last drawn. */
  candlesVersion = 0;
  candleFrom = 0;
  checks = { verified: 0, mismatched: 0, last: null };
  gaps = [];
  gapCount = 0;
  heartbeat = null;
  heartbeatAt = 0;
  frameAt = 0;
  stamps = null;
  serverOffsetMs = 0;
  feedState = null;

  #feed;
  #changed;
  #selectedSubscriptions = new Map();
  #largeWindow = [];

  /** `changed(part)`: `list`, `row`, `quote`, `book`, `trades`, `candles`, `auction`, `gap` or `selection`. */
  constructor(changed) {
    this.#changed = changed;
  }

  start(feed) {
    this.#feed = feed;
    feed.subscribe({ channel: 'definition', symbol: '*' }, { onFrame: (frame) => this.#onDefinition(frame) });
    feed.subscribe(
      { channel: 'statistics', symbol: '*', conflate_ms: WATCH_CONFLATE_MS },
      { onFrame: (frame) => this.#onStatistics(frame) },
    );
    feed.subscribe({ channel: 'status', symbol: '*' }, { onFrame: (frame) => this.#onStatus(frame) });
  }

  /** Shows another symbol; what belonged to the old one is gone at once. */
  select(symbol) {
    if (symbol === this.selected) return;
    this.selected = symbol;
    this.auction = null;
    this.#resetTrades();
    for (const subscription of this.#selectedSubscriptions.values()) subscription.close();
    this.#selectedSubscriptions.clear();
    this.#subscribeBook();
    this.#follow('trades', { channel: 'trades', symbol, conflate_ms: TRADES_CONFLATE_MS, slow_reader: 'skip' }, (frame) => this.#onTrades(frame));
    this.#follow('imbalance', { channel: 'imbalance', symbol }, (frame) => this.#onImbalance(frame));
    this.#subscribeCandles();
    this.#changed('selection');
  }

  setDepth(depth) {
    if (depth === this.depth) return;
    this.depth = depth;
    if (this.selected !== null) this.#subscribeBook();
  }

  setInterval(interval) {
    if (interval === this.interval) return;
    this.interval = interval;
    if (this.selected !== null) this.#subscribeCandles();
  }

  /** Decimals that prices of the selected symbol are shown with. */
  get decimals() {
    return this.row?.decimals ?? 2;
  }

  /** The symbol that most was traded of, null while there is none. */
  get busiest() {
    let best = null;
    for (const row of this.rows.values()) {
      const turnover = row.statistics?.turnover ?? '0';
      if (best === null || compareDecimals(turnover, best.turnover) > 0) best = { symbol: row.symbol, turnover };
    }
    return best?.symbol ?? null;
  }

  get row() {
    return this.rows.get(this.selected) ?? null;
  }

  /** Milliseconds since anything came from the feed, as far as the page can tell; null before the first heartbeat. */
  feedAgeMs(now) {
    if (this.heartbeat === null || this.heartbeat.feed_age_ms === null) return null;
    const byHeartbeat = this.heartbeat.feed_age_ms + (now - this.heartbeatAt);
    // A data frame that came since proves that the feed spoke later than the heartbeat says.
    return this.frameAt > this.heartbeatAt ? Math.min(byHeartbeat, now - this.frameAt) : byHeartbeat;
  }

  onHeartbeat(frame) {
    this.heartbeat = frame;
    this.heartbeatAt = performance.now();
    this.serverOffsetMs = Number(BigInt(frame.server_time) / 1_000_000n) - Date.now();
  }

  onSystem(frame) {
    if (frame.type === 'gap') this.#onGap(frame.symbol, frame.reason, `${frame.from_seq}–${frame.to_seq}`, frame.channel_of);
    else if (frame.type === 'feed') this.feedState = frame.state;
  }

  onResync(entry, reason) {
    const { channel } = entry.subscription.params;
    // A snapshot that is late was asked for because of a hole that was counted already.
    if (reason !== 'snapshot_timeout') this.#onGap(entry.symbol, reason, '', channel);
    if (channel === 'book' && entry.symbol === this.selected) this.#changed('book');
  }

  onFrame(frame) {
    this.frameAt = performance.now();
    if (frame.type === 'update') this.stamps = frame;
  }

  /** The exchange's clock where it differs from ours, as a simulated or replayed day does: milliseconds, else null. */
  get exchangeMs() {
    if (this.stamps === null) return null;
    const milliseconds = (nanos) => Number(BigInt(nanos) / 1_000_000n);
    const exchange = milliseconds(this.stamps.ts_event);
    return Math.abs(exchange - milliseconds(this.stamps.ts_recv)) > CLOCKS_APART_MS ? exchange : null;
  }

  #onGap(symbol, reason, range, channel) {
    this.gapCount++;
    this.gaps.unshift({ symbol, reason, range, channel, at: Date.now() + this.serverOffsetMs });
    if (this.gaps.length > GAPS_KEPT) this.gaps.pop();
    this.#changed('gap');
  }

  #follow(name, params, onFrame, more = {}) {
    this.#selectedSubscriptions.get(name)?.close();
    this.#selectedSubscriptions.set(name, this.#feed.subscribe(params, { onFrame, ...more }));
  }

  #subscribeBook() {
    const book = new Book(this.depth);
    this.book = book;
    this.bookFrame = null;
    this.bookBad = false;
    this.#follow(
      'book',
      { channel: 'book', symbol: this.selected, depth: this.depth, conflate_ms: BOOK_CONFLATE_MS },
      (frame) => this.#onBook(frame, book),
      { chain: book, onGap: () => this.#changed('book') },
    );
    this.#changed('book');
  }

  #subscribeCandles() {
    this.candles = [];
    this.candleFrom = 0;
    this.candlesVersion++;
    this.#follow('candles', { channel: `ohlcv-${this.interval}`, symbol: this.selected, conflate_ms: CANDLES_CONFLATE_MS }, (frame) => this.#onCandles(frame));
    this.#changed('candles');
  }

  #onBook(frame, book) {
    if (book !== this.book) return;
    const checksum = book.checksum();
    this.checks.last = { expected: frame.checksum, computed: checksum };
    if (checksum === frame.checksum) {
      this.checks.verified++;
    } else {
      this.checks.mismatched++;
      this.#selectedSubscriptions.get('book').resync(frame.symbol, 'checksum');
    }
    frame.arrivedMs = Date.now();
    this.bookFrame = frame;
    this.bookBad = frame.maybe_bad === true;
    this.#changed('book');
  }

  #rowOf(symbol) {
    let row = this.rows.get(symbol);
    if (!row) {
      row = {
        symbol, name: '', exchangeSymbol: symbol, currency: '', decimals: 2, last: null, changeBp: null, change: null, volume: null, phase: 'unknown',
        state: '', statistics: null, definition: null, direction: 0, moves: 0, lastAt: null,
      };
      this.rows.set(symbol, row);
      this.#changed('list');
    }
    return row;
  }

  #onDefinition(frame) {
    const row = this.#rowOf(frame.symbol);
    const { definition } = frame;
    row.definition = definition;
    row.name = definition.name ?? '';
    row.exchangeSymbol = definition.exchange_symbol ?? frame.symbol;
    row.currency = definition.currency ?? '';
    row.decimals = shownDecimals(definition);
    this.#changed('list');
    if (row.symbol === this.selected) this.#changed('quote');
  }

  #onStatistics(frame) {
    const row = this.#rowOf(frame.symbol);
    // The tape may be ahead of these merged numbers: its last price stays.
    if (row.lastAt === null || row.lastAt.epoch !== frame.epoch || row.lastAt.seq <= frame.seq) {
      this.#setLast(row, frame.last);
      row.change = frame.change;
      row.changeBp = frame.change_bp;
    }
    row.volume = frame.volume;
    row.statistics = frame;
    this.#changed('row');
    if (row.symbol === this.selected) this.#changed('quote');
  }

  #setLast(row, last) {
    if (row.last !== null && last !== null && row.last !== last) {
      row.direction = compareDecimals(last, row.last);
      row.moves++;
    }
    row.last = last;
  }

  #onStatus(frame) {
    const row = this.#rowOf(frame.symbol);
    row.phase = frame.phase;
    row.state = frame.state ?? '';
    this.#changed('row');
    if (row.symbol === this.selected) {
      this.#changed('quote');
      this.#changed('auction');
    }
  }

  #onImbalance(frame) {
    this.auction = frame.auction;
    this.#changed('auction');
  }

  #resetTrades() {
    this.trades = [];
    this.tradesTotal = 0;
    this.tradesVersion++;
    this.#largeWindow = [];
    this.#changed('trades');
  }

  /** The newest trade stands first. */
  #onTrades(frame) {
    let incoming = frame.trades;
    if (frame.type === 'snapshot') {
      // A snapshot replaces; but trades are facts with numbers, so what is older than it stays and a hole is shown.
      const first = incoming[0]?.seq;
      const known = this.trades.filter((trade) => !trade.hole && trade.epoch === frame.epoch);
      const joins = first !== undefined && known.length > 0 && known[0].seq >= first;
      if (first !== undefined && known.length > 0) {
        if (joins) {
          incoming = incoming.filter((trade) => trade.seq > known[0].seq);
        } else {
          this.trades.unshift({ hole: true, reason: this.gaps.find((gap) => gap.channel === 'trades')?.reason ?? 'upstream' });
          this.tradesTotal++;
        }
      } else {
        this.#resetTrades();
      }
    }
    for (const trade of incoming) this.#addTrade(trade, frame.epoch);
    this.#changed('trades');
    this.#lastFromTape(frame);
  }

  /** The head of the page follows the tape, which is quicker than the merged statistics. */
  #lastFromTape(frame) {
    const trade = frame.trades.findLast(({ conditions }) => !conditions.includes('non_printable') && !conditions.includes('broken'));
    const row = this.row;
    if (frame.type === 'snapshot' || trade === undefined || row === null) return;
    row.lastAt = { epoch: frame.epoch, seq: trade.seq };
    this.#setLast(row, trade.price);
    const reference = row.statistics?.reference ?? row.definition?.reference ?? null;
    if (reference !== null) {
      const change = changeBasisPoints(trade.price, reference);
      row.change = subtract(trade.price, reference);
      row.changeBp = change === null ? null : Number(change);
    }
    this.#changed('row');
    this.#changed('quote');
  }

  #addTrade(trade, epoch) {
    if (trade.conditions.includes('broken')) {
      for (const known of this.trades) if (known.match_id === trade.match_id) known.broken = true;
      this.tradesVersion++;
      return;
    }
    trade.epoch = epoch;
    trade.broken = false;
    const quantity = BigInt(trade.quantity);
    trade.large = this.#isLarge(quantity);
    this.#largeWindow.push(quantity);
    if (this.#largeWindow.length > LARGE_WINDOW) this.#largeWindow.shift();
    this.trades.unshift(trade);
    this.tradesTotal++;
    if (this.trades.length > TRADES_MAX) this.trades.pop();
  }

  #isLarge(quantity) {
    if (this.#largeWindow.length < LARGE_WINDOW_MIN) return false;
    let larger = 0;
    for (const other of this.#largeWindow) if (other >= quantity && ++larger > LARGE_RANK) return false;
    return true;
  }

  #onCandles(frame) {
    if (frame.channel !== `ohlcv-${this.interval}`) return;
    if (frame.type === 'snapshot') {
      this.candles = frame.candles;
      this.candleFrom = 0;
      this.candlesVersion++;
    } else {
      for (const candle of frame.candles) this.#putCandle(candle);
    }
    this.#changed('candles');
  }

  #putCandle(candle) {
    // Starts are nanoseconds with the same number of digits (until the year 2286), so text order is time order.
    let at = this.candles.length;
    while (at > 0 && this.candles[at - 1].start > candle.start) at--;
    if (at > 0 && this.candles[at - 1].start === candle.start) {
      at--;
      this.candles[at] = candle;
    } else {
      this.candles.splice(at, 0, candle);
      if (at < this.candles.length - 1) this.candlesVersion++;
    }
    this.candleFrom = Math.min(this.candleFrom, at);
    if (this.candles.length > CANDLES_MAX) {
      this.candles.splice(0, this.candles.length - CANDLES_MAX);
      this.candlesVersion++;
    }
  }
}

/** The decimals that the ticks need, at least two, at most those on the wire. */
function shownDecimals(definition) {
  const wire = definition.price_decimals ?? 2;
  const ticks = definition.ticks ?? [];
  if (ticks.length === 0) return wire;
  return Math.min(wire, Math.max(2, ...ticks.map(({ tick, from }) => Math.max(significantDecimals(tick), significantDecimals(from)))));
}
