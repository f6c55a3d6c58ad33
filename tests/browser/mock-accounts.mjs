// The accounts API as docs describe it, in memory and without its limits: as much of it as the page asks for, so that the page
// can be tested in a browser. Not a reference: passwords are kept as they are, nothing is signed, nothing is counted.

import { createHmac, randomBytes, randomUUID } from 'node:crypto';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const EXPIRES_S = 900;
const text = (bytes) => randomBytes(bytes).toString('base64url');
const base32 = (letters) => Array.from(randomBytes(letters), (byte) => BASE32[byte % 32]).join('');

/** The six digits of RFC 6238 for a secret in base32, now. */
export function totp(secret, at = Date.now()) {
  const bits = [...secret].map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** Fields that a body may have; another one is refused. */
const FIELDS = {
  'POST auth/register': ['email', 'password', 'full_name'],
  'POST auth/setup': ['token', 'email', 'password', 'full_name'],
  'POST auth/verify': ['token', 'password'],
  'POST auth/login': ['email', 'password', 'totp', 'recovery_code'],
  'POST auth/refresh': ['refresh_token'],
  'POST auth/logout': ['refresh_token'],
  'POST auth/password/forgot': ['email'],
  'POST auth/password/reset': ['token', 'new_password'],
  'POST auth/password/change': ['current_password', 'new_password'],
  'POST auth/totp/setup': ['password'],
  'POST auth/totp/enable': ['code'],
  'POST auth/totp/disable': ['password', 'code', 'recovery_code'],
  'PATCH users/me': ['full_name', 'phone', 'tckn'],
  'DELETE users/me': ['password', 'totp'],
  'POST users/me/keys': ['name', 'environment', 'scopes', 'addresses', 'expires_at'],
  'PUT users/me/preferences': ['language', 'theme', 'data', 'version'],
  'POST watchlists': ['name', 'symbols'],
  'PUT watchlists': ['name', 'symbols', 'version'],
};

/** A refusal: what a handler throws. */
class Refusal extends Error {
  constructor(status, code, more = {}) {
    super(code);
    Object.assign(this, { status, code, details: null, headers: {}, ...more });
  }
}

const mask = (number) => `${'•'.repeat(number.length - 2)}${number.slice(-2)}`;
const now = () => new Date().toISOString();

/**
 * Accounts of one mock server. `mailer`: registering asks for a verification (`mails` has the tokens); `setupToken`: the link
 * of the first administrator; `expiresS`: life of an access token.
 */
export class Accounts {
  users = new Map();
  sessions = new Map();
  /** refresh token → {session, isUsed} */
  refreshes = new Map();
  accesses = new Map();
  mails = [];
  /** Every request: `{method, path, authorization}`. */
  requests = [];
  /** Answers that are given in place of the next ones: `{path, status, code, retryAfter}`. */
  refusals = [];

  constructor({ mailer = false, setupToken = null, expiresS = EXPIRES_S } = {}) {
    Object.assign(this, { mailer, setupToken, expiresS });
  }

  /** Whether a credential of a request or a socket is good. */
  admits(credential) {
    const token = credential?.replace(/^Bearer /, '');
    const access = this.accesses.get(token);
    return (access !== undefined && access.until > Date.now() && this.sessions.has(access.session)) || this.#keyOf(token) !== undefined;
  }

  /** The answer to a request of this API, null for any other path. */
  answer(method, path, authorization, body) {
    if (!/^\/api\/v1\/(?:auth|users|watchlists)\b/.test(path)) return null;
    const name = path.replace('/api/v1/', '');
    this.requests.push({ method, path: name, authorization: authorization ?? null, body });
    try {
      const at = this.refusals.findIndex((refusal) => refusal.path === name);
      if (at >= 0) {
        const [{ status, code, retryAfter }] = this.refusals.splice(at, 1);
        throw new Refusal(status, code, { headers: retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) } });
      }
      const [status, data] = this.#route(method, name, authorization, body);
      return { status, headers: {}, body: { success: true, data, message: null } };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, code, details, headers } = error;
      return { status, headers, body: { success: false, error: { code, message: code, details }, timestamp: now() } };
    }
  }

  #route(method, name, authorization, body) {
    const [first, second, third, id] = name.split('/');
    const fields = FIELDS[`${method} ${name}`] ?? FIELDS[`${method} ${first}`] ?? [];
    const strange = Object.keys(body ?? {}).find((field) => !fields.includes(field));
    if (strange !== undefined) throw new Refusal(400, 'INVALID_BODY', { details: { field: strange } });
    const open = this.#open[`${method} ${name}`];
    if (open) return open(body);
    const me = this.#whoIs(authorization);
    const mine = this.#mine[`${method} ${[first, second, third].filter(Boolean).join('/')}`] ?? this.#mine[`${method} ${first}`];
    if (!mine) throw new Refusal(404, 'NOT_FOUND');
    return mine(me, body, first === 'watchlists' ? second : id);
  }

  #whoIs(authorization) {
    const token = authorization?.replace(/^Bearer /, '');
    const access = this.accesses.get(token);
    const session = this.sessions.get(access?.session);
    if (!access || access.until < Date.now() || !session) throw new Refusal(401, 'UNAUTHENTICATED');
    return { user: session.user, session };
  }

  #keyOf(token) {
    for (const user of this.users.values()) for (const key of user.keys) if (key.key === token) return key;
    return undefined;
  }

  #add({ email, password, full_name }, roles, verified) {
    if (!/^\S+@\S+\.\S+$/.test(email)) throw new Refusal(400, 'INVALID_EMAIL');
    if (password.length < 10 || password.includes(email.split('@')[0])) throw new Refusal(400, 'WEAK_PASSWORD', { details: { reason: 'weak' } });
    if (this.users.has(email)) throw new Refusal(409, 'EMAIL_TAKEN');
    const user = {
      id: randomUUID(), email, password, full_name, roles, verified, created_at: now(), phone: null, tckn: null, live_allowed: false, totp: null, pending: null, recovery: [],
      keys: [], lists: [], preferences: { language: null, theme: null, data: {}, version: 0 },
    };
    this.users.set(email, user);
    return user;
  }

  #begin(user, session = { id: randomUUID(), user, created_at: now(), last_used_at: now(), address: '127.0.0.1', user_agent: 'Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0' }) {
    this.sessions.set(session.id, session);
    const [access, refresh] = [text(24), `bist_rt_${text(32)}`];
    this.accesses.set(access, { session: session.id, until: Date.now() + this.expiresS * 1_000 });
    this.refreshes.set(refresh, { session: session.id, isUsed: false });
    return { access_token: access, refresh_token: refresh, expires_in: this.expiresS, token_type: 'Bearer' };
  }

  #endAll(user, but = null) {
    const ended = [...this.sessions.values()].filter((session) => session.user === user && session.id !== but);
    for (const { id } of ended) this.sessions.delete(id);
    return ended.length;
  }

  #second(user, { totp: code, recovery_code: recovery }) {
    if (user.totp === null) return;
    if (code === undefined && recovery === undefined) throw new Refusal(401, 'TOTP_REQUIRED');
    if (recovery !== undefined ? !user.recovery.includes(recovery) : code !== totp(user.totp)) throw new Refusal(401, 'TOTP_INVALID');
    user.recovery = user.recovery.filter((known) => known !== recovery);
  }

  #password(user, given) {
    if (user?.password !== given) throw new Refusal(401, 'LOGIN_FAILED');
  }

  #byMail(token, kind) {
    const at = this.mails.findIndex((mail) => mail.token === token && mail.kind === kind);
    if (at < 0) throw new Refusal(400, 'TOKEN_INVALID');
    return this.mails.splice(at, 1)[0].user;
  }

  #profile({ user }) {
    const { id, email, full_name, roles, live_allowed, created_at } = user;
    const kyc = user.phone !== null && user.tckn !== null ? 1 : 0;
    const masked = (number) => (number === null ? null : mask(number));
    return { id, email, email_verified: user.verified, full_name, phone: masked(user.phone), tckn: masked(user.tckn), kyc_level: kyc, roles, live_allowed, totp_enabled: user.totp !== null, created_at };
  }

  #open = {
    'GET auth/options': () => [200, { development: !this.mailer, mailer: this.mailer, setup_needed: this.setupToken !== null, password_length_min: 10 }],
    'POST auth/register': (body) => {
      const user = this.#add(body, ['trader'], !this.mailer);
      if (this.mailer) this.mails.push({ kind: 'verify', token: text(24), user });
      return [201, { id: user.id, email: user.email, verified: user.verified }];
    },
    'POST auth/setup': ({ token, ...body }) => {
      if (token !== this.setupToken) throw new Refusal(400, 'TOKEN_INVALID');
      const user = this.#add(body, ['admin'], true);
      this.setupToken = null;
      return [201, { id: user.id, email: user.email, verified: true }];
    },
    'POST auth/verify': ({ token, password }) => {
      const user = this.#byMail(token, 'verify');
      this.#password(user, password);
      user.verified = true;
      return [200, { verified: true }];
    },
    'POST auth/login': (body) => {
      const user = this.users.get(body.email);
      this.#password(user, body.password);
      if (!user.verified) throw new Refusal(403, 'EMAIL_NOT_VERIFIED');
      this.#second(user, body);
      return [200, this.#begin(user)];
    },
    'POST auth/refresh': ({ refresh_token: token }) => {
      const refresh = this.refreshes.get(token);
      const session = this.sessions.get(refresh?.session);
      if (!session) throw new Refusal(401, 'UNAUTHENTICATED');
      if (refresh.isUsed) {
        this.sessions.delete(session.id);
        throw new Refusal(401, 'REFRESH_REUSED');
      }
      refresh.isUsed = true;
      return [200, this.#begin(session.user, session)];
    },
    'POST auth/logout': ({ refresh_token: token }) => {
      this.sessions.delete(this.refreshes.get(token)?.session);
      return [200, { revoked: 1 }];
    },
    'POST auth/password/forgot': ({ email }) => {
      const user = this.users.get(email);
      if (user) this.mails.push({ kind: 'reset', token: text(24), user });
      return [202, { sent: true }];
    },
    'POST auth/password/reset': ({ token, new_password: password }) => {
      const user = this.#byMail(token, 'reset');
      user.password = password;
      this.#endAll(user);
      return [200, { changed: true }];
    },
  };

  #mine = {
    'POST auth/logout-all': ({ user }) => [200, { revoked: this.#endAll(user) }],
    'POST auth/password/change': ({ user, session }, { current_password: current, new_password: password }) => {
      this.#password(user, current);
      user.password = password;
      this.#endAll(user, session.id);
      return [200, { changed: true }];
    },
    'POST auth/totp/setup': ({ user }, { password }) => {
      this.#password(user, password);
      user.pending = base32(32);
      return [200, { secret: user.pending, otpauth_url: `otpauth://totp/BIST:${encodeURIComponent(user.email)}?secret=${user.pending}&issuer=BIST` }];
    },
    'POST auth/totp/enable': ({ user }, { code }) => {
      if (user.pending === null || code !== totp(user.pending)) throw new Refusal(401, 'TOTP_INVALID');
      Object.assign(user, { totp: user.pending, pending: null, recovery: Array.from({ length: 10 }, () => `${base32(5)}-${base32(5)}`.toLowerCase()) });
      return [200, { enabled: true, recovery_codes: user.recovery }];
    },
    'POST auth/totp/disable': ({ user }, body) => {
      this.#password(user, body.password);
      this.#second(user, { totp: body.code, recovery_code: body.recovery_code });
      user.totp = null;
      return [200, { enabled: false }];
    },
    'GET users/me': (me) => [200, this.#profile(me)],
    'PATCH users/me': (me, body) => [200, this.#profile({ user: Object.assign(me.user, body) })],
    'DELETE users/me': ({ user }, { password }) => {
      this.#password(user, password);
      this.#endAll(user);
      this.users.delete(user.email);
      return [200, { deleted: true }];
    },
    'GET users/me/export': (me) => [200, { profile: this.#profile(me), preferences: me.user.preferences, watchlists: me.user.lists }],
    'GET users/me/sessions': ({ user, session }) => {
      const items = [...this.sessions.values()].filter((one) => one.user === user);
      return [200, { items: items.map(({ user: _, ...one }) => ({ ...one, current: one.id === session.id })), next_cursor: null }];
    },
    'DELETE users/me/sessions': ({ user }, _, id) => {
      if (this.sessions.get(id)?.user !== user) throw new Refusal(404, 'NOT_FOUND');
      this.sessions.delete(id);
      return [200, { revoked: 1 }];
    },
    'GET users/me/keys': ({ user }) => [200, { items: user.keys.map(({ key: _, ...key }) => key), next_cursor: null }],
    'POST users/me/keys': ({ user }, { name, environment, scopes, addresses = [], expires_at = null }) => {
      if (environment === 'live' && !user.live_allowed) throw new Refusal(403, 'LIVE_NOT_ALLOWED');
      const prefix = `bist_${environment}_${base32(12)}`;
      const key = { id: randomUUID(), name, environment, prefix, scopes, addresses, created_at: now(), expires_at, last_used_at: null, key: `${prefix}_${text(32)}` };
      user.keys.push(key);
      return [201, key];
    },
    'DELETE users/me/keys': ({ user }, _, id) => {
      user.keys = user.keys.filter((key) => key.id !== id);
      return [200, { revoked: 1 }];
    },
    'GET users/me/preferences': ({ user }) => [200, user.preferences],
    'PUT users/me/preferences': ({ user }, { version, ...body }) => {
      if (version !== undefined && version !== user.preferences.version) throw new Refusal(409, 'VERSION_CONFLICT');
      user.preferences = { ...body, version: user.preferences.version + 1 };
      return [200, user.preferences];
    },
    'GET watchlists': ({ user }) => [200, { items: user.lists, next_cursor: null }],
    'POST watchlists': ({ user }, { name, symbols }) => {
      if (user.lists.some((list) => list.name === name)) throw new Refusal(409, 'NAME_TAKEN');
      const list = { id: randomUUID(), name, symbols, version: 1 };
      user.lists.push(list);
      return [201, list];
    },
    'PUT watchlists': ({ user }, { name, symbols, version }, id) => {
      const list = user.lists.find((one) => one.id === id);
      if (!list) throw new Refusal(404, 'NOT_FOUND');
      if (list.version !== version) throw new Refusal(409, 'VERSION_CONFLICT');
      return [200, Object.assign(list, { name, symbols, version: version + 1 })];
    },
    'DELETE watchlists': ({ user }, _, id) => {
      user.lists = user.lists.filter((list) => list.id !== id);
      return [200, { deleted: true }];
    },
  };
}
