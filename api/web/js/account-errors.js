// Refusals of the accounts API as errors, and as sentences for people. Knows every code by its text; draws nothing.

import * as i18n from './i18n.js';

/** Codes that have a sentence of their own: the server's, then the page's. */
export const CODES = [
  'INVALID_BODY', 'UNAUTHENTICATED', 'FORBIDDEN', 'KEY_NOT_ALLOWED', 'SCOPE_MISSING', 'STORE_UNAVAILABLE', 'RATE_LIMITED', 'TOO_MANY_ATTEMPTS', 'BUSY',
  'EMAIL_TAKEN', 'WEAK_PASSWORD', 'INVALID_EMAIL', 'INVALID_NAME', 'TOKEN_INVALID', 'LOGIN_FAILED', 'EMAIL_NOT_VERIFIED', 'TOTP_REQUIRED', 'TOTP_INVALID',
  'REFRESH_REUSED', 'INVALID_TCKN', 'LIVE_NOT_ALLOWED', 'TOO_MANY_KEYS', 'VERSION_CONFLICT', 'NAME_TAKEN', 'LAST_ADMIN',
  'SETUP_DONE', 'TOTP_ENABLED', 'TOTP_NOT_SET_UP', 'TOTP_NOT_ENABLED', 'INVALID_PHONE', 'INVALID_ADDRESS', 'INVALID_EXPIRY', 'INVALID_ENVIRONMENT', 'INVALID_SCOPE',
  'SCOPE_NOT_ALLOWED', 'INVALID_SYMBOL', 'TOO_MANY_WATCHLISTS', 'INVALID_DATA', 'INVALID_LANGUAGE', 'INVALID_THEME', 'INVALID_PARAMETER', 'INVALID_REQUEST',
  'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'NOT_FOUND', 'METHOD_NOT_ALLOWED', 'INTERNAL', 'UPSTREAM_UNAVAILABLE', 'UPSTREAM_TIMEOUT', 'ACCOUNTS_OFF',
  'KYC_INCOMPLETE', 'NETWORK', 'TIMEOUT', 'SESSION_ENDED', 'LISTS_FULL', 'LIST_FULL', 'SYMBOL_UNFIT',
];
/** Refusals before anything was done: whatever was asked may be asked again. */
const REFUSED_UNDONE = new Set(['BUSY', 'RATE_LIMITED']);

/** A request that was refused or not answered. `status` is 0 where there was no answer; `retryAfterMs` is null where none was named. */
export class AccountError extends Error {
  constructor(code, { status = 0, message = code, details = null, retryAfterMs = null } = {}) {
    super(message);
    Object.assign(this, { name: 'AccountError', code, status, details, retryAfterMs });
  }

  /** Whether the same request may be sent again: always after a refusal at the door, else only where twice is like once. */
  isRetryable(isIdempotent) {
    return REFUSED_UNDONE.has(this.code) || (isIdempotent && (this.status === 429 || this.status === 503));
  }
}

/** The error that an answer tells, whatever its body is. */
export function errorOf(status, body, retryAfter) {
  const error = typeof body?.error === 'object' && body.error !== null ? body.error : {};
  const fallback = status === 404 ? 'NOT_FOUND' : status === 401 ? 'UNAUTHENTICATED' : status === 503 ? 'STORE_UNAVAILABLE' : status >= 500 ? 'INTERNAL' : 'UNKNOWN';
  const code = typeof error.code === 'string' ? error.code : fallback;
  return new AccountError(code, { status, message: error.message ?? code, details: error.details ?? null, retryAfterMs: retryAfterOf(retryAfter) });
}

/** Milliseconds of a `Retry-After` in seconds; dates and nonsense are null. */
function retryAfterOf(text) {
  return /^\d{1,6}$/.test(text ?? '') ? Number(text) * 1_000 : null;
}

/** `{key, values}` of the sentence for an error, in terms of i18n.js. A code that the page does not know is named in it. */
export function sentenceOf(error) {
  const code = error instanceof AccountError ? error.code : 'INTERNAL';
  const key = `error.${code.toLowerCase()}`;
  const values = { code, scope: error.details?.scope ?? '', field: error.details?.field ?? '' };
  if (!CODES.includes(code) || !i18n.has(key)) return { key: 'error.unknown', values };
  // The answer was lost on its way: whether the change was made is not known.
  if (error.details?.outcome === 'unknown') return { key: 'error.upstream_timeout', values };
  if (error.retryAfterMs === null || !i18n.has(`${key}.wait`)) return { key, values };
  return { key: `${key}.wait`, values: { ...values, seconds: String(Math.ceil(error.retryAfterMs / 1_000)) } };
}
