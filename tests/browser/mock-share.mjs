// One invented share of the mock server: its orders, trades, candles, and how it is told over WebSocket and REST.

export const NAMES = [
  ['THYAO', 'TÜRK HAVA YOLLARI', 31250], ['GARAN', 'GARANTİ BANKASI', 14230], ['AKBNK', 'AKBANK', 7185], ['ASELS', 'ASELSAN', 18460], ['BIMAS', 'BİM MAĞAZALAR', 54250],
  ['EREGL', 'EREĞLİ DEMİR ÇELİK', 2794], ['FROTO', 'FORD OTOSAN', 10870], ['ISCTR', 'İŞ BANKASI (C)', 1478], ['KCHOL', 'KOÇ HOLDİNG', 17290], ['KRDMD', 'KARDEMİR (D)', 2960],
  ['PETKM', 'PETKİM', 1943], ['PGSUS', 'PEGASUS', 24120], ['SAHOL', 'SABANCI HOLDİNG', 8965], ['SASA', 'SASA POLYESTER', 412], ['SISE', 'ŞİŞE CAM', 3884], ['TCELL', 'TURKCELL', 9720],
  ['TOASO', 'TOFAŞ OTO. FAB.', 22590], ['TUPRS', 'TÜPRAŞ', 16440], ['ULKER', 'ÜLKER BİSKÜVİ', 11580], ['YKBNK', 'YAPI VE KREDİ BANKASI', 3318],
];
const LEVELS = 60;
export const INTERVALS = { 'ohlcv-1s': 1, 'ohlcv-1m': 60, 'ohlcv-1h': 3600, 'ohlcv-1d': 86400 };

const AUCTIONS = ['opening_collection', 'volatility_auction', 'closing_collection'];

export const nowNs = () => BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor(Math.random() * 1e6));
export const price = (cents) => `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;

/** A generator with a seed, so that a picture is the same each time. */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One share with a book, trades and candles. What nobody asked for is not made: a market of 10,000 starts at once. */
export class Share {
  #candles = null;

  /** `young`: without candles of the past, as after a start. */
  constructor([symbol, name, cents], seed, young = false) {
    this.young = young;
    this.symbol = symbol;
    this.name = name;
    this.random = generator(seed);
    this.reference = cents;
    this.tick = cents > 20_000 ? 25 : cents > 5_000 ? 5 : 1;
    this.mid = Math.round(cents / this.tick) * this.tick;
    this.phase = 'continuous';
    this.sides = [new Map(), new Map()];
    this.volume = 0n;
    this.turnover = 0n;
    this.count = 0;
    this.open = null;
    this.high = null;
    this.low = null;
    this.last = null;
    this.trades = [];
  }

  /** Interval → candles, the closed ones of the past and the forming one. */
  get candles() {
    if (this.#candles === null) {
      this.#candles = Object.fromEntries(Object.keys(INTERVALS).map((channel) => [channel, []]));
      if (!this.young) this.#history();
      this.#fill();
    }
    return this.#candles;
  }

  /** Takes all orders out, as a market that is closed or shows none. */
  empty() {
    void this.candles;
    this.sides = [new Map(), new Map()];
    this.isEmpty = true;
  }

  refill() {
    this.isEmpty = false;
    this.#fill();
  }

  #quantity() {
    const base = Math.exp(this.random() * 6 + 2);
    return Math.max(1, Math.round(this.random() < 0.3 ? Math.round(base / 100) * 100 : base));
  }

  #history() {
    const now = Math.floor(Date.now() / 1000);
    for (const [channel, seconds] of Object.entries(INTERVALS)) {
      let at = this.reference * (1 + (this.random() - 0.5) / 20);
      const list = [];
      for (let i = 300; i >= 1; i--) {
        const open = at;
        const step = this.reference * 0.0006 * Math.sqrt(seconds / 6 + 1);
        at += (this.random() - 0.5) * step + (this.reference - at) * 0.02;
        const round = (value) => Math.round(value / this.tick) * this.tick;
        const high = Math.max(round(open), round(at)) + Math.floor(this.random() * 3) * this.tick;
        const low = Math.min(round(open), round(at)) - Math.floor(this.random() * 3) * this.tick;
        const start = Math.floor((now + 10800) / seconds - i) * seconds - (seconds === 86400 ? 10800 : 10800 % seconds ? 10800 : 10800);
        list.push({
          start: `${start}000000000`, open: price(round(open)), high: price(high), low: price(low), close: price(round(at)), volume: String(this.#quantity() * 20),
          turnover: '0.00', trades: 12, closed: true,
        });
      }
      this.#candles[channel] = list;
      if (seconds === 60) this.mid = Math.round(at / this.tick) * this.tick;
    }
  }

  #fill() {
    for (let i = 1; i <= LEVELS; i++) {
      this.sides[0].set(this.mid - i * this.tick, [this.#quantity() * 3, 1 + Math.floor(this.random() * 40)]);
      this.sides[1].set(this.mid + (i - 1) * this.tick, [this.#quantity() * 3, 1 + Math.floor(this.random() * 40)]);
    }
  }

  best(side) {
    const prices = [...this.sides[side].keys()];
    return side === 0 ? Math.max(...prices) : Math.min(...prices);
  }

  /** One event; returns a trade or null. */
  step() {
    void this.candles;
    if (this.isEmpty) return null;
    const side = this.random() < 0.5 ? 0 : 1;
    const away = Math.floor(this.random() ** 3 * 14);
    const best = this.best(side);
    const at = side === 0 ? best - away * this.tick : best + away * this.tick;
    const dice = this.random();
    if (dice < 0.22) return this.#trade(side, best);
    const level = this.sides[side].get(at);
    if (dice < 0.62 || !level) {
      const inner = side === 0 ? at + this.tick : at - this.tick;
      const improves = away === 0 && this.random() < 0.35 && !this.sides[1 - side].has(inner);
      const target = improves ? inner : at;
      const [quantity, orders] = this.sides[side].get(target) ?? [0, 0];
      this.sides[side].set(target, [quantity + this.#quantity(), orders + 1]);
    } else if (level[1] <= 1 || dice > 0.97) {
      if (this.sides[side].size > 55) this.sides[side].delete(at);
    } else {
      const gone = Math.max(1, Math.floor(level[0] / level[1]));
      this.sides[side].set(at, [Math.max(1, level[0] - gone), level[1] - 1]);
    }
    this.#refill(side);
    return null;
  }

  #refill(side) {
    const map = this.sides[side];
    while (this.best(1) - this.best(0) > this.tick * 2) {
      const inner = this.random() < 0.5 ? 0 : 1;
      this.sides[inner].set(this.best(inner) + (inner === 0 ? this.tick : -this.tick), [this.#quantity(), 1]);
    }
    let edge = side === 0 ? Math.min(...map.keys()) : Math.max(...map.keys());
    while (map.size < LEVELS) {
      edge += side === 0 ? -this.tick : this.tick;
      if (edge <= 0) break;
      map.set(edge, [this.#quantity() * 3, 3]);
    }
  }

  #trade(side, cents) {
    const level = this.sides[side].get(cents);
    const wanted = this.random() < 0.03 ? this.#quantity() * 8 : Math.ceil(this.#quantity() / 3);
    const quantity = Math.min(level[0], wanted);
    if (quantity === level[0]) this.sides[side].delete(cents);
    else this.sides[side].set(cents, [level[0] - quantity, Math.max(1, level[1] - 1)]);
    this.#refill(side);
    this.last = cents;
    this.open ??= cents;
    this.high = Math.max(this.high ?? cents, cents);
    this.low = Math.min(this.low ?? cents, cents);
    this.volume += BigInt(quantity);
    this.turnover += BigInt(quantity) * BigInt(cents);
    this.count++;
    return { price: price(cents), quantity: String(quantity), side: side === 0 ? 'A' : 'B' };
  }

  levels(depth) {
    void this.candles;
    return this.sides.map((map, side) =>
      [...map.entries()].sort((a, b) => (side === 0 ? b[0] - a[0] : a[0] - b[0])).slice(0, depth)
        .map(([cents, [quantity, orders]]) => [price(cents), String(quantity), orders]));
  }

  /** Takes a trade into the candles. */
  candle(trade, ns) {
    for (const [channel, seconds] of Object.entries(INTERVALS)) {
      const shift = seconds === 86_400 ? 10_800 : 0;
      const start = `${Math.floor((Number(ns / 1_000_000_000n) + shift) / seconds) * seconds - shift}000000000`;
      const list = this.candles[channel];
      const last = list.at(-1);
      if (last?.start === start) {
        last.high = Number(trade.price) > Number(last.high) ? trade.price : last.high;
        last.low = Number(trade.price) < Number(last.low) ? trade.price : last.low;
        last.close = trade.price;
        last.volume = String(BigInt(last.volume) + BigInt(trade.quantity));
        last.trades++;
      } else if (!last || start > last.start) {
        if (last) last.closed = true;
        list.push({ start, open: trade.price, high: trade.price, low: trade.price, close: trade.price, volume: trade.quantity, turnover: '0.00', trades: 1, closed: false });
        if (list.length > 500) list.shift();
      }
    }
  }

  get definition() {
    const tick = price(this.tick);
    return {
      symbol: this.symbol, exchange_symbol: `${this.symbol}.E`, book_id: 70000, name: this.name, isin: null, currency: 'TRY', price_decimals: 2, lot: 1, product: 5,
      expiration: null, strike: null, short_sell: null, reference: price(this.reference), limit_low: price(Math.round(this.reference * 0.9)),
      limit_high: price(Math.round(this.reference * 1.1)), ticks: [{ from: price(1), to: null, tick }],
    };
  }

  get statistics() {
    const change = this.last === null ? null : this.last - this.reference;
    return {
      open: this.open && price(this.open), high: this.high && price(this.high), low: this.low && price(this.low), last: this.last && price(this.last), close: null,
      reference: price(this.reference), limit_low: price(Math.round(this.reference * 0.9)), limit_high: price(Math.round(this.reference * 1.1)),
      change: change === null ? null : `${change < 0 ? '-' : ''}${price(Math.abs(change))}`, change_bp: change === null ? null : Math.round((change * 10_000) / this.reference),
      vwap: this.volume === 0n ? null : `${price(Number(this.turnover / this.volume))}00`, volume: String(this.volume), turnover: price(Number(this.turnover)), trades: this.count,
    };
  }

  get auction() {
    return AUCTIONS.includes(this.phase)
      ? { price: price(this.mid), bid_quantity: '152340', ask_quantity: '148002', best_bid: price(this.mid), best_bid_quantity: '100', best_ask: price(this.mid), best_ask_quantity: '700' }
      : null;
  }

  /** The share as REST lists it. */
  get instrument() {
    return { ...this.definition, phase: this.phase, state: 'P_SUREKLI_ISLEM', maybe_bad: false };
  }

  get quote() {
    const { change_bp: bp, ...statistics } = this.statistics;
    return {
      symbol: this.symbol, exchange_symbol: `${this.symbol}.E`, equilibrium: this.auction, phase: this.phase, maybe_bad: false, ...statistics,
      change_percent: bp === null ? null : `${bp < 0 ? '-' : ''}${price(Math.abs(bp))}`,
    };
  }
}
