// The page's state: checksums, trades with holes, candles, what is large.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { CANDLES_MAX, Market, TRADES_MAX } from '../../../api/web/js/market.js';
import { frame, vectors } from './document.mjs';

if (globalThis.navigator === undefined) globalThis.navigator = { language: 'en-US' };
globalThis.document ??= { documentElement: {}, querySelectorAll: () => [], getElementById: () => null };
const { stateOfBook, whyNoCandle, whyNoDepth, whyNoTrade } = await import('../../../api/web/js/why.js');

let subscriptions;
let market;
let changes;

/** A feed that lets everything through the chain of the subscription and remembers what was asked. */
class FakeFeed {
  resyncs = [];

  subscribe(params, handlers) {
    const subscription = { params, handlers, closed: false, close: () => (subscription.closed = true), resync: (symbol, reason) => this.resyncs.push([symbol, reason]) };
    subscriptions.push(subscription);
    return subscription;
  }

  group(params, handlers) {
    return Object.assign(this.subscribe(params, handlers), { shown: [], show(symbols) { this.shown = [...symbols]; } });
  }
}

let feed;
const open = (channel) => subscriptions.findLast((subscription) => subscription.params.channel === channel && !subscription.closed);
const give = (message) => {
  const { handlers } = open(message.channel);
  const decision = handlers.chain?.accept(message) ?? 'apply';
  if (decision === 'replace' || decision === 'apply') handlers.onFrame(message, decision);
};
const trade = (seq, more = {}) => ({ seq, ts_event: '1795417200000000000', ts_recv: '1795417200000000000', match_id: String(seq), price: '10.00', quantity: '100', side: 'B', conditions: [], ...more });
const trades = (type, list, epoch = 7) => ({ channel: 'trades', type, symbol: 'THYAO', epoch, seq: list.at(-1)?.seq ?? 0, prev_seq: 0, trades: list });

beforeEach(() => {
  subscriptions = [];
  changes = [];
  feed = new FakeFeed();
  market = new Market((part) => changes.push(part));
  market.start(feed);
  market.select('THYAO');
});

test('every frame is verified; a wrong sum resynchronises the symbol', () => {
  const [first] = vectors('apply-vectors');
  give(frame(first.frame));
  assert.deepEqual(market.checks, { verified: 1, mismatched: 0, last: { expected: 428662867, computed: 428662867 } });
  give(frame({ seq: 101, prev_seq: 100, bids: [['312.50', '1', 1]], checksum: 5 }));
  assert.equal(market.checks.mismatched, 1);
  assert.deepEqual(feed.resyncs, [['THYAO', 'checksum']]);
});

test('another symbol ends the subscriptions of the last one', () => {
  const before = subscriptions.filter(({ params }) => params.symbol === 'THYAO');
  market.select('GARAN');
  assert.ok(before.length >= 4 && before.every(({ closed }) => closed));
  assert.equal(market.trades.length, 0);
});

test('a frame of a book that is no longer shown is not taken', () => {
  const old = open('book');
  market.setDepth(20);
  old.handlers.onFrame(frame({ type: 'snapshot' }), 'replace');
  assert.equal(market.bookFrame, null);
  assert.equal(open('book').params.depth, 20);
});

test('a snapshot that overlaps adds what is new; one that does not shows the hole', () => {
  give(trades('snapshot', [trade(1), trade(2)]));
  give(trades('update', [trade(5)]));
  give(trades('snapshot', [trade(2), trade(5), trade(6)]));
  assert.deepEqual(market.trades.map(({ seq }) => seq), [6, 5, 2, 1]);
  give(trades('snapshot', [trade(20), trade(21)]));
  assert.deepEqual(market.trades.map(({ seq, hole }) => (hole ? 'hole' : seq)), [21, 20, 'hole', 6, 5, 2, 1]);
  give(trades('snapshot', [trade(1)], 8));
  assert.deepEqual(market.trades.map(({ seq }) => seq), [1], 'a new epoch begins an empty tape');
});

test('a broken trade is struck out, not shown as another one', () => {
  give(trades('snapshot', [trade(1), trade(2)]));
  give(trades('update', [trade(9, { match_id: '1', conditions: ['broken'] })]));
  assert.deepEqual(market.trades.map(({ seq, broken }) => [seq, broken]), [[2, false], [1, true]]);
});

test('large is what few of the trades before reached', () => {
  const list = Array.from({ length: 40 }, (_, i) => trade(i + 1, { quantity: String(100 + (i % 5)) }));
  give(trades('snapshot', list));
  give(trades('update', [trade(50, { quantity: '101' }), trade(51, { quantity: '90000000000000000000' })]));
  assert.deepEqual(market.trades.slice(0, 2).map(({ large }) => large), [true, false]);
});

test('the tape is bounded', () => {
  give(trades('snapshot', []));
  for (let i = 0; i < 20; i++) give(trades('update', Array.from({ length: 50 }, (_, n) => trade(i * 50 + n + 1))));
  assert.equal(market.trades.length, TRADES_MAX);
  assert.equal(market.trades[0].seq, 1_000);
});

test('the head follows the tape until the statistics have caught up', () => {
  const statistics = (seq, last) => ({ channel: 'statistics', type: 'update', symbol: 'THYAO', epoch: 7, seq, prev_seq: 0, last, reference: '10.00', change: '0.00', change_bp: 0, volume: '1' });
  give(statistics(10, '10.00'));
  give(trades('update', [trade(20, { price: '10.05' }), trade(21, { price: '9.00', conditions: ['non_printable'] })]));
  assert.deepEqual([market.row.last, market.row.change, market.row.changeBp, market.row.direction], ['10.05', '0.05', 50, 1]);
  give(statistics(15, '10.01'));
  assert.equal(market.row.last, '10.05', 'older than the tape');
  give(statistics(20, '10.05'));
  give(statistics(30, '10.02'));
  assert.deepEqual([market.row.last, market.row.direction], ['10.02', -1]);
});

const candle = (start, close, closed = false) => ({ start: `${start}000000000`, open: close, high: close, low: close, close, volume: '1', turnover: '1.00', trades: 1, closed });
const candles = (type, list) => ({ channel: 'ohlcv-1m', type, symbol: 'THYAO', epoch: 7, seq: 1, prev_seq: 0, candles: list });

test('the forming candle is replaced, the closed one stays, a late one finds its place', () => {
  give(candles('snapshot', [candle(1_795_417_200, '1.00', true), candle(1_795_417_260, '2.00')]));
  give(candles('update', [candle(1_795_417_260, '2.50', true), candle(1_795_417_320, '3.00')]));
  assert.deepEqual(market.candles.map(({ close }) => close), ['1.00', '2.50', '3.00']);
  assert.equal(market.candleFrom, 0, 'not drawn yet');
  market.candleFrom = 3;
  give(candles('update', [candle(1_795_417_230, '1.50', true)]));
  assert.deepEqual(market.candles.map(({ close }) => close), ['1.00', '1.50', '2.50', '3.00']);
  assert.equal(market.candleFrom, 1);
});

test('a candle whose trade was broken is drawn anew, and goes when it has none left', () => {
  give(candles('snapshot', [candle(1_795_417_200, '1.00', true), candle(1_795_417_260, '2.00', true), candle(1_795_417_320, '3.00')]));
  market.candleFrom = 3;
  give(candles('update', [candle(1_795_417_200, '1.10', true), candle(1_795_417_320, '3.00')]));
  assert.deepEqual(market.candles.map(({ close }) => close), ['1.10', '2.00', '3.00']);
  assert.equal(market.candleFrom, 0, 'drawn from the corrected one on');
  const version = market.candlesVersion;
  const none = { ...candle(1_795_417_260, null, true), trades: 0 };
  give(candles('update', [none, candle(1_795_417_320, '3.00')]));
  give(candles('update', [{ ...none, start: '1795417199000000000' }]));
  assert.deepEqual(market.candles.map(({ close }) => close), ['1.10', '3.00']);
  assert.notEqual(market.candlesVersion, version, 'the chart draws all of them again');
});

test('candles are bounded', () => {
  give(candles('snapshot', []));
  for (let i = 0; i < CANDLES_MAX + 50; i++) give(candles('update', [candle(1_795_417_200 + i * 60, '1.00')]));
  assert.equal(market.candles.length, CANDLES_MAX);
});

test('a hole of the feed is counted with its reason', () => {
  market.onSystem({ channel: 'system', type: 'gap', sub_id: null, channel_of: null, symbol: '*', epoch: 7, from_seq: 1, to_seq: 1, reason: 'upstream' });
  assert.equal(market.gapCount, 1);
  assert.equal(market.gaps[0].reason, 'upstream');
});

test('the age of the feed grows between heartbeats and falls with data', () => {
  market.heartbeat = { feed_age_ms: 10 };
  market.heartbeatAt = 1_000;
  assert.equal(market.feedAgeMs(1_500), 510);
  market.frameAt = 1_450;
  assert.equal(market.feedAgeMs(1_500), 50);
  market.heartbeat = { feed_age_ms: null };
  assert.equal(market.feedAgeMs(1_500), null);
});

const hello = (epoch, more = {}) => market.onSystem({ channel: 'system', type: 'hello', version: '0.1.0', epoch, source: 'itch', simulated: false, ...more });
const directory = (...symbols) => market.onSymbols(symbols.map((symbol) => ({ symbol, name: symbol, price_decimals: 2, ticks: [], phase: 'continuous' })), new Set(symbols));

test('another epoch forgets the old market: rows, book, trades and candles', () => {
  hello(7);
  directory('THYAO', 'GARAN');
  const [first] = vectors('apply-vectors');
  give(frame(first.frame));
  give(trades('snapshot', [trade(1)]));
  give(candles('snapshot', [candle(1_795_417_200, '1.00', true)]));
  market.onLink('live', 0);
  hello(8);
  assert.deepEqual([market.rows.size, market.bookFrame, market.trades.length, market.candles.length], [0, null, 0, 0]);
  assert.ok(changes.includes('market'));
});

test('the same epoch after a lost connection keeps what is known', () => {
  hello(7);
  directory('THYAO');
  market.onLink('live', 0);
  hello(7);
  assert.equal(market.rows.size, 1);
});

test('an epoch that falls counts on a new connection only', () => {
  hello(7);
  directory('THYAO');
  market.onHeartbeat({ epoch: 6, seq: 1, server_time: '1795417200000000000', feed_age_ms: 1, session_state: 'open' });
  assert.equal(market.rows.size, 1, 'within a connection only a higher one is news');
  market.onLink('live', 0);
  market.onHeartbeat({ epoch: 6, seq: 1, server_time: '1795417200000000000', feed_age_ms: 1, session_state: 'open' });
  assert.equal(market.rows.size, 0);
});

test('a directory that no longer names a symbol takes its row away', () => {
  directory('THYAO', 'GARAN');
  directory('THYAO');
  assert.deepEqual([...market.rows.keys()], ['THYAO']);
});

test('a selected symbol that the market has not is missing, once the market is known', () => {
  market.select('NONE');
  assert.equal(market.isMissing, false, 'nothing is known yet');
  directory('THYAO');
  assert.equal(market.isMissing, true);
  assert.equal(market.bookVerdict.key, 'no_symbol');
  directory('THYAO', 'NONE');
  assert.equal(market.isMissing, false);
});

test('only rows in view and the selected symbol are followed', () => {
  market.show(['A', 'B']);
  market.select('GARAN');
  for (const channel of ['statistics', 'status', 'imbalance']) assert.deepEqual(open(channel).shown.sort(), ['A', 'B', 'GARAN', 'THYAO'], `${channel}: the last one lingers`);
});

test('more rows than the connection takes are not asked for; the selected symbol always is', () => {
  feed.subscriptionsMax = 46;
  market.show(Array.from({ length: 100 }, (_, i) => `S${i}`));
  market.select('GARAN');
  const { shown } = open('statistics');
  assert.equal(shown.length, 10);
  assert.ok(shown.includes('GARAN'));
});

test('numbers of REST fill rows that nothing keeps up to date, and no others', () => {
  directory('THYAO', 'GARAN');
  const quote = (symbol) => ({ symbol, last: '10.00', change: '-0.50', change_percent: '-4.76', volume: '5', turnover: '50.00', phase: 'continuous', equilibrium: null });
  give({ channel: 'statistics', type: 'snapshot', symbol: 'THYAO', epoch: 7, seq: 1, prev_seq: 0, last: '11.00', change: null, change_bp: null, volume: '1' });
  market.onQuotes([quote('THYAO'), quote('GARAN'), quote('NONE')]);
  assert.deepEqual([market.rows.get('THYAO').last, market.rows.get('GARAN').last, market.rows.get('GARAN').changeBp], ['11.00', '10.00', -476]);
  assert.deepEqual([market.rows.get('THYAO').live, market.rows.get('GARAN').live, market.rows.size], [true, false, 2]);
});

test('a marked book says so with its reason until it is whole', () => {
  const [first] = vectors('apply-vectors');
  give(frame({ ...first.frame, maybe_bad: true, reason: 'unknown_order' }));
  assert.deepEqual([market.bookVerdict.key, market.bookVerdict.reason], ['maybe_bad', 'unknown_order']);
  give(frame({ ...first.frame, seq: 200 }));
  assert.equal(market.bookVerdict.level, 'live');
});

test('an outage is a line of the tape: with what is missing, or with nothing missing', () => {
  hello(7);
  give(trades('snapshot', [trade(1), trade(2)]));
  const lose = () => {
    market.onLink('live', 0);
    market.onLink('waiting', performance.now());
    market.onLink('live', 0);
  };
  lose();
  give(trades('snapshot', [trade(2), trade(3)]));
  assert.deepEqual(market.trades.map(({ seq, hole, missing }) => (hole ? missing : seq)), [3, false, 2, 1]);
  lose();
  give(trades('snapshot', [trade(20)]));
  assert.deepEqual(market.trades.map(({ seq, hole, missing }) => (hole ? missing : seq)), [20, true, 3, false, 2, 1]);
  lose();
  hello(8);
  give(trades('snapshot', [trade(1)], 8));
  assert.deepEqual(market.trades.map(({ seq, hole, missing }) => (hole ? missing : seq)), [1, true], 'a new epoch begins with the outage');
});

test('the exchange’s clock is shown where the stamps of reception are not of our clock', () => {
  market.onFrame({ type: 'update', ts_event: '1795417200000000000', ts_recv: '12000000000' });
  assert.equal(market.exchangeMs, 1_795_417_200_000);
});

test('a market that is refused is cleared, and its panels say “sign in”', () => {
  market.onSymbols([{ symbol: 'THYAO', name: 'THY' }], new Set(['THYAO']));
  const [first] = vectors('apply-vectors');
  give(frame(first.frame));
  give(trades('snapshot', [trade(1), trade(2)]));
  give({ channel: 'ohlcv-1m', type: 'snapshot', symbol: 'THYAO', epoch: 7, seq: 1, prev_seq: 0, candles: [{ start: '1795417200000000000' }] });
  assert.ok(market.rows.size > 0 && market.bookFrame !== null && market.trades.length === 2 && market.candles.length === 1);
  changes.length = 0;
  market.onAccess(false);
  assert.deepEqual([market.rows.size, market.listed, market.bookFrame, market.trades.length, market.candles.length, market.stamps], [0, null, null, 0, 0, null]);
  assert.ok(['truth', 'list', 'selection'].every((part) => changes.includes(part)), changes.join());
  assert.equal(market.selected, 'THYAO', 'the next sign-in goes on with it');
  const state = { verdict: market.verdict(), book: market.bookVerdict, phase: 'unknown' };
  assert.deepEqual([whyNoDepth(state), whyNoCandle(state), whyNoTrade(market), stateOfBook(market)], ['why.book.sign_in', 'why.book.sign_in', 'why.book.sign_in', '']);
  market.onAccess(true);
  assert.deepEqual([whyNoTrade(market), stateOfBook(market)], ['tape.empty', 'book.waiting']);
});
