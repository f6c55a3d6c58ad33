// Nothing old, dead, foreign or simulated is shown as live: the page against a server that goes through all of it on demand.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { launch, look, open, problemsOf, until } from './browser.mjs';
import { start } from './mock-server.mjs';

let browser;
let server;
let page;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());
afterEach(async () => {
  await page?.context().close();
  await server?.close();
  page = null;
  server = null;
});

const seen = () => look(page);
const EXPECTED = /WebSocket|ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_ABORTED/;
async function visit(options = {}, { hash = '#THYAO', ...more } = {}) {
  server = await start({ rate: 300, ...options });
  page = await open(browser, `${server.url}/${hash}`, { expected: EXPECTED, ...more });
}
const isLive = (l) => l.truth === 'live' && l.symbol === 'THYAO' && l.filled === 20 && l.verified > 2;
const live = () => until('a live book', seen, isLive);
const strip = (name) => page.$eval(`#${name}`, (node) => (node.hidden ? null : node.textContent));
const title = () => page.title();
/** How far a colour is from grey: 0 is grey. */
const saturation = (selector) => page.$eval(selector, (node) => {
  const [r, g, b] = getComputedStyle(node).color.match(/[\d.]+/g).map(Number);
  return Math.max(r, g, b) - Math.min(r, g, b);
});
const GREY_MAX = 40;
const COLOURED_MIN = 70;
const isGrey = async () => (await Promise.all(['.level .bid > .price', '.level .ask > .price', '#symbol-last'].map(saturation))).every((value) => value <= GREY_MAX);

test('a live market: no strip, the price in the title, colours', async () => {
  await visit();
  await live();
  assert.deepEqual([await strip('truth'), await strip('origin')], [null, null]);
  assert.match(await title(), /^THYAO \d/);
  assert.ok((await saturation('.level .bid > .price')) >= COLOURED_MIN);
  assert.match(await page.textContent('#status-connection .value'), /^Live$/);
  assert.deepEqual(await problemsOf(page), []);
});

test('a feed that falls silent: grey, titled, aged; it comes back by itself and leaves a line in the tape', async () => {
  await visit();
  await live();
  server.fault('stale');
  await until('greyed', isGrey, (grey) => grey);
  assert.match(await strip('truth'), /^FEED SILENT for \d+ s/);
  assert.match(await title(), /^⚠ STALE · THYAO · BIST$/, 'no price in the title');
  assert.notEqual(await page.textContent('#status-connection .value'), 'Live');
  const age = async () => Number(/(\d+) s/.exec(await strip('truth'))[1]);
  const first = await age();
  await until('an age that grows', age, (seconds) => seconds > first);
  server.fault('alive');
  await live();
  assert.equal(await strip('truth'), null);
  await until('the line in the tape', () => page.$$eval('.trade[data-hole="true"]', (rows) => rows.map((row) => row.textContent)), (rows) => rows.length === 1 && /feed silent \d\d:\d\d:\d\d/.test(rows[0]));
  assert.deepEqual(await problemsOf(page), []);
});

test('in Turkish the same is said in Turkish', async () => {
  await visit({ origin: 'sim' }, { locale: 'tr-TR' });
  await live();
  assert.equal(await strip('origin'), 'SİMÜLASYON – fiyatlar gerçek değil');
  server.fault('stale');
  assert.match(await until('said', () => strip('truth'), (text) => text !== null), /^VERİ \d+ sn SESSİZ/);
  await until('the title', title, (text) => text === '⚠ ESKİ · SİMÜLASYON · THYAO · BIST');
});

test('a server that dies and begins anew: grey and aged meanwhile, a hole in tape and chart, nothing of the old day left', async () => {
  await visit({ young: true });
  await live();
  await page.click('#chart-intervals [data-value="1s"]');
  await until('candles', seen, (l) => /\d/.test(l.legend));
  const { port } = server;
  const old = await page.$$eval('.trade .time', (cells) => cells[0].textContent);
  await server.close();
  await until('greyed', isGrey, (grey) => grey);
  assert.match(await strip('truth'), /^NO CONNECTION for \d+ s/);
  assert.match(await title(), /^⚠ NO CONNECTION · THYAO · BIST$/);
  assert.ok((await saturation('.watch-row .change')) <= GREY_MAX);
  await page.waitForTimeout(3_000);
  server = await start({ port, rate: 300, young: true, epoch: 4 });
  await until('live again', seen, isLive, 20_000);
  const tape = await until('trades', () => page.$$eval('.trade', (rows) => rows.map((row) => [row.dataset.hole, row.textContent])), (rows) => rows.length > 3);
  assert.equal(tape.at(-1)[0], 'true', 'the tape begins with the outage');
  assert.match(tape.at(-1)[1], /no connection \d\d:\d\d:\d\d–\d\d:\d\d:\d\d: trades missing/);
  assert.ok(tape.every(([, text]) => !text.includes(old)), 'no trade of the old epoch');
  const holes = await until('a hole in the chart', () => page.$eval('#chart-canvas', (node) => Number(node.dataset.holes)), (count) => count >= 3);
  assert.ok(holes >= 3, `${holes} places`);
  assert.deepEqual(await problemsOf(page), []);
});

test('a lost connection to a server that went on is a line that says what is missing, and no hole of the chart', async () => {
  await visit({ rate: 40 });
  await live();
  server.fault('drop');
  await until('the line', () => page.$$eval('.trade[data-hole="true"]', (rows) => rows.map((row) => row.textContent)), (rows) => rows.length === 1 && /no connection .*: nothing is missing/.test(rows[0]));
  assert.equal(await page.$eval('#chart-canvas', (node) => Number(node.dataset.holes ?? 0)), 0);
});

test('another market after a restart: no dead rows, the old symbol is said to be unknown, near names are offered', async () => {
  await visit();
  await live();
  const { port } = server;
  await server.close();
  server = await start({ port, rate: 300, epoch: 9, names: [['THYAK', 'ANOTHER ONE', 1_000], ['MSFT', 'MICROSOFT', 41_000], ['AAPL', 'APPLE', 19_000]], symbols: 3 });
  const l = await until('the new list', seen, (now) => now.listed === 3, 20_000);
  assert.equal(l.filled, 0, 'the old book is gone');
  assert.deepEqual(await page.$$eval('.watch-row:not([hidden]) .name', (cells) => cells.map((cell) => cell.textContent).sort()), ['AAPL', 'MSFT', 'THYAK']);
  await until('unknown', () => strip('truth'), (text) => text === 'There is no symbol THYAO in this market');
  assert.equal(await page.textContent('#symbol-last'), '–');
  await page.click('#symbol-near button:text-is("THYAK")');
  await until('its book', seen, (now) => now.symbol === 'THYAK' && now.filled > 0 && now.truth === 'live');
  assert.equal(await strip('truth'), null);
  assert.deepEqual(await problemsOf(page), []);
});

test('a restart before the exchange’s first message: nothing is shown as live, and the market comes by itself', async () => {
  await visit();
  await live();
  const { port } = server;
  await server.close();
  server = await start({ port, rate: 300, epoch: 4, late: true });
  await until('no session', () => strip('truth'), (text) => /^NO SESSION YET/.test(text ?? ''), 20_000);
  await until('the old book is gone', seen, (l) => l.filled === 0 && l.truth === 'dead');
  assert.match(await title(), /^⚠ NO SESSION · THYAO · BIST$/);
  assert.match(await page.textContent('#book-why'), /the exchange has sent nothing/);
  await until('asked again', () => server.requests.filter(({ method, params }) => method === 'subscribe' && params.channel === 'book').length, (count) => count >= 2, 15_000);
  server.fault('begin');
  await until('live', seen, isLive, 15_000);
  assert.deepEqual(await problemsOf(page), []);
});

test('a refused snapshot is asked for again', async () => {
  await visit();
  await live();
  server.fault('unavailable');
  server.fault('hole');
  const hole = await until('the hole', seen, (l) => l.gaps === 1);
  await until('whole again', seen, (l) => l.verified > hole.verified + 5 && l.bookState === '');
  assert.equal(server.requests.filter(({ method }) => method === 'get_snapshot').length, 2);
});

test('a socket that stays open and says nothing is not live', async () => {
  await visit();
  await live();
  server.fault('mute');
  await until('noticed', () => strip('truth'), (text) => /^(THE SERVER IS SILENT|NO CONNECTION) for \d+ s/.test(text ?? ''), 6_000);
  assert.ok(await isGrey());
});

test('a marked book is grey, says why, and is marked in the title', async () => {
  await visit();
  await live();
  server.fault('mark');
  await until('said', () => strip('truth'), (text) => text === 'The book of THYAO may be wrong (an unknown order was named)');
  assert.ok(await isGrey());
  assert.match(await title(), /^⚠ book may be wrong · THYAO/);
  assert.match(await page.textContent('#book-state'), /may be wrong/);
  server.fault('unmark');
  await live();
  await until('in colour', isGrey, (grey) => !grey);
});

test('a server that joined midway says so until it is proved whole', async () => {
  await visit({ midway: true });
  await until('said', () => strip('truth'), (text) => /joined a running session/.test(text ?? ''));
  assert.match(await title(), /^⚠ joined midway/);
});

test('a simulated market is called so, always and large, never live alone', async () => {
  await visit({ origin: 'sim' });
  await live();
  assert.equal(await strip('origin'), 'SIMULATION – prices are not real');
  const { height, width, size } = await page.$eval('#origin', (node) => ({ ...node.getBoundingClientRect().toJSON(), size: parseFloat(getComputedStyle(node).fontSize) }));
  assert.ok(height >= 20 && width > 1_000 && size >= 13, `${width} × ${height}, ${size} px`);
  assert.match(await title(), /^SIMULATION · THYAO/);
  assert.equal(await page.textContent('#status-connection .value'), 'Simulation');
});

test('a replay is called so, with its recording', async () => {
  await visit({ origin: 'replay', receivedAt: '12000000000' });
  await live();
  assert.equal(await strip('origin'), 'REPLAY – recorded market: 2026-11-23.itch.gz');
  assert.match(await title(), /^REPLAY · THYAO/);
  // Its stamps of reception are of 1970: no age is made of them.
  await page.keyboard.press('d');
  await until('stamps', () => page.textContent('[data-detail="ts_recv"]'), (text) => text !== '–');
  assert.equal(await page.textContent('[data-detail="inside"]'), '–');
  await until('a rate of trades', () => page.textContent('#tape-rate'), (text) => /^\d+\/min$/.test(text));
});

test('a server that does not say what its market is, is not called live', async () => {
  await visit({ origin: null });
  await live();
  assert.match(await strip('origin'), /^SOURCE NOT STATED/);
  assert.equal(await page.textContent('#status-connection .value'), 'Connected');
});

for (const symbols of [600, 10_000]) {
  test(`${symbols} symbols: all within reach, only what is shown is subscribed`, async (t) => {
    await visit({ symbols, rate: 600, subscriptionsMax: 1_024 }, { hash: '' });
    await until('all of them', seen, (l) => l.listed === symbols && l.filled > 0 && l.truth === 'live', 30_000);
    const ofList = () => server.open().filter((name) => name.startsWith('statistics ')).map((name) => name.slice('statistics '.length));
    const inView = () => page.$$eval('.watch-row:not([hidden])', (rows) => rows.map((row) => row.dataset.symbol));
    await until('rows that are followed', async () => [await inView(), ofList()], ([view, followed]) => view.length > 10 && view.every((symbol) => followed.includes(symbol)));
    assert.ok(server.open().length < 250, `${server.open().length} subscriptions`);
    await page.focus('#watchlist-grid');
    await page.keyboard.press('End');
    await until('the last row', () => page.$$eval('.watch-row:not([hidden])', (rows) => rows.map((row) => Number(row.getAttribute('aria-rowindex')))), (list) => list.includes(symbols + 1));
    const before = await inView();
    await until('the first rows are let go, the last ones followed', ofList, (followed) => before.every((symbol) => followed.includes(symbol)) && followed.length <= before.length + 2, 15_000);
    await until('live rows', () => page.$$eval('.watch-row:not([hidden])', (rows) => rows.filter((row) => row.dataset.live !== 'true').length), (count) => count === 0);
    for (let i = 0; i < 12; i++) await page.mouse.wheel(0, -1_500);
    await page.keyboard.press('s');
    await page.keyboard.press('s');
    await page.keyboard.press('s');
    await until('sorted by volume', () => page.$eval('#watchlist-heads [role="columnheader"]:has([data-column="volume"])', (head) => head.getAttribute('aria-sort')), (sort) => sort === 'descending');
    const volumes = () => page.$$eval('.watch-row:not([hidden])', (rows) => rows.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top).map((row) => row.querySelector('.volume').textContent));
    await until('numbers of all', volumes, (list) => list.length > 10 && list.every((text) => text !== '–' && text !== '0'), 20_000);
    const refused = await page.evaluate(() => document.querySelector('[data-detail="refused"]').textContent);
    assert.ok(['–', '0'].includes(refused), 'nothing was refused');
    const times = server.requests.map(({ at }) => at);
    const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length));
    t.diagnostic(`${server.requests.length} requests, at most ${most} in a second; ${server.open().length} subscriptions at the end`);
    assert.ok(most <= 18, 'never more than the burst and a second');
    assert.deepEqual(await problemsOf(page), []);
  });
}

test('an auction: the equilibrium of each share in the list, its parts labelled, and why the depth is empty', async () => {
  await visit({ young: true });
  await live();
  assert.equal(await page.isVisible('#watchlist-heads .equilibrium'), false);
  server.fault('hidden auction');
  await page.waitForSelector('#watchlist-heads .equilibrium', { state: 'visible' });
  const prices = await until('prices', () => page.$$eval('.watch-row:not([hidden]) .equilibrium', (cells) => cells.map((cell) => cell.textContent)), (list) => list.length === 20 && list.every((text) => /^\d+\.\d\d$/.test(text)));
  assert.ok(prices.length === 20);
  assert.match(await page.textContent('#book-middle .auction'), /^Equilibrium[\d.]+Bid152KAsk148K$/);
  assert.match(await until('the reason', () => page.textContent('#book-why'), (text) => text !== ''), /orders are being collected/);
  server.fault('continuous');
  await live();
  assert.equal(await page.isVisible('#book-why'), false);
  await page.waitForSelector('#watchlist-heads .equilibrium', { state: 'hidden' });
});

test('a closed market says why depth and chart are empty', async () => {
  await visit({ young: true, rate: 0.01 });
  await until('connected', seen, (l) => l.truth === 'live');
  server.fault('closed');
  await until('the reason', () => page.$eval('#book-why', (node) => (node.hidden ? '' : node.textContent)), (text) => /closed and holds no orders/.test(text));
  await until('the chart’s', () => page.$eval('#chart-why', (node) => (node.hidden ? '' : node.textContent)), (text) => /closed and nothing was traded/.test(text));
  assert.match(await page.textContent('#symbol-phase'), /Closed/);
});

test('the day’s end is said; its prices stay', async () => {
  await visit();
  await live();
  server.fault('ended');
  await until('said', () => strip('truth'), (text) => /day has ended/.test(text ?? ''));
  assert.match(await title(), /^Day ended · THYAO \d/);
});

test('an address that names no symbol says so, and goes on when it is listed', async () => {
  await visit({}, { hash: '#THYAQ' });
  await until('unknown', () => strip('truth'), (text) => text === 'There is no symbol THYAQ in this market');
  assert.match(await page.textContent('#book-why'), /no symbol THYAQ/);
  assert.deepEqual(await page.$$eval('#symbol-near button', (buttons) => buttons.map((button) => button.textContent)).then((names) => names.slice(0, 1)), ['THYAO']);
  await page.evaluate(() => (location.hash = '#garan.e'));
  await until('the exchange’s own name is known', seen, (l) => l.symbol === 'GARAN' && l.filled > 0);
  assert.equal(await strip('truth'), null);
  assert.deepEqual(await problemsOf(page), []);
});

test('keys: sorting, turning round, levels, interval, the list of keys', async () => {
  await visit();
  await live();
  await page.focus('#watchlist-grid');
  const sorted = () => page.$eval('#watchlist-heads [aria-sort="ascending"], #watchlist-heads [aria-sort="descending"]', (head) => [head.firstChild.dataset.column, head.getAttribute('aria-sort')].join(' '));
  assert.equal(await sorted(), 'symbol ascending');
  await page.keyboard.press('s');
  assert.equal(await sorted(), 'last descending');
  await page.keyboard.press('Shift+S');
  assert.equal(await sorted(), 'last ascending');
  await page.focus('#watchlist-heads button');
  await page.keyboard.press('Enter');
  assert.equal(await sorted(), 'symbol ascending', 'the head itself takes Enter');
  await page.keyboard.press('b');
  await until('20 levels', seen, (l) => l.levels === 20);
  await page.keyboard.press('i');
  assert.equal(await page.$eval('#chart-intervals [aria-checked="true"]', (button) => button.dataset.value), '1h');
  await page.keyboard.press('?');
  await page.waitForSelector('#help[open]');
  assert.ok((await page.$$eval('#help dd', (texts) => texts.map((text) => text.textContent))).every((text) => text.length > 2));
  await page.keyboard.press('t');
  assert.equal((await seen()).shade, 'light', 'keys rest while the list of keys is open');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#help', { state: 'hidden' });
  assert.deepEqual(await problemsOf(page), []);
});
