// Calls of the accounts API: time-outs, one refresh at a time over all tabs, one retry after 401, waits that the server asks for.
// The access token is in memory only, the refresh token in sessionStorage; neither is ever written to a log. Draws nothing.

import { AccountError, errorOf } from './account-errors.js';
import { oneTabAtATime } from './tab-lock.js';

const BASE = '/api/v1/';
const REQUEST_MAX_MS = 10_000;
/** Hashing a password waits its turn at the server. */
const PASSWORD_MAX_MS = 25_000;
/** An access token is replaced when it has this long to live: a tab in the background may sleep a minute of it. */
const REFRESH_BEFORE_MS = 120_000;
/** After a refresh that got no answer. */
const REFRESH_AGAIN_MS = 10_000;
/** A wait that the server asks for is sat out up to this; a longer one is told to the person. */
const WAIT_MAX_MS = 5_000;
const TRIES_MAX = 3;
/** How long other tabs have to say that they rotated a copy of our refresh token. */
const ASK_TABS_MS = 150;
/** Refresh tokens of the past that a tab remembers for others. */
const PAST_MAX = 8;
const STORED = 'bist.refresh';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export class AccountClient {
  #access = null;
  /** `now()` after which the access token is not used. */
  #expiresAt = 0;
  #refresh = null;
  #past = [];
  #refreshing = null;
  #timer = null;
  #answerFromTab = null;
  #onSession;
  #fetch;
  #storage;
  #channel;
  #now;
  #oneTab;

  /**
   * `onSession(change)` is told `signed-in`, `refreshed` or `ended`. The rest is for tests: `fetch`, `storage` (like
   * sessionStorage), `channel` (like a BroadcastChannel, null for none), `now` (milliseconds, monotonic), `oneTab(name, work)`.
   */
  constructor({ onSession = () => {}, fetch = globalThis.fetch.bind(globalThis), storage = sessionStorageOrNull(), channel = channelOrNull(), now = () => performance.now(), oneTab = oneTabAtATime } = {}) {
    this.#onSession = onSession;
    this.#fetch = fetch;
    this.#storage = storage;
    this.#channel = channel;
    this.#now = now;
    this.#oneTab = oneTab;
    this.#refresh = this.#load();
    if (channel) channel.onmessage = ({ data }) => this.#onTab(data);
  }

  /** Whether a person is signed in, as far as this tab knows. */
  get isSignedIn() {
    return this.#refresh !== null;
  }

  /** The access token if there is one that still lives, null otherwise; never asks the server. */
  get accessToken() {
    return this.#access !== null && this.#now() < this.#expiresAt ? this.#access : null;
  }

  /** Goes on with the session of before a reload. Gives whether there is one. */
  async restore() {
    if (this.#refresh === null) return false;
    await this.#renew();
    return true;
  }

  /** Begins a session: `{email, password, totp?, recovery_code?}`. */
  async login(credentials) {
    this.#begin(await this.#call('POST', 'auth/login', credentials, { limitMs: PASSWORD_MAX_MS }));
    this.#onSession('signed-in');
  }

  /** Ends the session here, or everywhere. A refusal by the server is an error only for `everywhere`. */
  async logout(everywhere = false) {
    if (everywhere) await this.post('auth/logout-all');
    const token = this.#refresh;
    this.#end(true);
    if (everywhere || token === null) return;
    try {
      await this.#call('POST', 'auth/logout', { refresh_token: token });
    } catch {
      // OK because: this tab has forgotten the token, and the server forgets it when it expires.
    }
  }

  /** Forgets the session without asking: the server has ended it. */
  forget() {
    if (this.#refresh !== null) this.#end(true);
  }

  get(path) {
    return this.#authorised('GET', path);
  }

  post(path, body, more) {
    return this.#authorised('POST', path, body, more);
  }

  put(path, body) {
    return this.#authorised('PUT', path, body);
  }

  patch(path, body) {
    return this.#authorised('PATCH', path, body);
  }

  delete(path, body, more) {
    return this.#authorised('DELETE', path, body, more);
  }

  /** A call without a credential. `isSlow`: a password is hashed for it. */
  open(method, path, body, { isSlow = false } = {}) {
    return this.#call(method, path, body, { limitMs: isSlow ? PASSWORD_MAX_MS : REQUEST_MAX_MS });
  }

  // -- requests

  async #authorised(method, path, body, { isSlow = false } = {}) {
    if (this.#refresh === null) throw new AccountError('UNAUTHENTICATED', { status: 401 });
    if (this.#access === null || this.#now() >= this.#expiresAt) await this.#renew();
    const used = this.#access;
    const more = { limitMs: isSlow ? PASSWORD_MAX_MS : REQUEST_MAX_MS };
    try {
      return await this.#call(method, path, body, { ...more, token: used });
    } catch (error) {
      if (error.code !== 'UNAUTHENTICATED') throw error;
      // Another call may have replaced the token meanwhile; one refresh, one more try, and no third.
      if (this.#access === used) await this.#renew();
      return this.#call(method, path, body, { ...more, token: this.#access });
    }
  }

  /** One request, sent again after a wait that the server asks for and that people would sit out. */
  async #call(method, path, body, { token = null, limitMs = REQUEST_MAX_MS } = {}) {
    const isIdempotent = method !== 'POST' && method !== 'PATCH';
    for (let tries = 1; ; tries++) {
      try {
        return await this.#send(method, path, body, token, limitMs);
      } catch (error) {
        const waitMs = error.retryAfterMs ?? 1_000;
        if (tries >= TRIES_MAX || waitMs > WAIT_MAX_MS || !error.isRetryable?.(isIdempotent)) throw error;
        await pause(waitMs);
      }
    }
  }

  async #send(method, path, body, token, limitMs) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), limitMs);
    try {
      const headers = { accept: 'application/json' };
      if (token !== null) headers.authorization = `Bearer ${token}`;
      if (body !== undefined) headers['content-type'] = 'application/json';
      const answer = await this.#fetch(BASE + path, {
        method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: abort.signal, cache: 'no-store', credentials: 'omit', redirect: 'error',
      });
      const content = await answer.json().catch(() => null);
      if (answer.ok && content?.success === true) return content.data;
      throw errorOf(answer.status, content, answer.headers.get('retry-after'));
    } catch (error) {
      if (error instanceof AccountError) throw error;
      // The browser's own error may name the request; only its kind goes on.
      throw new AccountError(abort.signal.aborted ? 'TIMEOUT' : 'NETWORK');
    } finally {
      clearTimeout(timer);
    }
  }

  // -- the session

  #begin({ access_token: access, refresh_token: refresh, expires_in: seconds }) {
    if (typeof access !== 'string' || typeof refresh !== 'string') throw new AccountError('INTERNAL');
    if (this.#refresh !== null && this.#refresh !== refresh) this.#past = [this.#refresh, ...this.#past].slice(0, PAST_MAX);
    const lifeMs = Math.max(0, Number(seconds) || 0) * 1_000;
    this.#access = access;
    this.#expiresAt = this.#now() + lifeMs - Math.min(REFRESH_BEFORE_MS, lifeMs / 2) / 2;
    this.#refresh = refresh;
    this.#save(refresh);
    this.#plan(lifeMs - Math.min(REFRESH_BEFORE_MS, lifeMs / 2));
  }

  #end(isTold) {
    if (isTold) this.#channel?.postMessage({ ended: this.#refresh });
    clearTimeout(this.#timer);
    this.#access = null;
    this.#refresh = null;
    this.#past = [];
    this.#save(null);
    this.#onSession('ended');
  }

  #plan(waitMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // OK because: the next call that needs the token tells the failure, or `ended` has told it.
      this.#renew().catch(() => {});
    }, waitMs);
    this.#timer?.unref?.();
  }

  /** Replaces the access token. Calls that need one meanwhile wait for the same answer. */
  #renew() {
    this.#refreshing ??= this.#rotate().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #rotate() {
    const before = this.#refresh;
    await this.#oneTab('bist.refresh', async () => {
      // Another tab may have rotated it while this one waited, or may know its successor.
      if (this.#refresh !== before || this.#refresh === null) return;
      if (await this.#adoptFromTabs()) return;
      await this.#ask();
    });
    if (this.#refresh === null) throw new AccountError('SESSION_ENDED', { status: 401 });
  }

  async #ask() {
    const from = this.#refresh;
    try {
      const session = await this.#call('POST', 'auth/refresh', { refresh_token: from });
      // The person signed out meanwhile: a late answer begins no session.
      if (this.#refresh !== from) return;
      this.#begin(session);
    } catch (error) {
      if (this.#refresh !== from) return;
      if (error.status === 401) this.#end(true);
      else this.#plan(REFRESH_AGAIN_MS);
      throw error.status === 401 ? new AccountError('SESSION_ENDED', { status: 401 }) : error;
    }
    this.#tell(from);
    this.#onSession('refreshed');
  }

  // -- other tabs: a duplicated tab has a copy of the refresh token, which may be used once

  /** Asks whether another tab has used our refresh token already, and takes the tokens that it got. */
  async #adoptFromTabs() {
    if (!this.#channel) return false;
    const mine = this.#refresh;
    const answered = new Promise((done) => (this.#answerFromTab = done));
    this.#channel.postMessage({ asked: mine });
    await Promise.race([answered, pause(ASK_TABS_MS)]);
    this.#answerFromTab = null;
    return this.#refresh !== mine;
  }

  #tell(from) {
    const seconds = Math.max(0, (this.#expiresAt - this.#now()) / 1_000);
    this.#channel?.postMessage({ rotated: from, session: { access_token: this.#access, refresh_token: this.#refresh, expires_in: seconds } });
  }

  #onTab(message) {
    if (typeof message?.asked === 'string' && this.#past.includes(message.asked)) this.#tell(message.asked);
    else if (typeof message?.ended === 'string' && message.ended === this.#refresh) this.#end(false);
    else if (typeof message?.rotated === 'string' && message.rotated === this.#refresh) {
      this.#begin(message.session);
      this.#answerFromTab?.();
      this.#onSession('refreshed');
    }
  }

  #load() {
    try {
      const token = this.#storage?.getItem(STORED) ?? null;
      return token === '' ? null : token;
    } catch {
      return null;
    }
  }

  #save(token) {
    try {
      if (token === null) this.#storage?.removeItem(STORED);
      else this.#storage?.setItem(STORED, token);
    } catch {
      // OK because: the session then ends with the page.
    }
  }
}

function sessionStorageOrNull() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

function channelOrNull() {
  return typeof BroadcastChannel === 'function' && typeof document === 'object' ? new BroadcastChannel('bist.session') : null;
}
