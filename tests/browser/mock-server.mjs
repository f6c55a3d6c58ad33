// A server that speaks docs/protocols/websocket.md over invented data and makes mistakes on demand. It serves the page
// as the program does, so that the page's answer to faults, which the program does not commit, can be tested in a browser.
// Not a reference: what it sends is only as much of the protocol as the page asks for.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { crc32 } from '../../api/web/js/book.js';
import { Accounts } from './mock-accounts.mjs';
import { generator, NAMES, nowNs, Share } from './mock-share.mjs';

const ROOT = fileURLToPath(new URL('../../api/web/', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2', '.json': 'application/json',
};
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function checksum(bids, asks) {
  const bare = (text) => text.replace('.', '').replace(/^0+/, '');
  const text = (levels) => levels.slice(0, 10).map((level) => bare(level[0]) + bare(level[1])).join('');
  return crc32(text(asks) + text(bids));
}

/** Names of a market of any size: the known ones, then three letters and a number. */
function named(names, symbols) {
  const digits = String(symbols).length;
  return Array.from({ length: symbols }, (_, i) => {
    const [symbol, name, cents] = names[i % names.length];
    return [i < names.length ? symbol : `${symbol.slice(0, 3)}${String(i).padStart(Math.max(3, digits), '0')}`, name, cents];
  });
}

/** The JSON that a request carries, undefined where it carries none. */
async function bodyOf(request) {
  let text = '';
  for await (const part of request) text += part;
  return text === '' ? undefined : JSON.parse(text);
}

const STATED = {
  real: { source: 'itch', simulated: false }, sim: { source: 'sim', simulated: true }, replay: { source: 'replay', simulated: false, replay_of: '2026-11-23.itch.gz' },
};

/**
 * Starts it. `rate`: events a second over all shares; `symbols`: how many shares, named after `names`; `epoch`; `origin`: `real`,
 * `sim`, `replay` or null for a server that does not say it; `late`: the exchange has sent nothing yet; `midway`: the session was
 * joined midway; `young`: no candles of the past; `accounts`: options of its `Accounts`; `authRequired`: nobody gets market data
 * without a token; `subscriptionsMax`; `receivedAt`: every `ts_recv`, as of a replay.
 * The result has `url`, `fault(name)` (see below), `requests` (all that clients sent), `open()` subscriptions and `close()`.
 */
export async function start({
  port = 0, rate = 400, symbols = NAMES.length, seed = 7, names = NAMES, epoch: firstEpoch = 3, origin = 'real', late = false, midway = false, young = false,
  subscriptionsMax = 1_024, receivedAt = null, accounts: accountOptions = {}, authRequired = false,
} = {}) {
  let seq = 1000;
  const epoch = firstEpoch;
  const faults = new Set();
  const requests = [];
  const shares = named(names, symbols).map((name, i) => new Share(name, seed * 1000 + i, young));
  const bySymbol = new Map(shares.map((share) => [share.symbol, share]));
  const clients = new Set();
  const accounts = new Accounts(accountOptions);
  /** The feed as heartbeats tell it; `mark`: the reason that books are marked with. */
  const feed = { session: late ? 'waiting' : 'open', stale: null, mark: null, isMute: false, midway };
  const listed = () => (feed.session === 'waiting' ? [] : shares);

  const rest = (url) => {
    const offset = Number(url.searchParams.get('offset') ?? 0);
    const limit = Number(url.searchParams.get('limit') ?? 100);
    const page = (key) => ({ success: true, message: null, data: { items: listed().slice(offset, offset + limit).map((share) => share[key]), total: listed().length, offset, limit } });
    if (url.pathname === '/api/v1/market-data/symbols') return page('instrument');
    if (url.pathname === '/api/v1/market-data/quotes') return page('quote');
    if (url.pathname === '/actuator/info') return { build: { version: 'mock' }, ...(origin === null ? {} : { feed: STATED[origin] }) };
    return null;
  };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://x');
    const asked = accounts.answer(request.method, url.pathname, request.headers.authorization, await bodyOf(request));
    if (asked !== null) {
      response.writeHead(asked.status, { 'content-type': 'application/json', ...asked.headers }).end(JSON.stringify(asked.body));
      return;
    }
    const answer = rest(url);
    if (answer !== null) {
      const isClosed = authRequired && url.pathname.startsWith('/api/') && !accounts.admits(request.headers.authorization);
      const body = isClosed ? { success: false, error: { code: 'UNAUTHENTICATED', message: 'log in', details: null }, timestamp: '' } : answer;
      response.writeHead(isClosed ? 401 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      return;
    }
    const path = normalize(decodeURIComponent(url.pathname));
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
        if (changed[0].length + changed[1].length === 0 && !faults.has('tell')) return null;
        return { bids: changed[0], asks: changed[1], checksum: faults.delete('checksum') ? sum ^ 1 : sum };
      }
      case 'trades': {
        if (first) return { trades: share.trades.slice(-50) };
        const fresh = share.trades.filter((trade) => trade.seq > subscription.seq);
        return fresh.length === 0 ? null : { trades: fresh };
      }
      case 'definition':
        return { definition: share.definition };
      case 'status':
        return { phase: share.phase, state: 'P_SUREKLI_ISLEM', since: String(nowNs()) };
      case 'statistics':
        return share.statistics;
      case 'imbalance':
        return { auction: share.auction };
      default: {
        const list = share.candles[subscription.channel];
        return { candles: first ? list : list.slice(-2) };
      }
    }
  };

  const send = (client, message) => {
    if (!feed.isMute) client.socket.send(JSON.stringify(message));
  };
  const tellAll = (message) => {
    for (const client of clients) send(client, { channel: 'system', ts_out: String(nowNs()), ...message });
  };
  const emit = (client, subscription, share, first) => {
    const content = body(share, subscription, first);
    if (content === null) return;
    const stamp = String(nowNs());
    const frame = {
      channel: subscription.channel, type: first ? 'snapshot' : 'update', symbol: share.symbol, epoch, seq, prev_seq: first ? 0 : subscription.seq, ts_event: stamp,
      ts_recv: receivedAt ?? stamp, ts_out: String(BigInt(stamp) + 40_000n), ...(feed.mark === null ? {} : { maybe_bad: true, reason: feed.mark }), ...content,
    };
    subscription.seq = seq;
    if (!first && subscription.channel === 'book' && faults.delete('hole')) return;
    send(client, frame);
  };
  /** Sends what changed of the named channels to everybody. */
  const emitAll = (channels, first = false) => {
    seq++;
    faults.add('tell');
    for (const client of clients) {
      for (const subscription of client.subscriptions.values()) {
        if (channels.includes(subscription.channel)) emit(client, subscription, bySymbol.get(subscription.symbol), first);
      }
    }
    faults.delete('tell');
  };

  const answer = (client, request) => {
    const { method, params = {}, req_id } = request;
    const reply = (result) => send(client, { method, req_id, success: true, result, warnings: [], time_in: String(nowNs()), time_out: String(nowNs()) });
    const refuse = (symbol, code, retryable) => send(client, { method, req_id, success: false, error: { code, message: code, retryable }, symbol, time_in: '0', time_out: '0' });
    if (method === 'auth') {
      client.isKnown = accounts.admits(params.token);
      if (client.isKnown || !authRequired) reply({});
      else refuse(undefined, 'UNAUTHENTICATED', false);
      return;
    }
    if (authRequired && !client.isKnown) {
      refuse(undefined, 'AUTH_REQUIRED', false);
      return;
    }
    const list = params.symbol?.[0] === '*' ? shares.map((share) => share.symbol) : (params.symbol ?? []);
    if (params.channel === 'heartbeat') {
      reply({ channel: 'heartbeat', interval_s: 1, sub_id: client.nextId++ });
      beat(client);
      return;
    }
    if (params.symbol?.[0] === '*' && method === 'subscribe') reply({ channel: params.channel, symbol: '*', symbols: list.length, sub_id: client.nextId++ });
    for (const symbol of list) {
      const share = feed.session === 'waiting' ? undefined : bySymbol.get(symbol);
      const key = `${params.channel} ${symbol}`;
      if (!share) {
        refuse(symbol, 'SYMBOL_NOT_FOUND', feed.session === 'waiting');
      } else if (method === 'subscribe') {
        if (client.subscriptions.has(key)) refuse(symbol, 'ALREADY_SUBSCRIBED', false);
        else if (client.subscriptions.size >= subscriptionsMax) refuse(symbol, 'SUBSCRIPTION_LIMIT', false);
        else {
          const subscription = { channel: params.channel, symbol, depth: params.depth ?? 10, conflate: params.conflate_ms ?? 0, sentAt: 0, seq, subId: client.nextId++ };
          client.subscriptions.set(key, subscription);
          reply({ channel: params.channel, symbol, sub_id: subscription.subId, epoch, seq });
          emit(client, subscription, share, true);
        }
      } else if (method === 'unsubscribe') {
        client.subscriptions.delete(key);
        reply({ channel: params.channel, symbol });
      } else if (method === 'get_snapshot') {
        if (faults.delete('unavailable')) {
          refuse(symbol, 'SNAPSHOT_UNAVAILABLE', true);
          continue;
        }
        reply({ channel: params.channel, symbol, epoch, seq });
        const subscription = client.subscriptions.get(key);
        if (subscription) emit(client, subscription, share, true);
      }
    }
  };

  sockets.on('connection', (socket) => {
    const client = { socket, subscriptions: new Map(), nextId: 1 };
    clients.add(client);
    socket.on('close', () => clients.delete(client));
    if (origin !== null) {
      send(client, { channel: 'system', type: 'hello', version: '0.1.0', epoch, ...STATED[origin], subscriptions_max: subscriptionsMax, ts_out: String(nowNs()) });
    }
    socket.on('message', (data) => {
      const request = JSON.parse(data);
      requests.push({ ...request, at: Date.now() });
      answer(client, request);
    });
  });

  const pick = generator(seed);
  let due = 0;
  let last = Date.now();
  const turn = () => {
    const now = Date.now();
    due += ((now - last) / 1000) * rate;
    last = now;
    if (feed.session !== 'open' || feed.isMute) due = 0;
    while (due >= 1) {
      due--;
      seq++;
      const share = shares[Math.floor(pick() ** 2 * shares.length)];
      const trade = share.step();
      if (trade) {
        const ns = nowNs();
        share.trades.push({ seq, ts_event: String(ns), ts_recv: receivedAt ?? String(ns), match_id: String(seq), ...trade, conditions: [] });
        if (share.trades.length > 50) share.trades.shift();
        share.candle(trade, ns);
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
  const beat = (client) => {
    // In a burst the chains are ahead of what was sent: the heartbeat keeps the line alive and counts nothing.
    const subscriptions = bursting ? {} : Object.fromEntries([...client.subscriptions.values()].map((s) => [s.subId, s.seq]));
    const age = feed.session === 'waiting' ? null : feed.stale === null ? 3 : Date.now() - feed.stale;
    send(client, { channel: 'heartbeat', type: 'heartbeat', epoch, seq, server_time: String(nowNs()), feed_age_ms: age, session_state: feed.session, ...(feed.midway ? { joined_midway: true } : {}), subscriptions });
  };
  const heart = setInterval(() => {
    for (const client of clients) beat(client);
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

  const phase = (name) => {
    for (const share of shares) share.phase = name;
    emitAll(['status', 'imbalance']);
  };
  const FAULTS = {
    /** The next book update carries a wrong checksum; is not sent; the next `get_snapshot` is refused as retryable. */
    checksum: () => faults.add('checksum'),
    hole: () => faults.add('hole'),
    unavailable: () => faults.add('unavailable'),
    /** All connections end. */
    drop: () => {
      for (const client of clients) client.socket.terminate();
    },
    /** Sockets stay open and nothing comes over them; or again. */
    mute: () => (feed.isMute = true),
    unmute: () => (feed.isMute = false),
    /** The feed falls silent and the server says so; it speaks again; the day ends; a late exchange begins. */
    stale: () => {
      Object.assign(feed, { session: 'stale', stale: Date.now() });
      tellAll({ type: 'feed', state: 'stale' });
    },
    alive: () => {
      Object.assign(feed, { session: 'open', stale: null });
      tellAll({ type: 'feed', state: 'alive' });
    },
    ended: () => {
      feed.session = 'ended';
      tellAll({ type: 'feed', state: 'end_of_messages' });
    },
    begin: () => {
      feed.session = 'open';
      tellAll({ type: 'feed', state: 'start_of_messages' });
    },
    /** All books are marked; are whole again. */
    mark: () => {
      feed.mark = 'unknown_order';
      emitAll(['book']);
    },
    unmark: () => {
      feed.mark = null;
      emitAll(['book', 'statistics', 'status', 'imbalance']);
    },
    /** All shares collect orders; and show none of them; trade; are closed without an order. */
    auction: () => phase('opening_collection'),
    'hidden auction': () => {
      for (const share of shares) share.empty();
      phase('opening_collection');
      emitAll(['book'], true);
    },
    continuous: () => {
      for (const share of shares) share.refill();
      phase('continuous');
      emitAll(['book'], true);
    },
    closed: () => {
      for (const share of shares) share.empty();
      phase('closed');
      emitAll(['book'], true);
    },
    /** A gap of the feed; a slow-reader gap and snapshot on every book. */
    upstream: () => tellAll({ type: 'gap', sub_id: null, channel_of: null, symbol: '*', epoch, from_seq: seq, to_seq: seq, reason: 'upstream', venue_from: '88120', venue_to: '88190' }),
    gap: () => {
      for (const client of clients) {
        for (const subscription of client.subscriptions.values()) {
          if (subscription.channel !== 'book') continue;
          send(client, { channel: 'system', type: 'gap', sub_id: subscription.subId, channel_of: 'book', symbol: subscription.symbol, epoch, from_seq: subscription.seq + 1, to_seq: seq, reason: 'slow_reader', ts_out: String(nowNs()) });
          emit(client, subscription, bySymbol.get(subscription.symbol), true);
        }
      }
    },
  };

  return {
    burst,
    url: `http://127.0.0.1:${server.address().port}`,
    port: server.address().port,
    requests,
    accounts,
    symbols: shares.map(({ symbol }) => symbol),
    /** `channel symbol` of everything that is subscribed now, over all clients. */
    open: () => [...clients].flatMap((client) => [...client.subscriptions.keys()]),
    fault(name) {
      if (!(name in FAULTS)) throw new Error(`no fault ${name}`);
      FAULTS[name]();
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
  const { PORT = 8099, RATE = 400, SYMBOLS = 20, ORIGIN = 'real' } = process.env;
  const server = await start({ port: Number(PORT), rate: Number(RATE), symbols: Number(SYMBOLS), origin: ORIGIN });
  console.log(server.url);
}
