// Walks through the page of the real program as a person would, and takes its pictures.
// BIST_URL tests a program that runs already (without the restart); BIST_SCREENSHOTS is where the pictures go.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { launch, look, open, pace, PHONE, problemsOf, until, WIDE } from './browser.mjs';
import { Program } from './program.mjs';

const PICTURES = process.env.BIST_SCREENSHOTS ?? fileURLToPath(new URL('../../target/screenshots/', import.meta.url));
/** Books must move and connections come back within this. */
const MOVE_MAX_MS = 5_000;

const program = process.env.BIST_URL ? null : new Program();
let browser;
let url;
let page;

before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  await program?.start();
  url = process.env.BIST_URL ?? program.url;
  browser = await launch();
  page = await open(browser, url);
});

after(async () => {
  await browser?.close();
  await program?.stop();
});

const seen = () => look(page);
const picture = (from, name) => from.screenshot({ path: `${PICTURES}/${name}.png` });
const live = (from) => until('live with a book', () => look(from), (l) => l.connection === 'live' && l.filled > 0 && l.verified > 0);

test('a newcomer sees a live book without doing anything', async () => {
  const shown = await live(page);
  assert.ok(shown.listed > 1, `${shown.listed} symbols`);
  assert.notEqual(shown.symbol, '–');
  assert.equal(shown.bookState, '');
});

test('the book moves', async () => {
  const { ladder } = await seen();
  await until('another book', seen, (l) => l.ladder !== ladder, MOVE_MAX_MS);
});

test('every checksum holds', async () => {
  const { verified } = await seen();
  const later = await until('30 more checksums', seen, (l) => l.verified >= verified + 30, 20_000);
  assert.equal(later.mismatched, 0);
});

test('trades and candles come in', async () => {
  await until('trades', seen, (l) => l.trades > 0);
  await until('a candle', seen, (l) => /\d/.test(l.legend ?? ''));
});

test('each depth shows that many levels a side', async () => {
  for (const depth of [20, 50, 10]) {
    await page.click(`#book-depths [data-value="${depth}"]`);
    const shown = await until(`${depth} levels`, seen, (l) => l.levels === depth && l.filled > 0 && l.bookState === '');
    assert.equal(shown.mismatched, 0);
  }
});

test('search finds a symbol, Enter shows it, and its book is verified too', async () => {
  const before = await seen();
  const symbols = await page.$$eval('.watch-row:not([hidden])', (rows) => rows.map((row) => row.dataset.symbol));
  const wanted = symbols.find((symbol) => symbol !== before.symbol);
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
  await page.keyboard.type(wanted.toLowerCase());
  await until('a shorter list', () => page.$$eval('.watch-row:not([hidden])', (rows) => rows.length), (n) => n >= 1 && n < symbols.length);
  await page.keyboard.press('Enter');
  const after = await until(wanted, seen, (l) => l.symbol === wanted && l.filled > 0 && l.verified > before.verified);
  assert.equal(after.mismatched, 0);
  assert.equal(new URL(page.url()).hash, `#${wanted}`);
  await page.keyboard.press('/');
  await page.keyboard.press('Escape');
});

test('a search without a result says so', async () => {
  await page.fill('#search', 'no such share');
  await page.waitForSelector('#watchlist-empty:not([hidden])');
  await page.fill('#search', '');
  await page.waitForSelector('#watchlist-empty', { state: 'hidden' });
});

test('arrow keys walk the list; the symbol follows when they rest', async () => {
  await page.focus('#watchlist-grid');
  await page.keyboard.press('Home');
  const top = await page.$eval('.watch-row[aria-rowindex="2"]', (row) => row.dataset.symbol);
  const first = await until('the first', seen, (l) => l.symbol === top && l.filled > 0);
  await page.keyboard.press('ArrowDown');
  const second = await until('the next symbol', seen, (l) => l.symbol !== first.symbol && l.filled > 0);
  await page.keyboard.press('ArrowUp');
  await until('back', seen, (l) => l.symbol === first.symbol);
  assert.notEqual(second.symbol, first.symbol);
  assert.equal(await page.$eval('#watchlist-grid', (grid) => document.getElementById(grid.getAttribute('aria-activedescendant'))?.dataset.symbol), first.symbol);
});

test('each column sorts both ways', async () => {
  for (const column of ['last', 'change', 'volume', 'phase', 'symbol']) {
    const head = `#watchlist-heads [role="columnheader"]:has([data-column="${column}"])`;
    await page.click(`${head} button`);
    const once = await page.getAttribute(head, 'aria-sort');
    await page.click(`${head} button`);
    const twice = await page.getAttribute(head, 'aria-sort');
    assert.deepEqual([once, twice].sort(), ['ascending', 'descending'], column);
  }
  await page.click('[data-column="symbol"]');
  const order = await until('the list in order', () => page.$$eval('.watch-row:not([hidden])', (rows) =>
    rows.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top).map((row) => row.dataset.symbol)),
  (names) => names.length > 1 && names.every((name, at) => at === 0 || names[at - 1] <= name));
  assert.ok(order.length > 1);
});

test('each interval draws candles', async () => {
  for (const interval of ['1s', '1h', '1d', '1m']) {
    await page.click(`#chart-intervals [data-value="${interval}"]`);
    await until(`candles of ${interval}`, seen, (l) => /\d/.test(l.legend ?? ''), 15_000);
  }
});

test('the forming candle is alive', async () => {
  await page.click('#chart-intervals [data-value="1s"]');
  const { legend } = await until('a candle', seen, (l) => /\d/.test(l.legend ?? ''), 15_000);
  await until('another candle', seen, (l) => l.legend !== legend && /\d/.test(l.legend ?? ''), 15_000);
  await page.click('#chart-intervals [data-value="1m"]');
});

test('language: texts, number format and document language change together', async () => {
  await page.keyboard.press('Escape');
  await page.focus('#watchlist-grid');
  assert.match((await seen()).last, /^[\d,]+\.\d+$/);
  await page.keyboard.press('l');
  const turkish = await until('Turkish', seen, (l) => l.language === 'tr' && /^[\d.]+,\d+$/.test(l.last));
  assert.equal(await page.textContent('#book-title'), 'Derinlik');
  assert.equal(turkish.mismatched, 0);
  await page.click('#language');
  await until('English', seen, (l) => l.language === 'en' && /\.\d+$/.test(l.last));
});

test('theme: switched by key and kept for the next visit', async () => {
  await page.focus('#watchlist-grid');
  assert.equal((await seen()).shade, 'light');
  const background = () => page.$eval('.panel', (panel) => getComputedStyle(panel).backgroundColor);
  const light = await background();
  await page.keyboard.press('t');
  assert.equal((await seen()).shade, 'dark');
  assert.notEqual(await background(), light);
  await page.reload();
  await live(page);
  assert.equal((await seen()).shade, 'dark');
  await page.click('#theme');
  assert.equal((await seen()).shade, 'light');
});

test('text stands out from its ground as WCAG AA asks, in both themes', async () => {
  const selectors = [
    '.watch-row .name', '.watch-row .quiet', '.watch-row .up', '.watch-row .down', '.phase-text', '#watchlist-heads button', '.half.bid > .price', '.half.ask > .price',
    '.level .orders', '.facts dt', '.stat .label', '.trade .time', '.credit', '.segments button', '#search', '.state', '.phase',
  ];
  for (const shade of ['light', 'dark']) {
    if ((await seen()).shade !== shade) await page.click('#theme');
    const poor = await page.evaluate((list) => {
      const rgb = (color) => color.match(/[\d.]+/g).map(Number);
      const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
      const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
          const color = rgb(getComputedStyle(at).backgroundColor);
          if (color.length === 3 || color[3] > 0) return color;
        }
        return [255, 255, 255];
      };
      // The cumulative bar stands behind the text of a level: the worse of both grounds counts.
      const grounds = (node) => [ground(node), ...(node.parentElement?.querySelector('.depth-bar') ? [rgb(getComputedStyle(node.parentElement.querySelector('.depth-bar')).backgroundColor)] : [])];
      const out = [];
      for (const selector of list) {
        for (const node of document.querySelectorAll(selector)) {
          const text = luminance(rgb(getComputedStyle(node).color));
          const worst = Math.min(...grounds(node).map(luminance).map((below) => (Math.max(text, below) + 0.05) / (Math.min(text, below) + 0.05)));
          if (worst < 4.5) out.push(`${selector} ${worst.toFixed(2)}`);
        }
      }
      return [...new Set(out)];
    }, selectors);
    assert.deepEqual(poor, [], shade);
  }
  await page.click('#theme');
});

test('every button, field and table has a name', async () => {
  const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, [role="grid"], [role="table"], [role="radiogroup"], [role="tablist"], [role="img"]')]
    .filter((node) => !(node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') || node.textContent.trim()))
    .map((node) => node.outerHTML.slice(0, 80)));
  assert.deepEqual(nameless, []);
});

test('the drawer names epoch, number and a checksum that holds', async () => {
  await page.focus('#watchlist-grid');
  await page.keyboard.press('d');
  const detail = (name) => page.textContent(`[data-detail="${name}"]`);
  await until('a sequence number', () => detail('seq'), (text) => Number(text) > 0);
  assert.match(await detail('epoch'), /^\d+$/);
  assert.match(await detail('checksum'), /^[0-9a-f]{8} ✓$/);
  await until('a rate', () => detail('rate'), (text) => text !== '0' && text !== '–');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#details', { state: 'hidden' });
});

test('at 1440 px everything is in view and nothing scrolls sideways', async () => {
  for (const panel of ['#panel-list', '#panel-chart', '#panel-book', '#panel-trades', '#symbol']) assert.ok(await page.isVisible(panel), panel);
  assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth && document.scrollingElement.scrollHeight <= innerHeight));
});

test('nothing went wrong on the way', async () => assert.deepEqual(await problemsOf(page), []));

test('pictures at 1440 px: light, dark, Turkish', async () => {
  for (const [name, options, act] of [
    ['1440-light', { colorScheme: 'light' }],
    ['1440-dark', { colorScheme: 'dark' }],
    ['1440-turkish-details', { colorScheme: 'dark', locale: 'tr-TR' }, async (p) => {
      await p.click('#book-depths [data-value="20"]');
      await p.click('#details-toggle');
      await p.waitForTimeout(1_500);
    }],
    ['1024-turkish', { colorScheme: 'light', locale: 'tr-TR', viewport: { width: 1024, height: 768 } }],
  ]) {
    const shot = await open(browser, url, { viewport: WIDE, ...options });
    await live(shot);
    await until('a tape', () => look(shot), (l) => l.trades > 20, 20_000);
    await shot.waitForTimeout(1_000);
    await act?.(shot);
    await picture(shot, name);
    assert.deepEqual(await problemsOf(shot), [], name);
    await shot.context().close();
  }
});

test('a phone: four tabs, one panel at a time, no sideways scroll', async () => {
  for (const [language, colorScheme] of [['en-US', 'light'], ['tr-TR', 'dark']]) {
    const phone = await open(browser, url, { viewport: PHONE, locale: language, colorScheme, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
    await live(phone);
    for (const [tab, panel] of [['list', '#panel-list'], ['book', '#panel-book'], ['trades', '#panel-trades'], ['chart', '#panel-chart']]) {
      await phone.tap(`#tabs [data-tab="${tab}"]`);
      assert.equal(await phone.getAttribute(`#tabs [data-tab="${tab}"]`, 'aria-selected'), 'true');
      const visible = await phone.$$eval('main .panel', (panels) => panels.filter((p) => getComputedStyle(p).visibility === 'visible' && !p.hidden).map((p) => `#${p.id}`));
      assert.deepEqual(visible, [panel]);
      const wide = await phone.evaluate(() => {
        const past = [...document.querySelectorAll('body *')].filter((node) => {
          const box = node.getBoundingClientRect();
          return box.width > 0 && box.right > innerWidth + 0.5 && getComputedStyle(node).visibility === 'visible' && !node.closest('canvas, .chart .canvas, .sr-only, .skip');
        });
        return { page: document.scrollingElement.scrollWidth - innerWidth, past: past.slice(0, 3).map((node) => node.outerHTML.slice(0, 100)) };
      });
      assert.deepEqual(wide, { page: 0, past: [] }, `${tab} ${language}`);
      await phone.waitForTimeout(300);
      await picture(phone, `390-${colorScheme}-${tab}`);
    }
    await phone.tap('#tabs [data-tab="list"]');
    await phone.tap('.watch-row >> nth=2');
    assert.equal(await phone.evaluate(() => document.body.dataset.tab), 'book', 'a tap on a symbol shows its book');
    assert.deepEqual(await problemsOf(phone), [], language);
    await phone.context().close();
  }
});

test('the page comes back by itself after a restart of the program', { skip: program === null && 'the program is not ours' }, async () => {
  const visitor = await open(browser, url, { expected: /WebSocket|ERR_CONNECTION_REFUSED|503/ });
  const before = await live(visitor);
  await program.stop();
  await until('seen as lost', () => look(visitor), (l) => l.connection !== 'live');
  await program.start();
  const after = await until('live again with a new book', () => look(visitor), (l) => l.connection === 'live' && l.bookState === '' && l.verified > before.verified + 5, 30_000);
  assert.equal(after.mismatched, 0);
  assert.deepEqual(await problemsOf(visitor), []);
  await visitor.context().close();
});

test('at 20,000 messages a second the page stays smooth and right', { skip: program === null && 'the program is not ours' }, async (t) => {
  // Nothing else runs meanwhile: two programs would measure each other.
  await page.context().close();
  await program.stop();
  const busy = new Program({ rate: 20_000 });
  await busy.start();
  try {
    const empty = await browser.newPage();
    const machine = await pace(empty, 2_000);
    await empty.close();
    const visitor = await open(browser, busy.url);
    const before = await live(visitor);
    const gaps = await pace(visitor, 5_000);
    const after = await look(visitor);
    t.diagnostic(`between pictures: ${gaps.text} (an empty page beside the same program: ${machine.text}); ${after.verified - before.verified} books verified in 5 s`);
    assert.ok(after.verified > before.verified + 20);
    assert.equal(after.mismatched, 0);
    // Against what the machine gives an empty page: exchange, books, feed and a browser without a GPU may share two cores.
    assert.ok(gaps.median <= Math.max(120, 6 * machine.median), `half of the pictures within ${gaps.median} ms`);
    assert.ok(gaps.longest < 5_000, 'no freeze');
    assert.deepEqual(await problemsOf(visitor), []);
    await visitor.context().close();
  } finally {
    await busy.stop();
  }
});
