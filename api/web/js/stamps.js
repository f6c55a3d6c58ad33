// Which timestamps are of our clock: a replay's `ts_recv` may be of the day of the recording, or of 1970. An age is only told of two
// stamps of one clock.

/** A stamp further from now than this is not of the clock that runs now. */
const OURS_WITHIN_MS = 86_400_000;
/** Nothing is longer inside the server than this; more means that the stamps are of two clocks. */
const INSIDE_MAX_US = 600_000_000n;

const isStamp = (nanos) => typeof nanos === 'string' && /^\d{1,20}$/.test(nanos);

/** Milliseconds since 1970 of nanoseconds as text; null where it is none. */
export function milliseconds(nanos) {
  return isStamp(nanos) ? Number(BigInt(nanos) / 1_000_000n) : null;
}

/** Whether a stamp is of the clock that shows `nowMs`. */
export function isOurs(nanos, nowMs) {
  const ms = milliseconds(nanos);
  return ms !== null && Math.abs(ms - nowMs) <= OURS_WITHIN_MS;
}

/** Microseconds that a frame was inside the server; null where its stamps are not both of the server's clock. */
export function insideUs(frame, nowMs) {
  if (!isOurs(frame.ts_recv, nowMs) || !isOurs(frame.ts_out, nowMs)) return null;
  const inside = (BigInt(frame.ts_out) - BigInt(frame.ts_recv)) / 1_000n;
  return inside < 0n || inside > INSIDE_MAX_US ? null : inside;
}

/** Milliseconds from the server to the page; null where the frame's stamp is not of the server's clock. */
export function wireMs(frame, arrivedMs) {
  if (arrivedMs === undefined || !isOurs(frame.ts_out, arrivedMs)) return null;
  return Math.round(arrivedMs - Number(BigInt(frame.ts_out) / 1_000n) / 1_000);
}
