// The connection to /ws/v2: reconnecting, subscriptions that survive it, the apply rule of every chain, pacing of requests.
// Knows the protocol of docs/protocols/websocket.md; knows nothing of the page.

import { Chain } from './book.js';
import { Requests } from './requests.js';

/** Waits before the first and the last of repeated attempts to connect; each is drawn from 50 % to 100 % of its step. */
const BACKOFF_FIRST_MS = 300;
const BACKOFF_LAST_MS = 15_000;
/** Least waits that the document asks for after some close codes; 30 s where only a repaired client would help. */
const CLOSE_WAIT_MS = {
  1002: 30_000, 1003: 30_000, 1007: 30_000, 1009: 30_000, 1011: 1_000, 1013: 5_000,
  4400: 30_000, 4406: 30_000, 4409: 30_000, 4429: 5_000, 4490: 1_000,
};
/** A connection that is not open after this is tried anew. */
const CONNECT_MAX_MS = 10_000;
/** We ask for a heartbeat every second: this much silence means that the socket is dead though it looks open. */
const SILENCE_MAX_MS = 6_000;
/** A connection that lasted this long was a good one: the next wait is the first again. */
const SETTLED_MS = 5_000;
/** Between two attempts while the server refuses connections without a token and there is none. */
const DENIED_WAIT_MS = 30_000;
/** Subscriptions wait so long for the answer to a token. */
const AUTH_WAIT_MS = 3_000;
/** A snapshot that was asked for and did not come is asked for again after this. */
const SNAPSHOT_WAIT_MS = 5_000;
/** What was refused as retryable is asked for again after the first, at last the last of these. */
const REFUSED_FIRST_MS = 1_000;
const REFUSED_LAST_MS = 8_000;
/** Symbols of one request; the server takes 1,000. */
const SYMBOLS_MAX = 500;
/** Subscriptions of a connection while the server has not said how many it takes. */
const SUBSCRIPTIONS_ASSUMED = 1_024;

/** One wish for data: a channel and its symbols, or `*`. Lives across connections until `close()`. */
class Subscription {
  symbols = new Set();

  constructor(feed, params, handlers) {
    this.feed = feed;
    this.params = params;
    this.handlers = handlers;
    this.open = true;
  }

  /** Of a group: follows exactly these symbols from now on. One request for all that come, one for all that go. */
  show(symbols) {
    if (!this.open) return;
    const wanted = new Set(symbols);
    const come = [...wanted].filter((symbol) => !this.symbols.has(symbol));
    const go = [...this.symbols].filter((symbol) => !wanted.has(symbol));
    this.feed.leave(this, go);
    this.feed.enter(this, come);
  }

  /** Ends it; no frame is handed over after this call. */
  close() {
    if (!this.open) return;
    this.open = false;
    this.feed.remove(this);
  }

  /** What was received does not fit together: wait for a new snapshot of this one symbol. */
  resync(symbol, reason) {
    const entry = this.feed.entry(this.params.channel, symbol);
    if (entry?.subscription === this) this.feed.resync(entry, reason);
  }
}

export class Feed {
  /** Connection state: `connecting`, `live`, `waiting` (until the next attempt) or `closed`. */
  state = 'closed';
  /** Numbers for the details drawer and the tests. */
  counters = {
    frames: 0, bytes: 0, dropped: 0, ignored: 0, resyncs: 0, gaps: 0, reconnects: 0, refused: 0, malformed: 0, behind: 0,
  };
  lastClose = null;
  /** Subscriptions that the server takes on one connection. */
  subscriptionsMax = SUBSCRIPTIONS_ASSUMED;
  /** `performance.now()` of the last message of any kind, 0 before the first. */
  heardAt = 0;

  #socket = null;
  #subscriptions = new Set();
  /** channel → symbol → {subscription, symbol, chain, subId, askedAt, refusals, again, againAt} */
  #entries = new Map();
  #wildcards = new Map();
  #bySubId = new Map();
  #requests = new Requests((request) => this.#send(request));
  #retryTimer = null;
  #watchdog = null;
  #attempt = 0;
  #wait = 0;
  #serverWait = null;
  #openedAt = Infinity;
  /** Subscriptions of this connection may be asked for: it is open, and its token, where there is one, was answered. */
  #isReady = false;
  #authTimer = null;
  /** Something was refused for want of a token. */
  #isStranger = false;
  #authRefusals = 0;

  /**
   * `listener.token()` gives an access token, null for none: a connection begins with it. `isDenied()`: without one there is no
   * use in coming back soon.
   *
   * `listener` may have onState(state, detail), onSystem(frame), onHeartbeat(frame), onFrame(frame), onResync(entry, reason), onRefused(error, request).
   */
  constructor(url, listener) {
    this.url = url;
    this.listener = listener;
  }

  connect() {
    clearTimeout(this.#retryTimer);
    this.#setState('connecting');
    let socket;
    try {
      socket = new WebSocket(this.url, ['bist.v2.json']);
    } catch (error) {
      this.#retry({ code: 0, reason: String(error) });
      return;
    }
    this.#socket = socket;
    this.#retryTimer = setTimeout(() => this.#abandon('no answer'), CONNECT_MAX_MS);
    socket.onopen = () => this.#onOpen();
    socket.onmessage = (message) => this.#onMessage(message.data);
    socket.onclose = (event) => {
      if (this.#socket === socket) this.#onClose(event.code, event.reason);
    };
  }

  /** Milliseconds until the next attempt, while `waiting`. */
  get retryInMs() {
    return Math.max(0, this.#wait - performance.now());
  }

  /**
   * Subscribes `params.channel` of `params.symbol` (one symbol, or `*`).
   *
   * `handlers.onFrame(frame, decision)` gets what the apply rule let through; `handlers.chain` may be a `Book`;
   * `handlers.onGap(frame)`, `handlers.onRefused(error, symbol)` are optional.
   */
  subscribe(params, handlers) {
    const { symbol, ...rest } = params;
    const subscription = new Subscription(this, params, handlers);
    subscription.rest = rest;
    this.#subscriptions.add(subscription);
    if (symbol === '*') {
      this.#wildcards.set(params.channel, subscription);
      subscription.symbols.add('*');
      this.#ask(subscription, ['*']);
    } else {
      this.enter(subscription, [symbol], handlers.chain);
    }
    return subscription;
  }

  /** Subscribes one channel of a set of symbols that changes: see `show()` of what it returns. Handlers as of `subscribe`. */
  group(params, handlers) {
    const subscription = new Subscription(this, params, handlers);
    subscription.rest = params;
    this.#subscriptions.add(subscription);
    return subscription;
  }

  entry(channel, symbol) {
    return this.#entries.get(channel)?.get(symbol);
  }

  /** Symbols come to a subscription. */
  enter(subscription, symbols, chain = undefined) {
    for (const symbol of symbols) {
      subscription.symbols.add(symbol);
      this.#enter(subscription, symbol, chain ?? new Chain());
    }
    this.#ask(subscription, symbols);
  }

  /** Symbols leave a subscription. */
  leave(subscription, symbols) {
    const { channel } = subscription.params;
    for (const symbol of symbols) {
      subscription.symbols.delete(symbol);
      this.#leave(channel, symbol, subscription);
    }
    const known = this.#requests.withdraw(subscription, symbols);
    if (!this.#isReady) return;
    for (const part of parts(known)) this.#requests.push({ method: 'unsubscribe', params: { channel, symbol: part } });
  }

  remove(subscription) {
    const { channel } = subscription.params;
    this.#subscriptions.delete(subscription);
    if (subscription.symbols.has('*')) {
      this.#wildcards.delete(channel);
      for (const [name, entry] of this.#entries.get(channel) ?? []) if (entry.subscription === subscription) this.#leave(channel, name, subscription);
    }
    this.leave(subscription, [...subscription.symbols]);
  }

  resync(entry, reason) {
    entry.chain.forget();
    entry.askedAt = performance.now();
    this.counters.resyncs++;
    this.listener.onResync?.(entry, reason);
    this.#askSnapshots(entry.subscription, [entry.symbol]);
  }

  #enter(subscription, symbol, chain) {
    const { channel } = subscription.params;
    let symbols = this.#entries.get(channel);
    if (!symbols) this.#entries.set(channel, (symbols = new Map()));
    const entry = { subscription, symbol, chain, subId: null, askedAt: 0, refusals: 0, again: null, againAt: 0 };
    symbols.set(symbol, entry);
    return entry;
  }

  #leave(channel, symbol, subscription) {
    const entry = this.#entries.get(channel)?.get(symbol);
    if (entry?.subscription !== subscription) return;
    this.#entries.get(channel).delete(symbol);
    if (entry.subId !== null) this.#bySubId.delete(entry.subId);
  }

  // -- connection

  #onOpen() {
    clearTimeout(this.#retryTimer);
    this.#serverWait = null;
    this.heardAt = performance.now();
    this.#openedAt = this.heardAt;
    this.#bySubId.clear();
    this.#requests.reset();
    this.subscriptionsMax = SUBSCRIPTIONS_ASSUMED;
    for (const symbols of this.#entries.values()) {
      for (const entry of symbols.values()) {
        entry.chain.forget();
        entry.subId = null;
        Object.assign(entry, { askedAt: 0, refusals: 0, again: null });
      }
    }
    this.#setState('live');
    clearInterval(this.#watchdog);
    this.#watchdog = setInterval(() => this.#watch(), 1_000);
    if (!this.#sendToken()) {
      this.#begin();
      return;
    }
    // A server that does not answer to a token may still give its public market.
    clearTimeout(this.#authTimer);
    this.#authTimer = setTimeout(() => this.#begin(), AUTH_WAIT_MS);
  }

  #begin() {
    clearTimeout(this.#authTimer);
    if (this.#isReady || this.state !== 'live') return;
    this.#isReady = true;
    this.#requests.push({ method: 'subscribe', params: { channel: 'heartbeat', interval_s: 1 } });
    for (const subscription of this.#subscriptions) this.#ask(subscription, [...subscription.symbols]);
  }

  /** The token of the person who is signed in, if there is one: gives whether it was sent. */
  #sendToken() {
    const token = this.listener.token?.() ?? null;
    if (token !== null) this.#requests.push({ method: 'auth', params: { token } });
    return token !== null;
  }

  /** There is another token: an open connection goes on with it. */
  authenticate() {
    if (this.#isReady) this.#sendToken();
  }

  /** Begins the connection anew, at once: the session has changed. */
  restart() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#closed();
    this.connect();
  }

  #onClose(code, reason) {
    clearTimeout(this.#retryTimer);
    this.#closed();
    // A server that accepts and closes at once must not be asked at full speed.
    if (performance.now() - this.#openedAt > SETTLED_MS) this.#attempt = 0;
    this.#openedAt = Infinity;
    this.#retry({ code, reason });
  }

  #closed() {
    clearInterval(this.#watchdog);
    clearTimeout(this.#authTimer);
    this.#isReady = false;
    this.#isStranger = false;
    this.#authRefusals = 0;
    this.#requests.reset();
    this.#socket = null;
  }

  #retry(close) {
    this.lastClose = { ...close, at: Date.now() };
    this.counters.reconnects++;
    const step = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(this.#attempt++, 16));
    let wait = step * (0.5 + Math.random() / 2);
    if (this.#serverWait !== null) wait = this.#serverWait;
    else if (CLOSE_WAIT_MS[close.code]) wait = Math.max(wait, CLOSE_WAIT_MS[close.code] * (1 + Math.random() / 4));
    this.#serverWait = null;
    if (this.listener.isDenied?.()) wait = Math.max(wait, DENIED_WAIT_MS);
    this.#wait = performance.now() + wait;
    this.#setState('waiting');
    this.#retryTimer = setTimeout(() => this.connect(), wait);
  }

  /** The network came back or the person looks at the page again: do not sit out a long wait. */
  hurry() {
    if (this.state === 'waiting' && this.#wait - performance.now() > 1_000) this.connect();
  }

  /** Gives the socket up without waiting for its close, which a dead peer never answers. */
  #abandon(reason) {
    this.#drop();
    this.#onClose(0, reason);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = null;
      socket.onmessage = null;
      socket.close();
    }
  }

  #watch() {
    if (this.state !== 'live') return;
    const now = performance.now();
    if (now - this.heardAt > SILENCE_MAX_MS) {
      this.#abandon('silence');
      return;
    }
    for (const symbols of this.#entries.values()) {
      for (const entry of symbols.values()) {
        if (entry.askedAt !== 0 && now - entry.askedAt > SNAPSHOT_WAIT_MS) this.resync(entry, 'snapshot_timeout');
      }
    }
    this.#askAgain(now);
  }

  /** What was refused as retryable and whose wait is over: one request for all symbols of a subscription. */
  #askAgain(now) {
    const due = new Map();
    for (const symbols of this.#entries.values()) {
      for (const entry of symbols.values()) {
        if (entry.again === null || entry.againAt > now) continue;
        const key = entry.again;
        if (!due.has(entry.subscription)) due.set(entry.subscription, { subscribe: [], get_snapshot: [] });
        due.get(entry.subscription)[key].push(entry.symbol);
        entry.again = null;
        entry.askedAt = key === 'get_snapshot' ? now : 0;
      }
    }
    for (const [subscription, { subscribe, get_snapshot: snapshots }] of due) {
      this.#ask(subscription, subscribe);
      this.#askSnapshots(subscription, snapshots);
    }
  }

  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.listener.onState?.(state);
  }

  // -- requests

  #send(request) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(request));
    return true;
  }

  #ask(subscription, symbols) {
    if (!this.#isReady) return;
    for (const part of parts(symbols)) this.#requests.push({ method: 'subscribe', params: { ...subscription.rest, symbol: part } }, subscription);
  }

  #askSnapshots(subscription, symbols) {
    if (!this.#isReady) return;
    const { channel } = subscription.params;
    for (const part of parts(symbols)) this.#requests.push({ method: 'get_snapshot', params: { channel, symbol: part } }, subscription);
  }

  // -- what comes in

  #onMessage(text) {
    this.heardAt = performance.now();
    this.counters.bytes += text.length;
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      this.counters.malformed++;
      return;
    }
    if (typeof message.channel === 'string') this.#onFrame(message);
    else if (typeof message.method === 'string') this.#onReply(message);
    else this.counters.malformed++;
  }

  #onFrame(frame) {
    this.counters.frames++;
    if (frame.channel === 'heartbeat') {
      this.#onHeartbeat(frame);
      return;
    }
    if (frame.channel === 'system') {
      this.#onSystem(frame);
      return;
    }
    let entry = this.#entries.get(frame.channel)?.get(frame.symbol);
    if (!entry) {
      const wildcard = this.#wildcards.get(frame.channel);
      if (!wildcard) {
        // OK because: the last frames of a subscription that was just ended.
        this.counters.ignored++;
        return;
      }
      entry = this.#enter(wildcard, frame.symbol, new Chain());
    }
    const decision = entry.chain.accept(frame);
    switch (decision) {
      case 'replace':
      case 'apply':
        if (decision === 'replace') Object.assign(entry, { askedAt: 0, refusals: 0, again: null });
        entry.subscription.handlers.onFrame(frame, decision);
        this.listener.onFrame?.(frame);
        break;
      case 'resync':
        this.resync(entry, 'chain');
        break;
      case 'drop':
        this.counters.dropped++;
        break;
      default:
        this.counters.ignored++;
    }
  }

  #onHeartbeat(frame) {
    // A heartbeat is queued behind all frames it counts: whoever is behind it has lost one.
    for (const id in frame.subscriptions ?? {}) {
      const seq = frame.subscriptions[id];
      const entry = this.#bySubId.get(Number(id));
      if (!entry || seq === null || entry.chain.waiting || entry.chain.have === null) continue;
      if (entry.chain.have.epoch === frame.epoch && entry.chain.have.seq < seq) {
        this.counters.behind++;
        this.resync(entry, 'heartbeat');
      }
    }
    this.listener.onHeartbeat?.(frame);
  }

  #onSystem(frame) {
    if (frame.type === 'gap') {
      this.counters.gaps++;
      if (frame.sub_id !== null && frame.sub_id !== undefined) {
        const entry = this.#bySubId.get(frame.sub_id);
        entry?.chain.forget();
        entry?.subscription.handlers.onGap?.(frame);
      }
    } else if (frame.type === 'server_shutdown') {
      this.#serverWait = Math.max(0, Number(frame.reconnect_after_ms) || 0);
    } else if (frame.type === 'hello') {
      if (Number.isInteger(frame.subscriptions_max) && frame.subscriptions_max > 0) this.subscriptionsMax = frame.subscriptions_max;
    } else if (frame.type === 'feed' && frame.state !== 'stale') {
      // The feed speaks: what was refused for want of it may be there now.
      for (const symbols of this.#entries.values()) for (const entry of symbols.values()) entry.againAt = 0;
    }
    this.listener.onSystem?.(frame);
  }

  #onReply(reply) {
    const pending = this.#requests.answered(reply);
    if (pending === null) return;
    const { request, subscription } = pending;
    if (request.method === 'auth') this.#onAuth(reply);
    if (!reply.success) {
      this.#onRefused(reply, request, subscription);
      return;
    }
    if (request.method !== 'subscribe' || !subscription?.open) return;
    const { channel, symbol, sub_id: subId } = reply.result;
    if (symbol === '*') return;
    let entry = this.entry(channel, symbol);
    if (!entry && subscription.symbols.has('*')) entry = this.#enter(subscription, symbol, new Chain());
    if (!entry) return;
    entry.subId = subId;
    this.#bySubId.set(subId, entry);
  }

  /** Subscriptions that were refused for want of a token are asked for again when one is taken. */
  #onAuth({ success, error }) {
    if (success && this.#isStranger) this.#isReady = this.#isStranger = false;
    if (success) this.#authRefusals = 0;
    this.#begin();
    if (success || error?.retryable !== true) return;
    const step = Math.min(REFUSED_LAST_MS, REFUSED_FIRST_MS * 2 ** Math.min(this.#authRefusals++, 16));
    clearTimeout(this.#authTimer);
    this.#authTimer = setTimeout(() => this.authenticate(), step);
  }

  #onRefused(reply, request, subscription) {
    this.counters.refused++;
    const { error } = reply;
    if (error.code === 'AUTH_REQUIRED') this.#isStranger = true;
    for (const symbol of reply.symbol === undefined ? (request.params?.symbol ?? []) : [reply.symbol]) {
      const entry = subscription?.open ? this.entry(subscription.params.channel, symbol) : undefined;
      if (entry?.subscription === subscription && entry !== undefined) this.#refuse(entry, request.method, error);
      if (subscription?.open) subscription.handlers.onRefused?.(error, symbol);
    }
    this.listener.onRefused?.(error, request);
  }

  /** Whatever is retryable is asked for again, later each time; a chain that cannot be repaired is begun anew. */
  #refuse(entry, method, error) {
    const { subscription, symbol } = entry;
    entry.askedAt = 0;
    if (error.retryable === true) {
      // The server that does not know the symbol has no subscription of it either.
      entry.again = method === 'get_snapshot' && error.code !== 'SYMBOL_NOT_FOUND' ? 'get_snapshot' : 'subscribe';
      const step = Math.min(REFUSED_LAST_MS, REFUSED_FIRST_MS * 2 ** Math.min(entry.refusals++, 16));
      entry.againAt = performance.now() + step * (0.75 + Math.random() / 4);
    } else if (error.code === 'ALREADY_SUBSCRIBED') {
      this.#askSnapshots(subscription, [symbol]);
    } else if (method === 'get_snapshot' && !subscription.symbols.has('*')) {
      this.#requests.push({ method: 'unsubscribe', params: { channel: subscription.params.channel, symbol: [symbol] } });
      this.#ask(subscription, [symbol]);
    }
  }
}

/** A list in pieces that one request takes. */
function parts(symbols) {
  const out = [];
  for (let at = 0; at < symbols.length; at += SYMBOLS_MAX) out.push(symbols.slice(at, at + SYMBOLS_MAX));
  return out;
}
