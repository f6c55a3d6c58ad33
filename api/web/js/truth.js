// What may be believed: whether the market is simulated or a recording, and whether what is shown is live.
// Pure: takes what is known, gives a verdict; draws nothing.

/** The socket is open and not even a heartbeat came for so long: what is shown is not live. A heartbeat comes each second. */
const SILENT_MS = 3_000;
/** A feed this old is called old although the server has not called it stale yet. */
const AGE_BAD_MS = 10_000;
const REAL_SOURCES = new Set(['itch']);

/**
 * `sim`, `replay`, `real` or `unknown`, of a `hello` frame or of `feed` in `/actuator/info`. A simulated market is never called
 * real whatever its source is named, and a source that is not known is not called real either.
 */
export function originOf(stated) {
  if (stated === null || stated === undefined) return 'unknown';
  const { source, simulated } = stated;
  if (source === 'replay' || typeof stated.replay_of === 'string') return 'replay';
  if (simulated === true || source === 'sim') return 'sim';
  return simulated === false || REAL_SOURCES.has(source) ? 'real' : 'unknown';
}

/**
 * How the whole market stands: `{level, key, ageMs}`.
 *
 * `level`: `live`; `over` (the day ended as it should); `doubt` (shown, but perhaps wrong); `dead` (old or not there). `key` says
 * why, `ageMs` for how long, null where nobody knows. `link`: `{state, heardAt, lostAt}` of the connection, `heartbeat` the last
 * one with `heartbeatAt`, `feedState` the last word of the channel `system`, `ageMs` the age of the feed; times are of one clock.
 * `denied`: the server gives its market only to people who are signed in.
 */
export function marketVerdict({ link, heartbeat, feedState, ageMs, now, denied = false }) {
  if (denied) return dead('sign_in', null);
  if (link.state !== 'live') return link.lostAt === null ? dead('connecting', null) : dead('lost', now - link.lostAt);
  if (now - link.heardAt > SILENT_MS) return dead('silent', now - link.heardAt);
  if (heartbeat === null) return dead('connecting', null);
  const session = heartbeat.session_state;
  if (session === 'waiting') return dead('waiting', null);
  if (session === 'ended' || feedState === 'end_of_messages') return { level: 'over', key: 'ended', ageMs: null };
  if (session === 'stale' || feedState === 'stale' || (ageMs !== null && ageMs > AGE_BAD_MS)) return dead('stale', ageMs);
  if (heartbeat.joined_midway === true) return { level: 'doubt', key: 'joined_midway', ageMs: null };
  return { level: 'live', key: 'live', ageMs: null };
}

/** How the book of the selected symbol stands beyond that: the same shape; `reason` is the server's word. */
export function bookVerdict({ refused, missing, hasFrame, waiting, bad, reason }) {
  if (missing) return dead('no_symbol', null);
  if (refused !== null && !hasFrame) return { ...dead('refused', null), reason: refused };
  if (!hasFrame) return dead('no_book', null);
  if (waiting) return dead('resync', null);
  if (bad) return { level: 'doubt', key: 'maybe_bad', ageMs: null, reason };
  return { level: 'live', key: 'live', ageMs: null };
}

const dead = (key, ageMs) => ({ level: 'dead', key, ageMs });
