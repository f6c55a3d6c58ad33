// The client of the accounts API without a browser and without a server: who refreshes, how often, what is asked again, what is
// kept where; sentences for every refusal; check digits; telephone numbers; addresses.

import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';

if (globalThis.navigator === undefined) globalThis.navigator = { language: 'en-US' };
else Object.defineProperty(globalThis, 'navigator', { value: { language: 'en-US' }, configurable: true });
const js = new URL('../../../api/web/js/', import.meta.url);
const { AccountClient } = await import(`${js}account-client.js`);
const { AccountError, CODES, errorOf, sentenceOf } = await import(`${js}account-errors.js`);
const { oneTabAtATime } = await import(`${js}tab-lock.js`);
const i18n = await import(`${js}i18n.js`);
const { isTckn, phoneOf } = await import(`${js}tckn.js`);
const { addressesOf, endOfDay } = await import(`${js}account-keys.js`);
const { agentOf } = await import(`${js}account-sessions.js`);
const { changesOf } = await import(`${js}account-profile.js`);
const { linkOf } = await import(`${js}account-enter.js`);

/** Codes of the contract of accounts: a new one needs a sentence. */
const CONTRACT = [
  'UNAUTHENTICATED', 'FORBIDDEN', 'KEY_NOT_ALLOWED', 'SCOPE_MISSING', 'STORE_UNAVAILABLE', 'RATE_LIMITED', 'TOO_MANY_ATTEMPTS', 'BUSY', 'INVALID_BODY', 'EMAIL_TAKEN',
  'WEAK_PASSWORD', 'INVALID_EMAIL', 'INVALID_NAME', 'TOKEN_INVALID', 'LOGIN_FAILED', 'EMAIL_NOT_VERIFIED', 'TOTP_REQUIRED', 'TOTP_INVALID', 'REFRESH_REUSED', 'INVALID_TCKN',
  'LIVE_NOT_ALLOWED', 'TOO_MANY_KEYS', 'VERSION_CONFLICT', 'NAME_TAKEN', 'LAST_ADMIN', 'UPSTREAM_UNAVAILABLE', 'UPSTREAM_TIMEOUT', 'ACCOUNTS_OFF', 'KYC_INCOMPLETE',
];

const json = (status, body, headers = {}) => ({ ok: status < 400, status, headers: new Headers(headers), json: async () => body });
const data = (content, status = 200) => json(status, { success: true, data: content, message: null });
const refusal = (status, code, headers) => json(status, { success: false, error: { code, message: code, details: null } }, headers);

/** A server that rotates refresh tokens and ends a session whose token is used twice. */
class Server {
  calls = [];
  access = 0;
  refresh = 1;
  isEnded = false;
  /** Answers in place of the next ones, by path. */
  instead = {};

  fetch = async (address, { method, headers, body }) => {
    const path = address.replace('/api/v1/', '');
    const call = { method, path, token: headers.authorization?.replace('Bearer ', '') ?? null, body: body === undefined ? null : JSON.parse(body) };
    this.calls.push(call);
    await new Promise((done) => setTimeout(done, 2));
    if (this.instead[path]?.length > 0) return this.instead[path].shift()();
    if (path === 'auth/login') return data(this.session());
    if (path === 'auth/logout') return data({ revoked: 1 });
    if (path === 'auth/refresh') {
      if (call.body.refresh_token !== `r${this.refresh}`) this.isEnded = true;
      if (this.isEnded) return refusal(401, 'REFRESH_REUSED');
      this.refresh++;
      return data(this.session());
    }
    return this.isEnded || call.token !== `a${this.access}` ? refusal(401, 'UNAUTHENTICATED') : data({ path });
  };

  session() {
    this.access++;
    return { access_token: `a${this.access}`, refresh_token: `r${this.refresh}`, expires_in: 900, token_type: 'Bearer' };
  }

  of(path) {
    return this.calls.filter((call) => call.path === path);
  }
}

class Storage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => this.items.set(key, value);
  removeItem = (key) => this.items.delete(key);
}

/** Channels of one origin: what one says all others hear, a moment later. */
class Air {
  all = [];

  channel() {
    const own = { onmessage: null, postMessage: (message) => setTimeout(() => this.all.filter((one) => one !== own).forEach((one) => one.onmessage?.({ data: structuredClone(message) }))) };
    this.all.push(own);
    return own;
  }
}

/** One lock over all tabs, as the browser's. */
function lock() {
  let last = Promise.resolve();
  return (name, work) => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
}

let server;
let nowMs;
let told;
const client = (more = {}) => new AccountClient({ fetch: server.fetch, storage: new Storage(), channel: null, now: () => nowMs, oneTab: lock(), onSession: (change) => told.push(change), ...more });
const signedIn = async (more) => {
  const one = client(more);
  await one.login({ email: 'a@b.c', password: 'x' });
  return one;
};

beforeEach(() => {
  server = new Server();
  nowMs = 0;
  told = [];
});

test('a call carries the access token, and the refresh token is all that is stored', async () => {
  const storage = new Storage();
  const one = await signedIn({ storage });
  assert.deepEqual(await one.get('users/me'), { path: 'users/me' });
  assert.equal(server.calls.at(-1).token, 'a1');
  assert.deepEqual([...storage.items.values()], ['r1']);
  assert.deepEqual(told, ['signed-in']);
});

test('a token that is about to end is replaced before the call, once for all calls that wait', async () => {
  const one = await signedIn();
  nowMs = 900_000;
  await Promise.all(['users/me', 'users/me/keys', 'watchlists'].map((path) => one.get(path)));
  assert.equal(server.of('auth/refresh').length, 1);
  assert.ok(server.calls.filter(({ path }) => !path.startsWith('auth/')).every(({ token }) => token === 'a2'));
});

test('401 asks for one refresh and one more try, for all calls together', async () => {
  const one = await signedIn();
  server.access = 7;
  await Promise.all([one.get('users/me'), one.get('watchlists')]);
  assert.equal(server.of('auth/refresh').length, 1);
  assert.equal(server.of('users/me').length, 2);
  assert.deepEqual(server.of('users/me').map(({ token }) => token), ['a1', 'a8']);
});

test('401 again after the refresh is an error and no circle', async () => {
  const one = await signedIn();
  server.instead['users/me'] = Array.from({ length: 5 }, () => () => refusal(401, 'UNAUTHENTICATED'));
  await assert.rejects(one.get('users/me'), { code: 'UNAUTHENTICATED' });
  assert.equal(server.of('users/me').length, 2);
  assert.equal(server.of('auth/refresh').length, 1);
});

test('other refusals with 401 are no reason to refresh', async () => {
  const one = await signedIn();
  server.instead['auth/password/change'] = [() => refusal(401, 'LOGIN_FAILED')];
  await assert.rejects(one.post('auth/password/change', {}), { code: 'LOGIN_FAILED' });
  assert.equal(server.of('auth/refresh').length, 0);
});

test('a session that has ended is forgotten, and said once', async () => {
  const storage = new Storage();
  const one = await signedIn({ storage });
  server.isEnded = true;
  await assert.rejects(one.get('users/me'), { code: 'SESSION_ENDED' });
  assert.equal(one.isSignedIn, false);
  assert.equal(one.accessToken, null);
  assert.equal(storage.items.size, 0);
  assert.deepEqual(told, ['signed-in', 'ended']);
  await assert.rejects(one.get('users/me'), { code: 'UNAUTHENTICATED' });
});

test('a refresh without an answer keeps the session', async () => {
  const one = await signedIn();
  nowMs = 900_000;
  server.instead['auth/refresh'] = [() => Promise.reject(new TypeError('Failed to fetch http://x/?token=a1'))];
  await assert.rejects(one.get('users/me'), (error) => error.code === 'NETWORK' && !String(error.message).includes('a1'));
  assert.equal(one.isSignedIn, true);
  assert.deepEqual(await one.get('users/me'), { path: 'users/me' });
});

test('what comes after signing out begins nothing', async () => {
  const one = await signedIn();
  nowMs = 900_000;
  const call = assert.rejects(one.get('users/me'), AccountError);
  await new Promise((done) => setTimeout(done, 1));
  await one.logout();
  await call;
  assert.equal(one.isSignedIn, false);
  assert.deepEqual(server.of('auth/logout').map(({ body }) => body), [{ refresh_token: 'r1' }]);
});

test('two tabs with one refresh token use it once', async () => {
  const [air, oneTab, storage] = [new Air(), lock(), () => Object.assign(new Storage(), { items: new Map([['bist.refresh', 'r1']]) })];
  const tabs = [0, 1].map(() => client({ oneTab, storage: storage(), channel: air.channel() }));
  await Promise.all(tabs.map((tab) => tab.restore()));
  assert.deepEqual(await Promise.all(tabs.map((tab) => tab.get('users/me'))), [{ path: 'users/me' }, { path: 'users/me' }]);
  assert.equal(server.of('auth/refresh').length, 1);
  assert.equal(server.isEnded, false);
});

test('a tab that slept through a rotation asks the others first', async () => {
  const [air, oneTab] = [new Air(), lock()];
  const [left, right] = [new Storage(), new Storage()];
  const one = await signedIn({ oneTab, storage: left, channel: air.channel() });
  nowMs = 900_000;
  await one.get('users/me');
  right.setItem('bist.refresh', 'r1');
  const late = client({ oneTab, storage: right, channel: air.channel() });
  await late.restore();
  assert.deepEqual(await late.get('users/me'), { path: 'users/me' });
  assert.equal(right.getItem('bist.refresh'), 'r2');
  assert.equal(server.isEnded, false);
});

test('signing out in one tab is signing out in its twin', async () => {
  const [air, oneTab] = [new Air(), lock()];
  const one = await signedIn({ oneTab, channel: air.channel() });
  const twin = client({ oneTab, storage: Object.assign(new Storage(), { items: new Map([['bist.refresh', 'r1']]) }), channel: air.channel() });
  await one.logout();
  await new Promise((done) => setTimeout(done, 5));
  assert.equal(twin.isSignedIn, false);
});

test('a refusal at the door is sent again after the wait that it names, whatever it was', async () => {
  const one = client();
  server.instead['auth/login'] = [() => refusal(503, 'BUSY', { 'retry-after': '0' }), () => refusal(429, 'RATE_LIMITED', { 'retry-after': '0' })];
  await one.login({ email: 'a@b.c', password: 'x' });
  assert.equal(server.of('auth/login').length, 3);
});

test('a change that may have been made is not sent again; a read is', async () => {
  const one = await signedIn();
  server.instead['users/me/keys'] = [() => refusal(503, 'STORE_UNAVAILABLE', { 'retry-after': '0' }), () => refusal(503, 'STORE_UNAVAILABLE', { 'retry-after': '0' })];
  await assert.rejects(one.post('users/me/keys', {}), { code: 'STORE_UNAVAILABLE' });
  assert.equal(server.of('users/me/keys').length, 1);
  await one.get('users/me/keys');
  assert.equal(server.of('users/me/keys').length, 3);
});

test('a long wait is told and not sat out', async () => {
  const one = client();
  server.instead['auth/login'] = [() => refusal(429, 'TOO_MANY_ATTEMPTS', { 'retry-after': '40' })];
  await assert.rejects(one.login({}), (error) => {
    assert.deepEqual(sentenceOf(error).values.seconds, '40');
    return error.retryAfterMs === 40_000;
  });
  assert.equal(server.of('auth/login').length, 1);
});

test('an answer that is no answer is an error with a sentence', async () => {
  const one = client();
  for (const [answer, code] of [
    [() => ({ ok: false, status: 502, headers: new Headers(), json: async () => JSON.parse('<html>') }), 'INTERNAL'],
    [() => ({ ok: true, status: 200, headers: new Headers(), json: async () => null }), 'UNKNOWN'],
    [() => json(404, null), 'NOT_FOUND'],
    [() => data({ access_token: 1 }), 'INTERNAL'],
  ]) {
    server.instead['auth/login'] = [answer];
    await assert.rejects(one.login({}), { code });
    assert.equal(one.isSignedIn, false);
  }
});

test('without locks a lease lets one tab in at a time, and one that died does not bar the others', async () => {
  const storage = new Storage();
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await new Promise((done) => setTimeout(done, 20));
    inside--;
  };
  await Promise.all([0, 1, 2].map(() => oneTabAtATime('t', work, { locks: null, storage })));
  assert.equal(most, 1);
  assert.equal(storage.items.size, 0);
  storage.setItem('bist.lock.t', JSON.stringify({ id: 'dead', until: Date.now() - 1 }));
  await oneTabAtATime('t', work, { locks: null, storage });
  storage.setItem('bist.lock.t', 'nonsense');
  await oneTabAtATime('t', work, { locks: null, storage });
  assert.equal(await oneTabAtATime('t', async () => 5, { locks: null, storage: null }), 5);
});

test('every code of the contract has a sentence in both languages', () => {
  globalThis.document = { documentElement: {}, querySelectorAll: () => [] };
  after(() => delete globalThis.document);
  for (const language of ['tr', 'en']) {
    i18n.show(language);
    for (const code of [...CONTRACT, ...CODES]) {
      const { key, values } = sentenceOf(errorOf(400, { error: { code } }, null));
      assert.equal(key, `error.${code.toLowerCase()}`, code);
      const text = i18n.t(key, values);
      assert.match(text, /^\p{Lu}.{9,}[.]$/u, `${language} ${code}: ${text}`);
    }
    const unknown = sentenceOf(errorOf(418, { error: { code: 'TEAPOT' } }, null));
    assert.match(i18n.t(unknown.key, unknown.values), /TEAPOT/);
    for (const code of ['BUSY', 'RATE_LIMITED', 'TOO_MANY_ATTEMPTS', 'STORE_UNAVAILABLE']) {
      const { key, values } = sentenceOf(errorOf(503, { error: { code } }, '7'));
      assert.match(i18n.t(key, values), /\b7 /, code);
    }
  }
});

test('a lost answer is no “try again”: whether the change was made is to be looked at', () => {
  const refused = (details) => sentenceOf(errorOf(503, { error: { code: 'UPSTREAM_UNAVAILABLE', details } }, '2')).key;
  assert.equal(refused({ upstream: 'users', outcome: 'unknown' }), 'error.upstream_timeout');
  assert.equal(refused({ upstream: 'users', outcome: 'not_done' }), 'error.upstream_unavailable.wait');
});

test('check digits of a T.C. identity number', () => {
  for (const good of ['10000000146', '12345678950', '11111111110']) assert.ok(isTckn(good), good);
  for (const bad of ['', '1000000014', '100000001466', '00000000000', '02345678950', '10000000147', '10000000156', '12345678905', '1000000014a', '１0000000146']) assert.ok(!isTckn(bad), bad);
  // One wrong digit is always noticed.
  for (let at = 0; at < 11; at++) {
    for (let digit = 0; digit < 10; digit++) {
      const other = `${'10000000146'.slice(0, at)}${digit}${'10000000146'.slice(at + 1)}`;
      assert.equal(isTckn(other), other === '10000000146', other);
    }
  }
});

test('telephone numbers as people write them', () => {
  for (const text of ['0532 123 45 67', '+90 (532) 123-45-67', '532.123.4567', '00905321234567', '905321234567']) assert.equal(phoneOf(text), '+905321234567', text);
  for (const text of ['', '123', '+15321234567', '0132 123 45 67', '0532 123 45 6x', '05321234567890']) assert.equal(phoneOf(text), null, text);
});

test('only what was changed of a profile is sent', () => {
  const me = { full_name: 'Ayşe', phone: '•••67', tckn: null };
  assert.deepEqual(changesOf(me, { full_name: 'Ayşe', phone: '', tckn: '' }), {});
  assert.deepEqual(changesOf(me, { full_name: 'Ayşe Y', phone: '0532 123 45 67', tckn: '10000000146' }), { full_name: 'Ayşe Y', phone: '+905321234567', tckn: '10000000146' });
});

test('addresses and the last day of a key', () => {
  assert.deepEqual(addressesOf(' 203.0.113.7, 10.0.0.0/8\n::1;2001:db8::/32 '), ['203.0.113.7', '10.0.0.0/8', '::1', '2001:db8::/32']);
  assert.deepEqual(addressesOf(''), []);
  for (const bad of ['localhost', '1.2.3', '1.2.3.4/x', '<b>']) assert.equal(addressesOf(bad), null, bad);
  assert.equal(addressesOf('1.2.3.4 '.repeat(21)), null);
  assert.equal(endOfDay('2027-01-31'), '2027-01-31T20:59:59Z');
});

test('what a browser says of itself is shortened, and never more than text', () => {
  assert.equal(agentOf('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36'), 'Chrome, Linux');
  assert.equal(agentOf('Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1'), 'Safari, iOS');
  assert.equal(agentOf('curl/8.5.0'), 'curl/8.5.0');
  assert.equal(agentOf(null), '–');
  assert.equal(agentOf('x'.repeat(500)).length, 60);
});

test('links of mails', () => {
  assert.deepEqual(linkOf('#verify=abc-_1'), { view: 'verify', token: 'abc-_1' });
  for (const hash of ['', '#THYAO', '#verify=', '#other=x', '#reset=a b', `#setup=${'x'.repeat(513)}`, '#verify=<img>']) assert.equal(linkOf(hash), null, hash);
});
