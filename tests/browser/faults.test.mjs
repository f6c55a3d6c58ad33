// What the page does when the server makes mistakes, which the real one does not: a server of our own makes them on demand.

import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { launch, look, open, pace, problemsOf, until } from './browser.mjs';
import { start } from './mock-server.mjs';

let browser;
let server;
let page;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());
beforeEach(async () => {
  server = await start({ rate: 300 });
  page = await open(browser, `${server.url}/#THYAO`, { expected: /WebSocket/ });
  await until('a live book', seen, (l) => l.symbol === 'THYAO' && l.filled === 20 && l.verified > 3);
});
afterEach(async () => {
  await page?.context().close();
  await server?.close();
});

const seen = () => look(page);
const snapshotsAsked = () => server.requests.filter(({ method }) => method === 'get_snapshot').map(({ params }) => params);

test('a wrong checksum is counted, shown, and repaired for this symbol only', async () => {
  server.fault('checksum');
  const bad = await until('a mismatch', seen, (l) => l.mismatched === 1);
  await until('going on', seen, (l) => l.verified > bad.verified + 10 && l.bookState === '');
  assert.equal((await seen()).mismatched, 1);
  assert.deepEqual(snapshotsAsked(), [{ channel: 'book', symbol: ['THYAO'] }]);
  assert.equal(await page.getAttribute('#checks-bad', 'data-any'), 'true');
  assert.deepEqual(await problemsOf(page), []);
});

test('a frame that is missing is noticed and repaired', async () => {
  server.fault('hole');
  const hole = await until('the hole', seen, (l) => l.gaps === 1);
  await until('going on', seen, (l) => l.verified > hole.verified + 10 && l.bookState === '');
  assert.equal((await seen()).mismatched, 0);
  assert.deepEqual(snapshotsAsked(), [{ channel: 'book', symbol: ['THYAO'] }]);
});

test('a gap that the server names is shown with its reason and flashes', async () => {
  server.fault('gap');
  await until('the gap', seen, (l) => l.gaps === 1);
  assert.equal(await page.textContent('#status-gaps .detail'), 'slow reader');
  assert.match(await page.getAttribute('#status-gaps', 'class'), /flash/);
  const { verified } = await seen();
  await until('going on', seen, (l) => l.verified > verified + 10);
  assert.deepEqual(snapshotsAsked(), [], 'the snapshot comes unasked');
});

test('a loss at the feed is shown though no chain breaks', async () => {
  server.fault('upstream');
  await until('the gap', seen, (l) => l.gaps === 1);
  assert.equal(await page.textContent('#status-gaps .detail'), 'upstream');
});

test('a lost connection comes back by itself with whole books', async () => {
  const subscribed = () => server.requests.filter(({ method, params }) => method === 'subscribe' && params.channel === 'book').length;
  const { verified } = await seen();
  server.fault('drop');
  await until('a second subscription of the book', subscribed, (count) => count === 2);
  await until('live again', seen, (l) => l.connection === 'live' && l.verified > verified + 10 && l.bookState === '');
  assert.equal((await seen()).mismatched, 0);
});

test('in an auction the equilibrium is shown and the list says so', async () => {
  assert.equal(await page.isVisible('#book-middle .auction'), false);
  server.fault('auction');
  await page.waitForSelector('#book-middle .auction:not([hidden])');
  assert.match(await page.textContent('#book-middle .auction dd'), /^\d+\.\d\d/);
  assert.equal(await page.getAttribute('#symbol-phase', 'data-tone'), 'auction');
});

test('20,000 book frames in one second: all verified, the page goes on drawing', async (t) => {
  const { verified } = await seen();
  const drawing = pace(page, 3_000);
  const sent = await server.burst('THYAO', 20_000, 1);
  const end = Date.now();
  const done = await until('all frames', seen, (l) => l.verified >= verified + sent.frames, 120_000);
  const gaps = await drawing;
  t.diagnostic(`${sent.frames} frames in ${sent.seconds.toFixed(1)} s, caught up ${Date.now() - end} ms later; between pictures: ${gaps.text}`);
  assert.equal(done.mismatched, 0);
  assert.equal(done.gaps, 0);
  assert.ok(gaps.longest < 3_000, 'pictures kept coming');
});

test('several candles that close between two pictures are all drawn', async () => {
  await page.click('#chart-intervals [data-value="1s"]');
  await until('candles', seen, (l) => /\d/.test(l.legend));
  // A tab in the background draws nothing while candles come in.
  const client = await page.context().newCDPSession(page);
  await client.send('Emulation.setFocusEmulationEnabled', { enabled: false });
  await page.evaluate(() => {
    const real = window.requestAnimationFrame;
    const held = [];
    window.requestAnimationFrame = (draw) => held.push(draw);
    setTimeout(() => {
      window.requestAnimationFrame = real;
      for (const draw of held) real(draw);
    }, 4_000);
  });
  await page.waitForTimeout(5_000);
  const { legend } = await seen();
  await until('going on', seen, (l) => l.legend !== legend);
  assert.deepEqual(await problemsOf(page), []);
});

test('names are text, whatever they contain', async () => {
  await server.close();
  await page.context().close();
  server = await start({ rate: 50, symbols: 3, names: [['<B>X', '<img src=x onerror="window.hacked=1">', 1000], ['A"\'&', '${1}</script>', 2000], ['../..', 'javascript:alert(1)', 3000]] });
  page = await open(browser, server.url);
  await until('a list', seen, (l) => l.listed === 3 && l.filled > 0);
  for (const symbol of ['<B>X', 'A"\'&', '../..']) {
    await page.click(`.watch-row:has(.name:text-is(${JSON.stringify(symbol)}))`);
    await until(symbol, seen, (l) => l.symbol === symbol && l.filled > 0);
  }
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.$('main img, main b:not(.legend b)'), null);
  assert.deepEqual(await problemsOf(page), []);
});

test('an address that makes no sense does no harm', async () => {
  const odd = await open(browser, `${server.url}/#%E0%A4%A`);
  await until('some symbol', () => look(odd), (l) => l.symbol !== '–' && l.filled > 0);
  assert.deepEqual(await problemsOf(odd), []);
  await odd.context().close();
});

test('600 symbols: all listed, few in the document, each within reach', async () => {
  await server.close();
  await page.context().close();
  server = await start({ rate: 300, symbols: 600 });
  page = await open(browser, server.url);
  await until('all of them', seen, (l) => l.listed === 600 && l.filled > 0, 20_000);
  const rows = () => page.$$eval('.watch-row', (list) => list.length);
  assert.ok((await rows()) < 80);
  await page.focus('#watchlist-grid');
  await page.keyboard.press('End');
  const last = await until('the last row', () => page.$$eval('.watch-row:not([hidden])', (list) => list.map((row) => Number(row.getAttribute('aria-rowindex')))), (list) => list.includes(601));
  assert.ok(last.length < 80);
  await until('its book', seen, (l) => l.symbol === 'YKBNK' && l.filled > 0);
  assert.deepEqual(await problemsOf(page), []);
});

test('the page asks the server to merge what no eye could follow', async (t) => {
  const requests = server.requests.filter(({ method }) => method === 'subscribe').map(({ params }) => params);
  for (const channel of ['book', 'trades', 'statistics', 'ohlcv-1m']) {
    const request = requests.find((params) => params.channel === channel);
    assert.ok(request.conflate_ms > 0, channel);
  }
  t.diagnostic(requests.map(({ channel, conflate_ms }) => `${channel} ${conflate_ms ?? 0} ms`).join(', '));
});
