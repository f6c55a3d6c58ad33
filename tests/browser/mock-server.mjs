// A server that speaks docs/protocols/websocket.md over invented data and makes mistakes on demand. It serves the page
// as the program does, so that the page's answer to faults, which the program does not commit, can be tested in a browser.
// Not a reference: what it sends is only as much of the protocol as the page asks for.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { crc32 } from '../../api/web/js/book.js';

const ROOT = fileURLToPath(new URL('../../api/web/', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2', '.json': 'application/json',
};
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const NAMES = [
  ['THYAO', 'TÜRK HAVA YOLLARI', 31250], ['GARAN', 'GARANTİ BANKASI', 14230], ['AKBNK', 'AKBANK', 7185], ['ASELS', 'ASELSAN', 18460], ['BIMAS', 'BİM MAĞAZALAR', 54250],
  ['EREGL', 'EREĞLİ DEMİR ÇELİK', 2794], ['FROTO', 'FORD OTOSAN', 10870], ['ISCTR', 'İŞ BANKASI (C)', 1478], ['KCHOL', 'KOÇ HOLDİNG', 17290], ['KRDMD', 'KARDEMİR (D)', 2960],
  ['PETKM', 'PETKİM', 1943], ['PGSUS', 'PEGASUS', 24120], ['SAHOL', 'SABANCI HOLDİNG', 8965], ['SASA', 'SASA POLYESTER', 412], ['SISE', 'ŞİŞE CAM', 3884], ['TCELL', 'TURKCELL', 9720],
  ['TOASO', 'TOFAŞ OTO. FAB.', 22590], ['TUPRS', 'TÜPRAŞ', 16440], ['ULKER', 'ÜLKER BİSKÜVİ', 11580], ['YKBNK', 'YAPI VE KREDİ BANKASI', 3318],
];
const LEVELS = 60;
const INTERVALS = { 'ohlcv-1s': 1, 'ohlcv-1m': 60, 'ohlcv-1h': 3600, 'ohlcv-1d': 86400 };

const nowNs = () => BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor(Math.random() * 1e6));
const price = (cents) => `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;

/** A generator with a seed, so that a picture is the same each time. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Share {
  constructor([symbol, name, cents], seed) {
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
    this.candles = Object.fromEntries(Object.keys(INTERVALS).map((channel) => [channel, []]));
    this.#history();
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
      this.candles[channel] = list;
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
    return this.sides.map((map, side) =>
      [...map.entries()].sort((a, b) => (side === 0 ? b[0] - a[0] : a[0] - b[0])).slice(0, depth)
        .map(([cents, [quantity, orders]]) => [price(cents), String(quantity), orders]));
  }
}

function checksum(bids, asks) {
  const bare = (text) => text.replace('.', '').replace(/^0+/, '');
  const text = (levels) => levels.slice(0, 10).map((level) => bare(level[0]) + bare(level[1])).join('');
  return crc32(text(asks) + text(bids));
}

/**
 * Starts it. `rate`: events a second over all shares; `symbols`: how many shares, named after `names`.
 * The result has `url`, `fault(name)` (see `FAULTS` below), `requests` (all that clients sent) and `close()`.
 */
export async function start({ port = 0, rate = 400, symbols = NAMES.length, seed = 7, names = NAMES } = {}) {
  let seq = 1000;
  let epoch = 3;
  let faults = new Set();
  const requests = [];
  const shares = Array.from({ length: symbols }, (_, i) => {
    const [symbol, name, cents] = names[i % names.length];
    return new Share([i < names.length ? symbol : `${symbol.slice(0, 3)}${String(i).padStart(3, '0')}`, name, cents], seed * 1000 + i);
  });
  const bySymbol = new Map(shares.map((share) => [share.symbol, share]));
  const clients = new Set();

  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname));
    const file = join(ROOT, path === '/' ? 'index.html' : path);
    try {
      if (!file.startsWith(ROOT)) throw new Error('outside');
      const body = await readFile(file);
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff' });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  const sockets = new WebSocketServer({ server, path: '/ws/v2', handleProtocols: () => 'bist.v2.json' });

  const body = (share, subscription, first) => {
    switch (subscription.channel) {
      case 'book': {
        const [bids, asks] = share.levels(subscription.depth);
        const sum = checksum(bids, asks);
        const known = subscription.known;
        subscription.known = [new Map(bids.map((l) => [l[0], l])), new Map(asks.map((l) => [l[0], l]))];
        if (first) return { bids, asks, checksum: sum };
        const changed = [bids, asks].map((levels, side) => {
          const out = levels.filter((l) => {
            const old = known[side].get(l[0]);
            return !old || old[1] !== l[1] || old[2] !== l[2];
          });
          const worst = levels.at(-1)?.[0];
          for (const [p] of known[side]) {
            const outside = side === 0 ? Number(p) < Number(worst) : Number(p) > Number(worst);
            if (!subscription.known[side].has(p) && !(outside && levels.length === subscription.depth)) out.push([p, '0', 0]);
          }
          return out;
        });
        if (changed[0].length + changed[1].length === 0) return null;
        return { bids: changed[0], asks: changed[1], checksum: faults.delete('checksum') ? sum ^ 1 : sum };
      }
      case 'trades': {
        if (first) return { trades: share.trades.slice(-50) };
        const fresh = share.trades.filter((trade) => trade.seq > subscription.seq);
        return fresh.length === 0 ? null : { trades: fresh };
      }
      case 'definition':
        return {
          definition: {
            symbol: share.symbol, exchange_symbol: `${share.symbol}.E`, book_id: 70000, name: share.name, isin: null, currency: 'TRY', price_decimals: 2, lot: 1, product: 5,
            expiration: null, strike: null, short_sell: null, reference: price(share.reference), limit_low: null, limit_high: null, ticks: [],
          },
        };
      case 'status':
        return { phase: share.phase, state: 'P_SUREKLI_ISLEM', since: String(nowNs()) };
      case 'statistics': {
        const change = share.last === null ? null : share.last - share.reference;
        return {
          open: share.open && price(share.open), high: share.high && price(share.high), low: share.low && price(share.low), last: share.last && price(share.last), close: null,
          reference: price(share.reference), limit_low: price(Math.round(share.reference * 0.9)), limit_high: price(Math.round(share.reference * 1.1)),
          change: change === null ? null : `${change < 0 ? '-' : ''}${price(Math.abs(change))}`, change_bp: change === null ? null : Math.round((change * 10_000) / share.reference),
          vwap: share.volume === 0n ? null : `${price(Number(share.turnover / share.volume))}00`, volume: String(share.volume), turnover: price(Number(share.turnover)), trades: share.count,
        };
      }
      case 'imbalance':
        return {
          auction: share.phase === 'opening_collection'
            ? { price: price(share.mid), bid_quantity: '152340', ask_quantity: '148002', best_bid: price(share.mid), best_bid_quantity: '100', best_ask: price(share.mid), best_ask_quantity: '700' }
            : null,
        };
      default: {
        const list = share.candles[subscription.channel];
        return { candles: first ? list : list.slice(-2) };
      }
    }
  };

  const send = (client, message) => client.socket.send(JSON.stringify(message));
  const emit = (client, subscription, share, first) => {
    const content = body(share, subscription, first);
    if (content === null) return;
    const stamp = String(nowNs());
    const frame = {
      channel: subscription.channel, type: first ? 'snapshot' : 'update', symbol: share.symbol, epoch, seq, prev_seq: first ? 0 : subscription.seq, ts_event: stamp,
      ts_recv: stamp, ts_out: String(BigInt(stamp) + 40_000n), ...content,
    };
    subscription.seq = seq;
    if (!first && subscription.channel === 'book' && faults.delete('hole')) return;
    send(client, frame);
  };

  sockets.on('connection', (socket) => {
    const client = { socket, subscriptions: new Map(), wildcards: new Map(), nextId: 1 };
    clients.add(client);
    socket.on('close', () => clients.delete(client));
    socket.on('message', (data) => {
      const request = JSON.parse(data);
      requests.push(request);
      const { method, params = {}, req_id } = request;
      const reply = (result) => send(client, { method, req_id, success: true, result, warnings: [], time_in: String(nowNs()), time_out: String(nowNs()) });
      const list = params.symbol?.[0] === '*' ? shares.map((share) => share.symbol) : (params.symbol ?? []);
      if (params.channel === 'heartbeat') {
        reply({ channel: 'heartbeat', interval_s: 1, sub_id: client.nextId++ });
        return;
      }
      if (params.symbol?.[0] === '*' && method === 'subscribe') reply({ channel: params.channel, symbol: '*', symbols: list.length, sub_id: client.nextId++ });
      for (const symbol of list) {
        const share = bySymbol.get(symbol);
        const key = `${params.channel} ${symbol}`;
        if (!share) {
          send(client, { method, req_id, success: false, error: { code: 'SYMBOL_NOT_FOUND', message: `no symbol ${symbol}`, retryable: true }, symbol });
        } else if (method === 'subscribe') {
          const subscription = { channel: params.channel, symbol, depth: params.depth ?? 10, conflate: params.conflate_ms ?? 0, sentAt: 0, seq, subId: client.nextId++ };
          client.subscriptions.set(key, subscription);
          reply({ channel: params.channel, symbol, sub_id: subscription.subId, epoch, seq });
          emit(client, subscription, share, true);
        } else if (method === 'unsubscribe') {
          client.subscriptions.delete(key);
          reply({ channel: params.channel, symbol });
        } else if (method === 'get_snapshot') {
          reply({ channel: params.channel, symbol, epoch, seq });
          const subscription = client.subscriptions.get(key);
          if (subscription) emit(client, subscription, share, true);
        }
      }
    });
  });

  const candle = (share, trade, ns) => {
    for (const [channel, seconds] of Object.entries(INTERVALS)) {
      const shift = seconds === 86_400 ? 10_800 : 0;
      const start = `${Math.floor((Number(ns / 1_000_000_000n) + shift) / seconds) * seconds - shift}000000000`;
      const list = share.candles[channel];
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
  };

  const pick = generator(seed);
  let due = 0;
  let last = Date.now();
  const turn = () => {
    const now = Date.now();
    due += ((now - last) / 1000) * rate;
    last = now;
    while (due >= 1) {
      due--;
      seq++;
      const share = shares[Math.floor(pick() ** 2 * shares.length)];
      const trade = share.step();
      if (trade) {
        const ns = nowNs();
        share.trades.push({ seq, ts_event: String(ns), ts_recv: String(ns), match_id: String(seq), ...trade, conditions: [] });
        if (share.trades.length > 50) share.trades.shift();
        candle(share, trade, ns);
      }
      for (const client of clients) {
        for (const channel of trade ? ['book', 'trades', 'statistics', 'ohlcv-1s', 'ohlcv-1m', 'ohlcv-1h', 'ohlcv-1d'] : ['book']) {
          const subscription = client.subscriptions.get(`${channel} ${share.symbol}`);
          if (!subscription || now - subscription.sentAt < subscription.conflate) continue;
          subscription.sentAt = now;
          emit(client, subscription, share, false);
        }
      }
    }
  };
  const timer = setInterval(turn, 5);
  let bursting = false;
  const heart = setInterval(() => {
    for (const client of clients) {
      // In a burst the chains are ahead of what was sent: the heartbeat keeps the line alive and counts nothing.
      const subscriptions = bursting ? {} : Object.fromEntries([...client.subscriptions.values()].map((s) => [s.subId, s.seq]));
      send(client, { channel: 'heartbeat', type: 'heartbeat', epoch, seq, server_time: String(nowNs()), feed_age_ms: 3, session_state: 'open', subscriptions });
    }
  }, 1000);

  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  /** Stops the ordinary flow and sends `perSecond` book updates of `symbol` a second, made beforehand, for `seconds`. */
  const burst = async (symbol, perSecond, seconds) => {
    clearInterval(timer);
    bursting = true;
    const share = bySymbol.get(symbol);
    const client = [...clients].at(-1);
    const subscription = client.subscriptions.get(`book ${symbol}`);
    const made = [];
    const catcher = { socket: { send: (text) => made.push(text) } };
    while (made.length < perSecond * seconds) {
      seq++;
      share.step();
      emit(catcher, subscription, share, false);
      if (made.length % 200 === 0) await new Promise((done) => setTimeout(done));
    }
    const begun = Date.now();
    let sent = 0;
    while (sent < made.length) {
      const due = Math.min(made.length, Math.floor(((Date.now() - begun) / 1000) * perSecond));
      for (; sent < due; sent++) client.socket.send(made[sent]);
      await new Promise((done) => setTimeout(done, 2));
    }
    return { frames: made.length, seconds: (Date.now() - begun) / 1000, seq };
  };

  return {
    burst,
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    /**
     * `checksum`: the next book update carries a wrong one; `hole`: the next book update is not sent; `gap`: a slow-reader gap and
     * snapshot on every book; `upstream`: a gap of the feed; `auction`: all shares collect orders; `drop`: all connections end.
     */
    fault(name) {
      if (name === 'checksum' || name === 'hole') faults.add(name);
      else if (name === 'drop') for (const client of clients) client.socket.terminate();
      else if (name === 'auction') {
        for (const share of shares) share.phase = 'opening_collection';
        seq++;
        for (const client of clients) {
          for (const subscription of client.subscriptions.values()) {
            if (subscription.channel === 'status' || subscription.channel === 'imbalance') emit(client, subscription, bySymbol.get(subscription.symbol), false);
          }
        }
      } else if (name === 'upstream') {
        for (const client of clients) {
          send(client, { channel: 'system', type: 'gap', sub_id: null, channel_of: null, symbol: '*', epoch, from_seq: seq, to_seq: seq, reason: 'upstream', venue_from: '88120', venue_to: '88190', ts_out: String(nowNs()) });
        }
      } else if (name === 'gap') {
        for (const client of clients) {
          for (const subscription of client.subscriptions.values()) {
            if (subscription.channel !== 'book') continue;
            send(client, { channel: 'system', type: 'gap', sub_id: subscription.subId, channel_of: 'book', symbol: subscription.symbol, epoch, from_seq: subscription.seq + 1, to_seq: seq, reason: 'slow_reader', ts_out: String(nowNs()) });
            emit(client, subscription, bySymbol.get(subscription.symbol), true);
          }
        }
      } else throw new Error(`no fault ${name}`);
    },
    close() {
      clearInterval(timer);
      clearInterval(heart);
      for (const client of clients) client.socket.terminate();
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await start({ port: Number(process.env.PORT ?? 8099), rate: Number(process.env.RATE ?? 400), symbols: Number(process.env.SYMBOLS ?? 20) });
  console.log(server.url);
}
