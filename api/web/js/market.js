// What the page knows of the market: one row per symbol, and book, trades, candles and auction of the selected one.
// Takes frames and pages of REST, keeps bounded state and tells which part changed; draws nothing.

import { Book } from './book.js';
import { Candles } from './candles.js';
import { changeBasisPoints, compareDecimals, significantDecimals, subtract, toScaled } from './decimal.js';
import { Outages } from './outages.js';
import { isOurs, milliseconds } from './stamps.js';
import { Trades } from './trades.js';
import { bookVerdict, marketVerdict, originOf } from './truth.js';

export { CANDLES_MAX } from './candles.js';
export { TRADES_MAX } from './trades.js';

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
/** Rows that left the view stay subscribed so long, so that scrolling to and fro and sorting cost few requests. */
const LINGER_MS = 4_000;
/** Rows that come into view are subscribed when the view has rested so long. */
const SHOW_REST_MS = 120;
/** Channels of a row, and subscriptions that all else may take. */
const ROW_CHANNELS = 3;
const OTHER_SUBSCRIPTIONS = 16;

export class Market {
  /** symbol → row of the watchlist */
  rows = new Map();
  /** Names of all symbols, as REST lists them; null before the first answer. */
  listed = null;
  selected = null;
  depth = 10;
  interval = '1m';
  book = null;
  bookFrame = null;
  bookBad = false;
  bookReason = null;
  bookRefused = null;
  checks = { verified: 0, mismatched: 0, last: null };
  gaps = [];
  gapCount = 0;
  heartbeat = null;
  heartbeatAt = 0;
  frameAt = 0;
  updateAt = -1;
  stamps = null;
  serverOffsetMs = 0;
  feedState = null;
  epoch = null;
  /** What `hello` said, and `feed` of `/actuator/info`; null while nobody said anything. */
  hello = null;
  info = null;
  outages = new Outages();
  /** The server gives its market only to people who are signed in, and this page has no session. */
  denied = false;
  link = { state: 'closed', heardAt: 0, lostAt: null };

  #feed;
  #changed;
  #selectedSubscriptions = new Map();
  #groups = [];
  #trades = new Trades();
  #candles = new Candles();
  /** symbol → when it was last wanted; what the groups follow. */
  #shown = new Map();
  #wanted = [];
  #showTimer = null;
  /** Nothing of this connection has named an epoch yet. */
  #isFresh = true;

  /** `changed(part)`: `market`, `list`, `row`, `quote`, `book`, `trades`, `candles`, `auction`, `gap`, `truth` or `selection`. */
  constructor(changed) {
    this.#changed = changed;
  }

  start(feed) {
    this.#feed = feed;
    const group = (params, take) => feed.group(params, { onFrame: (frame) => this.#ofRow(frame, take), onRefused: (error, symbol) => this.#onRefused(error, symbol) });
    this.#groups = [
      group({ channel: 'statistics', conflate_ms: WATCH_CONFLATE_MS }, (frame) => this.#onStatistics(frame)),
      group({ channel: 'status' }, (frame) => this.#onStatus(frame)),
      group({ channel: 'imbalance', conflate_ms: WATCH_CONFLATE_MS }, (frame) => this.#onImbalance(frame)),
    ];
  }

  get trades() {
    return this.#trades.list;
  }

  get tradesTotal() {
    return this.#trades.total;
  }

  /** Grows when `trades` was replaced and not only added to. */
  get tradesVersion() {
    return this.#trades.version;
  }

  get candles() {
    return this.#candles.list;
  }

  /** Grows when `candles` was replaced; `candleFrom` is the first index that changed since it was last drawn. */
  get candlesVersion() {
    return this.#candles.version;
  }

  get candleFrom() {
    return this.#candles.from;
  }

  set candleFrom(at) {
    this.#candles.from = at;
  }

  /** The auction of the selected symbol, null outside auctions. */
  get auction() {
    return this.row?.auction ?? null;
  }

  get origin() {
    const origin = originOf(this.hello);
    return origin === 'unknown' ? originOf(this.info) : origin;
  }

  /** Milliseconds since 1970 by the server's clock. */
  get serverNow() {
    return Date.now() + this.serverOffsetMs;
  }

  /** Shows another symbol; what belonged to the old one is gone at once. */
  select(symbol) {
    if (symbol === this.selected) return;
    this.selected = symbol;
    this.bookRefused = null;
    this.#trades.reset();
    this.#changed('trades');
    this.#showNow();
    this.#subscribeBook();
    this.#follow('trades', { channel: 'trades', symbol, conflate_ms: TRADES_CONFLATE_MS, slow_reader: 'skip' }, (frame) => this.#onTrades(frame));
    this.#subscribeCandles();
    this.#follow('definition', { channel: 'definition', symbol }, (frame) => this.#onDefinition(frame));
    this.#changed('selection');
  }

  /** Rows that are in view: only these, and the selected symbol, are subscribed. */
  show(symbols) {
    this.#wanted = symbols;
    const isNew = symbols.some((symbol) => !this.#shown.has(symbol));
    if (this.#showTimer !== null || (!isNew && this.#shown.size <= symbols.length + 1)) return;
    this.#showTimer = setTimeout(() => this.#showNow(), isNew ? SHOW_REST_MS : LINGER_MS);
  }

  #showNow() {
    clearTimeout(this.#showTimer);
    this.#showTimer = null;
    const now = performance.now();
    const rowsMax = Math.max(1, Math.floor(((this.#feed.subscriptionsMax ?? Infinity) - OTHER_SUBSCRIPTIONS) / ROW_CHANNELS));
    const wanted = new Set([...(this.selected === null ? [] : [this.selected]), ...this.#wanted].slice(0, rowsMax));
    for (const symbol of wanted) this.#shown.set(symbol, now);
    for (const [symbol, at] of this.#shown) {
      if (wanted.has(symbol) || (now - at < LINGER_MS && this.#shown.size <= rowsMax)) continue;
      this.#shown.delete(symbol);
      const row = this.rows.get(symbol);
      if (row) row.live = false;
    }
    for (const group of this.#groups) group.show(this.#shown.keys());
    if (this.#shown.size > wanted.size) this.#showTimer = setTimeout(() => this.#showNow(), LINGER_MS);
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
      const turnover = row.statistics?.turnover ?? row.turnover ?? '0';
      if (best === null || compareDecimals(turnover, best.turnover) > 0) best = { symbol: row.symbol, turnover };
    }
    return best?.symbol ?? null;
  }

  get row() {
    return this.rows.get(this.selected) ?? null;
  }

  /** Whether the selected symbol is none of this market, as far as anybody knows. */
  get isMissing() {
    return this.selected !== null && !this.rows.has(this.selected) && this.listed !== null && this.listed.size > 0 && !this.listed.has(this.selected);
  }

  /** How the market stands, see truth.js. */
  verdict(now = performance.now()) {
    const { link, feedState, denied } = this;
    // Data that came after the last heartbeat says more than it does.
    const isOverruled = this.updateAt > this.heartbeatAt && this.heartbeat?.session_state === 'stale';
    const heartbeat = isOverruled ? { ...this.heartbeat, session_state: 'open' } : this.heartbeat;
    return marketVerdict({ link, heartbeat, feedState, ageMs: this.feedAgeMs(now), now, denied });
  }

  /** How the selected symbol's book stands, see truth.js. */
  get bookVerdict() {
    return bookVerdict({
      refused: this.bookRefused, missing: this.isMissing, hasFrame: this.bookFrame !== null, waiting: this.book?.waiting ?? true, bad: this.bookBad,
      reason: this.bookReason,
    });
  }

  /** Called a few times a second: begins and ends the outages that no frame begins or ends. */
  tick() {
    // The socket knows when it last heard anything: replies count, too.
    this.link.heardAt = Math.max(this.link.heardAt, this.#feed?.heardAt ?? 0);
    const { key, level, ageMs } = this.verdict();
    if (key === 'stale') this.outages.begin('stale', this.serverNow - (ageMs ?? 0));
    else if (key === 'silent') this.outages.begin('lost', this.serverNow - ageMs);
    else if (level !== 'dead') this.#endOutage();
  }

  /** Milliseconds since anything came from the feed, as far as the page can tell; null before the first heartbeat. */
  feedAgeMs(now) {
    if (this.heartbeat === null || this.heartbeat.feed_age_ms === null) return null;
    const byHeartbeat = this.heartbeat.feed_age_ms + (now - this.heartbeatAt);
    // A data frame that came since proves that the feed spoke later than the heartbeat says.
    return this.frameAt > this.heartbeatAt ? Math.min(byHeartbeat, now - this.frameAt) : byHeartbeat;
  }

  // -- what is heard of the connection

  /** Whether the server gives us its market. What was seen of it before goes with the permission. */
  onAccess(isAllowed) {
    if (this.denied === !isAllowed) return;
    this.denied = !isAllowed;
    if (this.denied) this.#clear();
    for (const part of ['truth', 'list', 'selection']) this.#changed(part);
  }

  /** The connection changed its state. */
  onLink(state, heardAt) {
    const wasLive = this.link.state === 'live';
    this.link.state = state;
    if (state === 'live') {
      Object.assign(this, { heartbeat: null, feedState: null, info: null, hello: null });
      this.#isFresh = true;
      this.link.heardAt = performance.now();
    } else if (wasLive) {
      this.link.lostAt = heardAt;
      this.outages.begin('lost', this.serverNow - (performance.now() - heardAt));
      for (const row of this.rows.values()) row.live = false;
      this.#changed('row');
    }
    this.#changed('truth');
  }

  onHeartbeat(frame) {
    this.heartbeat = frame;
    this.heartbeatAt = performance.now();
    this.link.heardAt = this.heartbeatAt;
    this.serverOffsetMs = (milliseconds(frame.server_time) ?? Date.now()) - Date.now();
    this.#sawEpoch(frame.epoch);
    this.#changed('truth');
  }

  onSystem(frame) {
    this.link.heardAt = performance.now();
    if (frame.type === 'gap') this.#onGap(frame.symbol, frame.reason, `${frame.from_seq}–${frame.to_seq}`, frame.channel_of);
    else if (frame.type === 'feed') this.feedState = frame.state;
    else if (frame.type === 'epoch') this.#sawEpoch(frame.epoch);
    else if (frame.type === 'hello') {
      this.hello = frame;
      this.#sawEpoch(frame.epoch);
      this.#showNow();
    }
    this.#changed('truth');
  }

  /** `feed` of `/actuator/info`, null where the server does not say. */
  onInfo(info) {
    this.info = info;
    this.#changed('truth');
  }

  onResync(entry, reason) {
    const { channel } = entry.subscription.params;
    // A snapshot that is late was asked for because of a hole that was counted already.
    if (reason !== 'snapshot_timeout') this.#onGap(entry.symbol, reason, '', channel);
    if (channel === 'book' && entry.symbol === this.selected) this.#changed('book');
  }

  onFrame(frame) {
    this.onAccess(true);
    this.frameAt = performance.now();
    this.link.heardAt = this.frameAt;
    if (frame.type === 'update') {
      this.updateAt = this.frameAt;
      this.stamps = frame;
      if (this.feedState === 'stale') this.feedState = null;
    }
  }

  /** The exchange's clock where it differs from ours, as a simulated or replayed day does: milliseconds, else null. */
  get exchangeMs() {
    if (this.stamps === null) return null;
    const exchange = milliseconds(this.stamps.ts_event);
    if (exchange === null) return null;
    const { ts_recv: received } = this.stamps;
    if (!isOurs(received, this.serverNow)) return exchange;
    return Math.abs(exchange - milliseconds(received)) > CLOCKS_APART_MS ? exchange : null;
  }

  /** Another epoch is another market: nothing of the old one may be seen beside it. */
  #sawEpoch(epoch) {
    if (!Number.isInteger(epoch)) return;
    const known = this.epoch;
    // A server that was started anew may count lower; within a connection only a higher number is news.
    const isNews = known !== null && (this.#isFresh ? epoch !== known : epoch > known);
    this.#isFresh = false;
    if (known === null || isNews) this.epoch = epoch;
    if (isNews) this.#forget();
  }

  #clear() {
    this.rows.clear();
    this.listed = null;
    this.bookFrame = null;
    Object.assign(this, { bookBad: false, bookReason: null, bookRefused: null, stamps: null });
    this.checks.last = null;
    this.#trades.reset();
    this.#candles.reset();
    this.outages.newEpoch();
  }

  #forget() {
    this.#clear();
    for (const part of ['market', 'list', 'selection']) this.#changed(part);
  }

  /** Every data frame passes here before it is taken. */
  #saw(frame) {
    if (this.#isFresh || this.epoch === null || frame.epoch > this.epoch) this.#sawEpoch(frame.epoch);
    if (frame.type === 'update' || this.outages.open?.kind === 'lost') this.#endOutage();
    if (frame.type === 'update') this.outages.at(frame.ts_event);
  }

  #endOutage() {
    const outage = this.outages.end(this.serverNow);
    // After a lost connection the snapshot tells whether trades are missing; a silent feed sends none.
    if (outage?.kind === 'stale' && this.trades.length > 0) {
      this.#trades.note({ ...this.outages.take(), missing: null });
      this.#changed('trades');
    }
    if (outage !== null) this.#changed('candles');
  }

  #onGap(symbol, reason, range, channel) {
    this.gapCount++;
    this.gaps.unshift({ symbol, reason, range, channel, at: this.serverNow });
    if (this.gaps.length > GAPS_KEPT) this.gaps.pop();
    this.#changed('gap');
  }

  #onRefused(error, symbol) {
    if (symbol !== this.selected) return;
    this.bookRefused = error.code;
    this.#changed('book');
    this.#changed('truth');
  }

  // -- the selected symbol

  #follow(name, params, onFrame, more = {}) {
    const old = this.#selectedSubscriptions.get(name);
    const take = (frame) => {
      this.#saw(frame);
      onFrame(frame);
    };
    // A channel has one subscription a symbol: the old one goes first only where the new one is of the same symbol.
    const isSame = old?.params.symbol === params.symbol && old?.params.channel === params.channel;
    if (isSame) old.close();
    this.#selectedSubscriptions.set(name, this.#feed.subscribe(params, { onFrame: take, ...more }));
    if (!isSame) old?.close();
  }

  #subscribeBook() {
    const book = new Book(this.depth);
    this.book = book;
    this.bookFrame = null;
    this.bookBad = false;
    this.bookReason = null;
    this.#follow(
      'book',
      { channel: 'book', symbol: this.selected, depth: this.depth, conflate_ms: BOOK_CONFLATE_MS },
      (frame) => this.#onBook(frame, book),
      { chain: book, onGap: () => this.#changed('book'), onRefused: (error, symbol) => this.#onRefused(error, symbol) },
    );
    this.#changed('book');
  }

  #subscribeCandles() {
    this.#candles.reset();
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
    const wasBad = this.bookBad;
    this.bookFrame = frame;
    this.bookRefused = null;
    this.bookBad = frame.maybe_bad === true;
    this.bookReason = this.bookBad ? (frame.reason ?? null) : null;
    this.#changed('book');
    if (wasBad !== this.bookBad) this.#changed('truth');
  }

  #onTrades(frame) {
    const outage = frame.type === 'snapshot' ? this.outages.take() : null;
    const reason = this.gaps.find((gap) => gap.channel === 'trades')?.reason ?? 'upstream';
    const fresh = frame.type === 'update' ? frame.trades : [];
    this.#trades.take(frame, outage, reason, performance.now());
    this.#changed('trades');
    if (fresh.length > 0) this.#lastFromTape(frame);
  }

  /** The head of the page follows the tape, which is quicker than the merged statistics. */
  #lastFromTape(frame) {
    const trade = frame.trades.findLast(({ conditions }) => !conditions.includes('non_printable') && !conditions.includes('broken'));
    const row = this.row;
    if (trade === undefined || row === null) return;
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

  #onCandles(frame) {
    if (frame.channel !== `ohlcv-${this.interval}`) return;
    this.#candles.take(frame);
    this.#changed('candles');
  }

  // -- rows

  #rowOf(symbol) {
    let row = this.rows.get(symbol);
    if (!row) {
      row = {
        symbol, name: '', exchangeSymbol: symbol, currency: '', decimals: 2, last: null, changeBp: null, change: null, volume: null, turnover: null,
        phase: 'unknown', state: '', statistics: null, definition: null, auction: null, direction: 0, moves: 0, lastAt: null, live: false, bad: false,
      };
      this.rows.set(symbol, row);
      this.#changed('list');
    }
    return row;
  }

  /** A whole directory by REST: what it does not name is not traded. */
  onSymbols(items, symbols) {
    const isNews = this.listed === null || this.listed.size !== symbols.size || items.some(({ symbol }) => !this.listed.has(symbol));
    this.listed = symbols;
    for (const item of items) {
      const row = this.#rowOf(item.symbol);
      this.#define(row, item);
      if (!row.live) Object.assign(row, { phase: item.phase ?? row.phase, state: item.state ?? row.state });
    }
    for (const row of this.rows.values()) if (!symbols.has(row.symbol) && !row.live) this.rows.delete(row.symbol);
    if (!isNews) return;
    this.#changed('list');
    this.#changed('quote');
    this.#changed('truth');
  }

  /** Numbers by REST for rows that no subscription keeps up to date. */
  onQuotes(items) {
    for (const quote of items) {
      const row = this.rows.get(quote.symbol);
      if (!row || row.live) continue;
      Object.assign(row, { last: quote.last, change: quote.change, volume: quote.volume, turnover: quote.turnover, phase: quote.phase ?? row.phase });
      row.changeBp = quote.change_percent === null ? null : Number(toScaled(quote.change_percent, 2));
      row.auction = quote.equilibrium === null || quote.equilibrium === undefined ? null : quote.equilibrium;
      row.bad = quote.maybe_bad === true;
    }
    this.#changed('list');
  }

  #define(row, definition) {
    row.definition = definition;
    row.name = definition.name ?? '';
    row.exchangeSymbol = definition.exchange_symbol ?? row.symbol;
    row.currency = definition.currency ?? '';
    row.decimals = shownDecimals(definition);
  }

  #ofRow(frame, take) {
    this.#saw(frame);
    take(frame);
    const row = this.#rowOf(frame.symbol);
    row.live = true;
    row.bad = frame.maybe_bad === true;
    this.#changed('row');
    if (row.symbol === this.selected) this.#changed('quote');
  }

  #onDefinition(frame) {
    this.#define(this.#rowOf(frame.symbol), frame.definition);
    for (const part of ['list', 'quote', 'candles']) this.#changed(part);
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
  }

  #setLast(row, last) {
    if (row.live && row.last !== null && last !== null && row.last !== last) {
      row.direction = compareDecimals(last, row.last);
      row.moves++;
    }
    row.last = last;
  }

  #onStatus(frame) {
    const row = this.#rowOf(frame.symbol);
    row.phase = frame.phase;
    row.state = frame.state ?? '';
    if (row.symbol === this.selected) this.#changed('auction');
  }

  #onImbalance(frame) {
    this.#rowOf(frame.symbol).auction = frame.auction;
    if (frame.symbol === this.selected) this.#changed('auction');
  }
}

/** The decimals that the ticks need, at least two, at most those on the wire. */
function shownDecimals(definition) {
  const wire = definition.price_decimals ?? 2;
  const ticks = definition.ticks ?? [];
  if (ticks.length === 0) return wire;
  return Math.min(wire, Math.max(2, ...ticks.map(({ tick, from }) => Math.max(significantDecimals(tick), significantDecimals(from)))));
}

/**
 * The step that every valid price of the day is a multiple of: the least tick of the bands between the price limits. Null where
 * no tick is stated.
 */
export function tickOf(definition) {
  const ticks = definition?.ticks ?? [];
  const { limit_low: low, limit_high: high } = definition ?? {};
  const known = low !== null && low !== undefined && high !== null && high !== undefined;
  const reached = known ? ticks.filter(({ from, to }) => compareDecimals(from, high) <= 0 && (to === null || compareDecimals(to, low) >= 0)) : ticks;
  return (reached.length > 0 ? reached : ticks).reduce((least, { tick }) => (least === null || compareDecimals(tick, least) < 0 ? tick : least), null);
}
