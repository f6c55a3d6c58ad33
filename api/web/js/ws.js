// The connection to /ws/v2: reconnecting, subscriptions that survive it, the apply rule of every chain, pacing of requests.
// Knows the protocol of docs/protocols/websocket.md; knows nothing of the page.

import { Chain } from './book.js';

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
/** The server takes 10 requests a second, burst 10; we stay below it, so that none is ever delayed there. */
const REQUESTS_BURST = 9;
const REQUEST_EVERY_MS = 115;
/** Requests that wait here; beyond it the oldest `get_snapshot` is given up (its chain asks again). */
const QUEUE_MAX = 200;
/** A snapshot that was asked for and did not come is asked for again after this. */
const SNAPSHOT_WAIT_MS = 5_000;

/** One wish for data: a channel and a symbol, or `*`. Lives across connections until `close()`. */
class Subscription {
  constructor(feed, params, handlers) {
    this.feed = feed;
    this.params = params;
    this.handlers = handlers;
    this.open = true;
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

  #socket = null;
  #subscriptions = new Set();
  /** channel → symbol → {subscription, symbol, chain, subId, askedAt} */
  #entries = new Map();
  #wildcards = new Map();
  #bySubId = new Map();
  #pending = new Map();
  #queue = [];
  #tokens = REQUESTS_BURST;
  #tokensAt = 0;
  #pumpTimer = null;
  #retryTimer = null;
  #watchdog = null;
  #attempt = 0;
  #wait = 0;
  #serverWait = null;
  #requestId = 0;
  #heardAt = 0;
  #openedAt = Infinity;

  /** `listener` may have onState(state, detail), onSystem(frame), onHeartbeat(frame), onFrame(frame), onResync(entry, reason). */
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
   * `handlers.onGap(frame)`, `handlers.onRefused(error)` are optional.
   */
  subscribe(params, handlers) {
    const subscription = new Subscription(this, params, handlers);
    this.#subscriptions.add(subscription);
    if (params.symbol === '*') this.#wildcards.set(params.channel, subscription);
    else this.#enter(subscription, params.symbol, handlers.chain ?? new Chain());
    if (this.state === 'live') this.#sendSubscribe(subscription);
    return subscription;
  }

  entry(channel, symbol) {
    return this.#entries.get(channel)?.get(symbol);
  }

  remove(subscription) {
    const { channel, symbol } = subscription.params;
    this.#subscriptions.delete(subscription);
    const unsent = this.#queue.findIndex((item) => item.subscription === subscription && item.request.method === 'subscribe');
    if (unsent >= 0) this.#queue.splice(unsent, 1);
    if (symbol === '*') {
      this.#wildcards.delete(channel);
      for (const [name, entry] of this.#entries.get(channel) ?? []) if (entry.subscription === subscription) this.#leave(channel, name);
    } else {
      this.#leave(channel, symbol);
    }
    if (unsent < 0 && this.state === 'live') {
      this.#enqueue({ method: 'unsubscribe', params: { channel, symbol: [symbol] } }, null);
    }
  }

  resync(entry, reason) {
    entry.chain.forget();
    entry.askedAt = performance.now();
    this.counters.resyncs++;
    this.listener.onResync?.(entry, reason);
    this.#enqueue({ method: 'get_snapshot', params: { channel: entry.subscription.params.channel, symbol: [entry.symbol] } }, entry.subscription);
  }

  #enter(subscription, symbol, chain) {
    const { channel } = subscription.params;
    let symbols = this.#entries.get(channel);
    if (!symbols) this.#entries.set(channel, (symbols = new Map()));
    const entry = { subscription, symbol, chain, subId: null, askedAt: 0 };
    symbols.set(symbol, entry);
    return entry;
  }

  #leave(channel, symbol) {
    const entry = this.#entries.get(channel)?.get(symbol);
    if (!entry) return;
    this.#entries.get(channel).delete(symbol);
    if (entry.subId !== null) this.#bySubId.delete(entry.subId);
  }

  // -- connection

  #onOpen() {
    clearTimeout(this.#retryTimer);
    this.#serverWait = null;
    this.#heardAt = performance.now();
    this.#openedAt = this.#heardAt;
    this.#tokens = REQUESTS_BURST;
    this.#tokensAt = this.#heardAt;
    this.#bySubId.clear();
    this.#pending.clear();
    this.#queue.length = 0;
    for (const symbols of this.#entries.values()) {
      for (const entry of symbols.values()) {
        entry.chain.forget();
        entry.subId = null;
        entry.askedAt = 0;
      }
    }
    this.#setState('live');
    this.#enqueue({ method: 'subscribe', params: { channel: 'heartbeat', interval_s: 1 } }, null);
    for (const subscription of this.#subscriptions) this.#sendSubscribe(subscription);
    clearInterval(this.#watchdog);
    this.#watchdog = setInterval(() => this.#watch(), 1_000);
  }

  #onClose(code, reason) {
    clearTimeout(this.#retryTimer);
    clearInterval(this.#watchdog);
    clearTimeout(this.#pumpTimer);
    this.#pumpTimer = null;
    this.#socket = null;
    // A server that accepts and closes at once must not be asked at full speed.
    if (performance.now() - this.#openedAt > SETTLED_MS) this.#attempt = 0;
    this.#openedAt = Infinity;
    this.#retry({ code, reason });
  }

  #retry(close) {
    this.lastClose = { ...close, at: Date.now() };
    this.counters.reconnects++;
    const step = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(this.#attempt++, 16));
    let wait = step * (0.5 + Math.random() / 2);
    if (this.#serverWait !== null) wait = this.#serverWait;
    else if (CLOSE_WAIT_MS[close.code]) wait = Math.max(wait, CLOSE_WAIT_MS[close.code] * (1 + Math.random() / 4));
    this.#serverWait = null;
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
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = null;
      socket.onmessage = null;
      socket.close();
    }
    this.#onClose(0, reason);
  }

  #watch() {
    if (this.state !== 'live') return;
    const now = performance.now();
    if (now - this.#heardAt > SILENCE_MAX_MS) {
      this.#abandon('silence');
      return;
    }
    for (const symbols of this.#entries.values()) {
      for (const entry of symbols.values()) {
        if (entry.askedAt !== 0 && now - entry.askedAt > SNAPSHOT_WAIT_MS) this.resync(entry, 'snapshot_timeout');
      }
    }
  }

  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.listener.onState?.(state);
  }

  // -- requests

  #sendSubscribe(subscription) {
    const { symbol, ...rest } = subscription.params;
    this.#enqueue({ method: 'subscribe', params: { ...rest, symbol: [symbol] } }, subscription);
  }

  #enqueue(request, subscription) {
    if (this.state !== 'live') return;
    if (this.#queue.length >= QUEUE_MAX) {
      const victim = this.#queue.findIndex((item) => item.request.method === 'get_snapshot');
      if (victim < 0) return;
      this.#queue.splice(victim, 1);
    }
    this.#queue.push({ request, subscription });
    this.#pump();
  }

  #pump() {
    if (this.#pumpTimer !== null) return;
    const now = performance.now();
    const earned = Math.floor((now - this.#tokensAt) / REQUEST_EVERY_MS);
    if (earned > 0) {
      this.#tokens = Math.min(REQUESTS_BURST, this.#tokens + earned);
      this.#tokensAt = this.#tokens === REQUESTS_BURST ? now : this.#tokensAt + earned * REQUEST_EVERY_MS;
    }
    while (this.#tokens > 0 && this.#queue.length > 0 && this.#socket?.readyState === WebSocket.OPEN) {
      const { request, subscription } = this.#queue.shift();
      request.req_id = ++this.#requestId;
      this.#pending.set(request.req_id, { request, subscription });
      // A wildcard's replies go on for as long as symbols are listed: only single requests leave the table when answered.
      if (this.#pending.size > 4 * QUEUE_MAX) this.#pending.delete(this.#pending.keys().next().value);
      this.#socket.send(JSON.stringify(request));
      this.#tokens--;
    }
    if (this.#queue.length > 0) {
      this.#pumpTimer = setTimeout(() => {
        this.#pumpTimer = null;
        this.#pump();
      }, REQUEST_EVERY_MS);
    }
  }

  // -- what comes in

  #onMessage(text) {
    this.#heardAt = performance.now();
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
        if (decision === 'replace') entry.askedAt = 0;
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
    }
    this.listener.onSystem?.(frame);
  }

  #onReply(reply) {
    const pending = this.#pending.get(reply.req_id);
    if (!pending) return;
    const { request, subscription } = pending;
    const wildcard = request.params?.symbol?.[0] === '*';
    if (!wildcard) this.#pending.delete(reply.req_id);
    if (!reply.success) {
      this.#onRefused(reply, request, subscription);
      return;
    }
    if (request.method !== 'subscribe' || !subscription?.open) return;
    const { channel, symbol, sub_id: subId } = reply.result;
    if (symbol === '*') return;
    const entry = this.entry(channel, symbol) ?? this.#enter(subscription, symbol, new Chain());
    entry.subId = subId;
    this.#bySubId.set(subId, entry);
  }

  #onRefused(reply, request, subscription) {
    this.counters.refused++;
    if (request.method === 'get_snapshot' && subscription?.open) {
      // The chain cannot be repaired this way: start the subscription anew.
      const symbol = request.params.symbol[0];
      const entry = this.entry(subscription.params.channel, symbol);
      if (entry) entry.askedAt = 0;
      if (subscription.params.symbol !== '*') {
        this.#enqueue({ method: 'unsubscribe', params: { channel: subscription.params.channel, symbol: [symbol] } }, null);
        this.#sendSubscribe(subscription);
      }
      return;
    }
    subscription?.handlers.onRefused?.(reply.error);
    this.listener.onRefused?.(reply.error, request);
  }
}
