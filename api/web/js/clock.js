// Istanbul time of server timestamps. The zone's offset comes from the browser's own tables, once per day shown.

const DAY_MS = 86_400_000;
const offsets = new Map();
const offsetFormat = new Intl.DateTimeFormat('en-US', { timeZone: 'Europe/Istanbul', timeZoneName: 'longOffset' });

/** Milliseconds that Istanbul is ahead of UTC on the UTC day of `ms`. */
export function istanbulOffsetMs(ms) {
  const day = Math.floor(ms / DAY_MS);
  let offset = offsets.get(day);
  if (offset === undefined) {
    const name = offsetFormat.formatToParts(ms).find((part) => part.type === 'timeZoneName')?.value ?? 'GMT+03:00';
    const match = /GMT([+-])(\d\d):(\d\d)/.exec(name);
    offset = match ? (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3])) * 60_000 : 0;
    if (offsets.size > 4_000) offsets.clear();
    offsets.set(day, offset);
  }
  return offset;
}

/** `14:03:07` and as many decimals of the second as asked for (0..9), of nanoseconds as text. */
export function clockOf(nanos, decimals) {
  if (typeof nanos !== 'string' || nanos.length < 10) return '–';
  const seconds = Number(nanos.slice(0, -9));
  const whole = clockOfMs(seconds * 1000);
  return decimals === 0 ? whole : `${whole}.${nanos.slice(-9, -9 + decimals || undefined)}`;
}

/** `14:03:07` of milliseconds. */
export function clockOfMs(ms) {
  const local = Math.floor((ms + istanbulOffsetMs(ms)) / 1000) % 86_400;
  return `${two(Math.floor(local / 3600))}:${two(Math.floor(local / 60) % 60)}:${two(local % 60)}`;
}

function two(value) {
  return value < 10 ? `0${value}` : String(value);
}

/** `12 s`, `3 min 05 s`, `2 h 07 min`: how long something lasts, in the units of the language. */
export function durationOf(ms, language) {
  const [hour, minute, second] = language === 'tr' ? ['sa', 'dk', 'sn'] : ['h', 'min', 's'];
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} ${second}`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} ${minute} ${two(seconds % 60)} ${second}` : `${Math.floor(minutes / 60)} ${hour} ${two(minutes % 60)} ${minute}`;
}
