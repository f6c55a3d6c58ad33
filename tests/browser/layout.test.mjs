// The page at every width that it is made for, in both languages and themes, in every state: nothing runs past the edge, nothing lies
// over another thing, axe finds nothing. Pictures of all of it for eyes.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { launch, look, open, until } from './browser.mjs';
import { start } from './mock-server.mjs';

const PICTURES = process.env.BIST_SCREENSHOTS ?? fileURLToPath(new URL('../../target/screenshots/', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDTHS = [[320, 640], [390, 844], [860, 900], [1440, 900]];
const NARROW = 860;
/** axe takes seconds: the widths between have the same elements. */
const AXE_WIDTHS = [390, 1440];
const TABS = ['list', 'book', 'trades', 'chart'];
const EXPECTED = /WebSocket|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_ABORTED|ERR_EMPTY_RESPONSE/;

/** Name → what the server is started with, what it does then, and how the page shows it. */
const STATES = {
  live: { options: {}, shown: (l) => l.truth === 'live' && l.filled > 0 },
  simulated: { options: { origin: 'sim' }, shown: (l) => l.truth === 'live' && l.filled > 0 },
  stale: { options: { origin: 'replay' }, act: (server) => server.fault('stale'), shown: (l) => l.truth === 'dead' },
  dead: { options: { origin: 'sim' }, act: (server) => server.close(), shown: (l) => l.truth === 'dead' },
  late: { options: { late: true }, shown: (l) => l.truth === 'dead' },
  marked: { options: {}, act: (server) => server.fault('mark'), shown: (l) => l.book === 'doubt' },
  auction: { options: { young: true }, act: (server) => server.fault('hidden auction'), shown: (l) => l.filled === 0 },
  closed: { options: { young: true, rate: 0.01 }, act: (server) => server.fault('closed'), shown: (l) => l.filled === 0 },
  unknown: { options: {}, hash: '#THYAQ', shown: (l) => l.symbol === 'THYAQ' && l.book === 'dead' },
  'many symbols': { options: { symbols: 10_000 }, shown: (l) => l.truth === 'live' && l.listed === 10_000 },
};

let browser;
before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  browser = await launch();
});
after(() => browser?.close());

/** What runs past the edge, and text that lies over other text. */
function faultsOf(page) {
  return page.evaluate(() => {
    const shown = (node) => getComputedStyle(node).visibility === 'visible' && node.getClientRects().length > 0;
    const box = (node) => node.getBoundingClientRect();
    const out = [];
    if (document.scrollingElement.scrollWidth > innerWidth) out.push(`the page is ${document.scrollingElement.scrollWidth} px wide`);
    for (const node of document.querySelectorAll('body *')) {
      // The legend is cut with an ellipsis; the drawing surface is the library's.
      if (node.closest('.canvas, .legend, .sr-only, .skip, dialog') || !shown(node) || box(node).width === 0) continue;
      if (box(node).right > innerWidth + 0.5) out.push(`past the edge: ${node.outerHTML.slice(0, 80)}`);
    }
    const texts = [...document.querySelectorAll('.top .stat, .top .tool, .top .clock, .top .brand, .symbol h1, .symbol .long, .symbol .phase, .symbol .quote, .symbol .facts > div, .strip, .bar h2')].filter(shown);
    for (const [at, left] of texts.entries()) {
      for (const right of texts.slice(at + 1)) {
        const [a, b] = [box(left), box(right)];
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 1 && high > 1) out.push(`over each other: ${left.outerHTML.slice(0, 60)} and ${right.outerHTML.slice(0, 60)}`);
      }
    }
    return [...new Set(out)].slice(0, 5);
  });
}

/** What axe finds; it is handed over by the protocol, which the content security policy of the page does not touch. */
async function axe(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 2).map(({ html, failureSummary }) => `${html.slice(0, 110)} (${failureSummary.split('\n')[1]?.trim()})`).join(' | ')}`);
  });
}

/** Shows the page in a language and a theme by its own keys, as a person would. */
async function dress(page, language, shade) {
  await page.evaluate(() => document.activeElement?.blur());
  if ((await page.evaluate(() => document.documentElement.lang)) !== language) await page.keyboard.press('l');
  if ((await page.evaluate(() => document.documentElement.dataset.shade)) !== shade) await page.keyboard.press('t');
}

for (const [name, { options, act, hash = '#THYAO', shown }] of Object.entries(STATES)) {
  test(`${name}: at every width`, async () => {
    const findings = [];
    const server = await start({ rate: 100, ...options });
    const page = await open(browser, `${server.url}/${hash}`, { viewport: { width: 1440, height: 900 }, locale: 'en-US', colorScheme: 'light', expected: EXPECTED });
    try {
      if (act) {
        await until('a market', () => look(page), (l) => l.truth === 'live' && l.listed > 0);
        await act(server);
      }
      await until(name, () => look(page), shown, 20_000);
      for (const [at, [width, height]] of WIDTHS.entries()) {
        // Each width sees one language and theme; over the states every pair is met.
        const [language, shade] = [(at + name.length) % 2 === 0 ? 'tr' : 'en', at % 2 === 0 ? 'light' : 'dark'];
        await page.setViewportSize({ width, height });
        await dress(page, language, shade);
        await page.waitForTimeout(250);
        for (const tab of width < NARROW ? TABS : [null]) {
          if (tab !== null) await page.click(`#tabs [data-tab="${tab}"]`);
          const where = `${width} px ${language} ${shade} ${tab ?? ''}`;
          findings.push(...(await faultsOf(page)).map((text) => `${where}: ${text}`));
          if (AXE_WIDTHS.includes(width)) findings.push(...(await axe(page)).map((text) => `${where}: axe ${text}`));
          await page.screenshot({ path: `${PICTURES}/${name}-${width}${tab === null ? '' : `-${tab}`}.png` });
        }
      }
      findings.push(...page.problems);
    } finally {
      await page.context().close();
      await server.close().catch(() => {});
    }
    assert.deepEqual([...new Set(findings)], []);
  });
}

test('axe finds nothing in the drawer and in the list of keys', async () => {
  const server = await start({ rate: 100 });
  const page = await open(browser, `${server.url}/#THYAO`);
  await until('live', () => look(page), STATES.live.shown);
  await page.keyboard.press('d');
  assert.deepEqual(await axe(page), []);
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await page.waitForSelector('#help[open]');
  assert.deepEqual(await axe(page), []);
  await page.screenshot({ path: `${PICTURES}/help.png` });
  await page.context().close();
  await server.close();
});
