// The requests that wait to be sent: paced below the server's limit, bounded, and what they were about until they are answered.
// Knows no channel and no socket.

/** The server takes 10 requests a second, burst 10; we stay below it, so that none is ever delayed there. */
const REQUESTS_BURST = 9;
const REQUEST_EVERY_MS = 115;
/** Requests that wait here; beyond it the oldest `get_snapshot` is given up (its chain asks again). */
const QUEUE_MAX = 200;
/** Requests whose answers are awaited. */
const PENDING_MAX = 800;

export class Requests {
  #send;
  #queue = [];
  /** req_id → {request, subscription, left}; a wildcard's replies go on for as long as symbols are listed. */
  #pending = new Map();
  #tokens = REQUESTS_BURST;
  #tokensAt = 0;
  #timer = null;
  #lastId = 0;

  /** `send(request)` gives false while there is no open socket. */
  constructor(send) {
    this.#send = send;
  }

  /** Forgets everything: a new connection knows nothing of the last one's requests. */
  reset() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#queue.length = 0;
    this.#pending.clear();
    this.#tokens = REQUESTS_BURST;
    this.#tokensAt = performance.now();
  }

  push(request, subscription = null) {
    if (this.#queue.length >= QUEUE_MAX) {
      const victim = this.#queue.findIndex((item) => item.request.method === 'get_snapshot');
      if (victim < 0) return;
      this.#queue.splice(victim, 1);
    }
    this.#queue.push({ request, subscription });
    this.#pump();
  }

  /** Takes symbols out of subscribe requests that were not sent yet; returns those that the server has heard of. */
  withdraw(subscription, symbols) {
    const unsent = new Set();
    for (const item of this.#queue) {
      if (item.subscription !== subscription || item.request.method !== 'subscribe') continue;
      const { params } = item.request;
      for (const symbol of params.symbol) if (symbols.includes(symbol)) unsent.add(symbol);
      params.symbol = params.symbol.filter((symbol) => !symbols.includes(symbol));
    }
    if (unsent.size > 0) this.#queue = this.#queue.filter(({ request }) => request.method !== 'subscribe' || request.params.symbol?.length !== 0);
    return symbols.filter((symbol) => !unsent.has(symbol));
  }

  /** What a reply answers: `{request, subscription}`, or null when it is not ours. */
  answered(reply) {
    const pending = this.#pending.get(reply.req_id);
    if (!pending) return null;
    const isWildcard = pending.request.params?.symbol?.[0] === '*';
    pending.left--;
    if (!isWildcard && (pending.left <= 0 || (!reply.success && reply.symbol === undefined))) this.#pending.delete(reply.req_id);
    return pending;
  }

  #pump() {
    if (this.#timer !== null) return;
    const now = performance.now();
    const earned = Math.floor((now - this.#tokensAt) / REQUEST_EVERY_MS);
    if (earned > 0) {
      this.#tokens = Math.min(REQUESTS_BURST, this.#tokens + earned);
      this.#tokensAt = this.#tokens === REQUESTS_BURST ? now : this.#tokensAt + earned * REQUEST_EVERY_MS;
    }
    while (this.#tokens > 0 && this.#queue.length > 0) {
      const { request, subscription } = this.#queue[0];
      request.req_id = this.#lastId + 1;
      if (!this.#send(request)) break;
      this.#lastId++;
      this.#queue.shift();
      this.#pending.set(request.req_id, { request, subscription, left: request.params?.symbol?.length ?? 1 });
      if (this.#pending.size > PENDING_MAX) this.#pending.delete(this.#pending.keys().next().value);
      this.#tokens--;
    }
    if (this.#queue.length > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.#pump();
      }, REQUEST_EVERY_MS);
    }
  }
}
