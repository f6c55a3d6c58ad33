// The two axes of the chart: where candles and outages stand in time, and which steps prices take. Pure.

import { istanbulOffsetMs } from './clock.js';

/** Places that an outage takes at most; a longer one is drawn as long as this. */
const HOLE_PLACES_MAX = 60;
const SECONDS = { '1s': 1, '1m': 60, '1h': 3_600, '1d': 86_400 };

/** The chart knows no zones: its times are moved to Istanbul's wall clock. Seconds. */
export function timeOf(candle) {
  const seconds = Number(candle.start.slice(0, -9));
  return seconds + istanbulOffsetMs(seconds * 1000) / 1000;
}

/**
 * Where outages stand on the axis: `blanks` are starts without a candle, `shaded` those and the candles that an outage lies in.
 * Ascending, each time once.
 */
export function placesOfHoles(holes, candles, interval) {
  const step = SECONDS[interval];
  const have = new Set(candles.map(timeOf));
  const blanks = new Set();
  const shaded = new Set();
  for (const { from, to } of holes) {
    const [first, last] = [from, to].map((seconds) => Math.floor((seconds + istanbulOffsetMs(seconds * 1000) / 1000) / step) * step);
    const stride = step * Math.max(1, Math.ceil((last - first) / step / HOLE_PLACES_MAX));
    for (let time = first; time <= last; time += stride) {
      if (have.has(time)) shaded.add(time);
      else if (time < last) {
        blanks.add(time);
        shaded.add(time);
      }
    }
  }
  const ascending = (set) => [...set].sort((a, b) => a - b);
  return { blanks: ascending(blanks), shaded: ascending(shaded) };
}

/** Steps of the price axis are steps of the tick, so that no label is a price that nobody can ask. */
export function priceFormat(tick, decimals) {
  const steps = tick === null ? NaN : Math.round(1 / Number(tick));
  // The library divides the steps of one unit by 2 and 5: others, and ticks above one, fall back to the decimals.
  const isFit = steps >= 1 && Math.abs(steps * Number(tick) - 1) < 1e-9 && isOfTwoAndFive(steps);
  return isFit
    ? { type: 'price', precision: decimals, minMove: Number(tick), base: steps }
    : { type: 'price', precision: decimals, minMove: 1 / 10 ** decimals, base: 10 ** decimals };
}

function isOfTwoAndFive(number) {
  let rest = number;
  for (const factor of [2, 5]) while (rest % factor === 0) rest /= factor;
  return rest === 1;
}
