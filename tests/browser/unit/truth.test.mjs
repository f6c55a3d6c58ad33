// What may be believed: origin, verdicts, stamps, outages, near names, reasons for an empty panel.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placesOfHoles, priceFormat } from '../../../api/web/js/axis.js';
import { durationOf } from '../../../api/web/js/clock.js';
import { tickOf } from '../../../api/web/js/market.js';
import { nearNames } from '../../../api/web/js/near.js';
import { Outages } from '../../../api/web/js/outages.js';
import { insideUs, isOurs, milliseconds, wireMs } from '../../../api/web/js/stamps.js';
import { bookVerdict, marketVerdict, originOf } from '../../../api/web/js/truth.js';

test('a simulated market is never real, and one that nobody named is not either', () => {
  assert.equal(originOf({ source: 'sim', simulated: true }), 'sim');
  assert.equal(originOf({ source: 'itch', simulated: true }), 'sim');
  assert.equal(originOf({ source: 'sim' }), 'sim');
  assert.equal(originOf({ source: 'replay', simulated: false }), 'replay');
  assert.equal(originOf({ source: 'replay', simulated: true }), 'replay');
  assert.equal(originOf({ source: 'itch', simulated: false }), 'real');
  assert.equal(originOf({ source: 'something' }), 'unknown');
  assert.equal(originOf(null), 'unknown');
});

const state = (more) => ({ link: { state: 'live', heardAt: 10_000, lostAt: null }, heartbeat: { session_state: 'open' }, feedState: null, ageMs: 5, now: 10_100, ...more });
const verdict = (more) => {
  const { level, key, ageMs } = marketVerdict(state(more));
  return [level, key, ageMs];
};

test('live is what comes, and comes now', () => {
  assert.deepEqual(verdict({}), ['live', 'live', null]);
  assert.deepEqual(verdict({ now: 13_500 }), ['dead', 'silent', 3_500], 'the socket is open and nothing comes');
  assert.deepEqual(verdict({ link: { state: 'waiting', heardAt: 0, lostAt: 4_000 } }), ['dead', 'lost', 6_100]);
  assert.deepEqual(verdict({ link: { state: 'connecting', heardAt: 0, lostAt: null } }), ['dead', 'connecting', null]);
  assert.deepEqual(verdict({ heartbeat: null }), ['dead', 'connecting', null], 'an open socket alone says nothing');
  assert.deepEqual(verdict({ heartbeat: { session_state: 'waiting' } }), ['dead', 'waiting', null]);
  assert.deepEqual(verdict({ heartbeat: { session_state: 'stale' }, ageMs: 12_000 }), ['dead', 'stale', 12_000]);
  assert.deepEqual(verdict({ feedState: 'stale', ageMs: 2_000 }), ['dead', 'stale', 2_000], 'before the next heartbeat');
  assert.deepEqual(verdict({ ageMs: 11_000 }), ['dead', 'stale', 11_000]);
  assert.deepEqual(verdict({ heartbeat: { session_state: 'ended' }, ageMs: 99_000 }), ['over', 'ended', null], 'after the last message silence is right');
  assert.deepEqual(verdict({ heartbeat: { session_state: 'open', joined_midway: true } }), ['doubt', 'joined_midway', null]);
  assert.deepEqual(verdict({ heartbeat: { session_state: 'ended', joined_midway: true } }), ['over', 'ended', null], 'the day is over first');
});

test('a book is live when it is whole, and says why when it is not', () => {
  const book = (more) => bookVerdict({ refused: null, missing: false, hasFrame: true, waiting: false, bad: false, reason: null, ...more });
  assert.equal(book({}).level, 'live');
  assert.deepEqual([book({ bad: true, reason: 'unknown_order' }).level, book({ bad: true, reason: 'unknown_order' }).reason], ['doubt', 'unknown_order']);
  assert.equal(book({ waiting: true }).key, 'resync');
  assert.equal(book({ hasFrame: false }).key, 'no_book');
  assert.equal(book({ hasFrame: false, refused: 'SYMBOL_NOT_FOUND' }).key, 'refused');
  assert.equal(book({ missing: true }).key, 'no_symbol');
});

test('an age is only told of two stamps of the server’s clock', () => {
  const now = 1_795_417_200_000;
  const nanos = (ms) => `${ms}000000`;
  assert.equal(insideUs({ ts_recv: nanos(now), ts_out: nanos(now + 2) }, now), 2_000n);
  assert.equal(insideUs({ ts_recv: '12000000000', ts_out: nanos(now) }, now), null, 'a replay stamps its reception with 1970');
  assert.equal(insideUs({ ts_recv: nanos(now - 90_000_000), ts_out: nanos(now) }, now), null, 'or with the day of the recording');
  assert.equal(insideUs({ ts_recv: nanos(now), ts_out: nanos(now - 1) }, now), null);
  assert.equal(insideUs({}, now), null);
  assert.equal(wireMs({ ts_out: nanos(now) }, now + 3), 3);
  assert.equal(wireMs({ ts_out: '0' }, now), null);
  assert.equal(wireMs({ ts_out: nanos(now) }, undefined), null);
  assert.equal(isOurs('2026-11-23T07:00:00Z', now), false);
  assert.equal(milliseconds('x'), null);
});

test('an outage is a hole of the chart where candles may be missing', () => {
  const outages = new Outages();
  outages.at('1795417200000000000');
  outages.begin('lost', 1_000);
  outages.begin('lost', 2_000);
  assert.equal(outages.list.length, 1);
  assert.equal(outages.end(5_000).from, 1_000);
  assert.equal(outages.end(6_000), null);
  outages.at('1795417230000000000');
  assert.deepEqual(outages.holes, [], 'the server went on: its snapshot has all candles');
  assert.equal(outages.take().to, 5_000);
  assert.equal(outages.take(), null, 'the tape is told once');

  outages.begin('stale', 7_000);
  outages.end(8_000);
  outages.at('1795417290000000000');
  assert.deepEqual(outages.holes, [{ from: 1_795_417_230, to: 1_795_417_290 }]);

  outages.begin('lost', 9_000);
  outages.newEpoch();
  outages.end(9_500);
  outages.at('1795410000000000000');
  assert.deepEqual(outages.holes, [], 'a day that begins anew has no hole before its beginning, and none of the forgotten one');

  outages.begin('lost', 10_000);
  outages.newEpoch();
  outages.end(10_500);
  outages.at('1795410009000000000');
  assert.deepEqual(outages.holes, [{ from: 1_795_410_000, to: 1_795_410_009 }], 'a day that goes on after a restart has one');
});

test('outages are bounded', () => {
  const outages = new Outages();
  for (let i = 0; i < 100; i++) {
    outages.begin('stale', i);
    outages.end(i);
  }
  assert.equal(outages.list.length, 20);
});

const candle = (start) => ({ start: `${start}000000000` });
const MINUTE = 1_795_417_200;
const ISTANBUL = 10_800;

test('a hole stands where no candle is, and shades the candles that it lies in', () => {
  const candles = [candle(MINUTE), candle(MINUTE + 300)];
  const { blanks, shaded } = placesOfHoles([{ from: MINUTE + 20, to: MINUTE + 310 }], candles, '1m');
  assert.deepEqual(blanks.map((time) => time - MINUTE - ISTANBUL), [60, 120, 180, 240]);
  assert.deepEqual(shaded.map((time) => time - MINUTE - ISTANBUL), [0, 60, 120, 180, 240, 300]);
  assert.deepEqual(placesOfHoles([{ from: MINUTE + 20, to: MINUTE + 40 }], candles, '1m'), { blanks: [], shaded: [MINUTE + ISTANBUL] });
});

test('a long hole takes a bounded place', () => {
  const { blanks } = placesOfHoles([{ from: MINUTE, to: MINUTE + 86_400 * 3 }], [], '1s');
  assert.ok(blanks.length > 10 && blanks.length <= 61, `${blanks.length}`);
});

test('the price axis steps on the tick', () => {
  assert.deepEqual(priceFormat('0.25', 2), { type: 'price', precision: 2, minMove: 0.25, base: 4 });
  assert.deepEqual(priceFormat('0.020', 2), { type: 'price', precision: 2, minMove: 0.02, base: 50 });
  assert.deepEqual(priceFormat('0.01', 2), { type: 'price', precision: 2, minMove: 0.01, base: 100 });
  for (const odd of [null, '2.5', '0.03', '0.07', '0']) assert.equal(priceFormat(odd, 2).minMove, 0.01, String(odd));
});

test('of several tick bands those count that the price limits reach', () => {
  const ticks = [{ from: '0.01', to: '19.99', tick: '0.01' }, { from: '20.00', to: '49.98', tick: '0.02' }, { from: '50.00', to: null, tick: '0.05' }];
  assert.equal(tickOf({ ticks, limit_low: '45.00', limit_high: '55.00' }), '0.02');
  assert.equal(tickOf({ ticks, limit_low: '60.00', limit_high: '70.00' }), '0.05');
  assert.equal(tickOf({ ticks, limit_low: null, limit_high: null }), '0.01');
  assert.equal(tickOf({ ticks: [] }), null);
  assert.equal(tickOf(null), null);
});

test('near names are those with the fewest letters to change', () => {
  const symbols = ['GARAN', 'GARFA', 'THYAO', 'AKBNK', 'AKSA', 'ISCTR'];
  assert.deepEqual(nearNames('GARN', symbols).slice(0, 2), ['GARAN', 'GARFA']);
  assert.deepEqual(nearNames('THY', symbols), ['THYAO'], 'a beginning is near');
  assert.deepEqual(nearNames('XQWZ', symbols), []);
  assert.ok(nearNames('AAAA', Array.from({ length: 10_000 }, (_, i) => `AAA${i}`)).length <= 5);
});

test('an age is written in the units of the language', () => {
  assert.deepEqual([400, 12_900, 185_000, 7_620_000].map((ms) => durationOf(ms, 'en')), ['0 s', '12 s', '3 min 05 s', '2 h 07 min']);
  assert.deepEqual([12_000, 185_000, 7_620_000].map((ms) => durationOf(ms, 'tr')), ['12 sn', '3 dk 05 sn', '2 sa 07 dk']);
});
