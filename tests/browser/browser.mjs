// A real Chromium and pages that write down whatever goes wrong in them.

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

export const WIDE = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

export async function launch() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error(`no Chromium at ${PLACES.filter(Boolean).join(', ')}; set CHROMIUM`);
  return chromium.launch({ executablePath, args: FLAGS });
}

/**
 * A page of a fresh profile; `page.problems` fills with console errors and warnings, exceptions, failed requests and
 * violations of the content security policy. `expected`: a pattern of problems that the test itself provokes.
 */
export async function open(browser, url, { viewport = WIDE, locale = 'en-US', colorScheme = 'light', expected = null, ...more } = {}) {
  const context = await browser.newContext({ viewport, locale, colorScheme, ...more });
  const page = await context.newPage();
  page.problems = [];
  const note = (text) => {
    if (!expected?.test(text)) page.problems.push(text);
  };
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) note(`console ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => note(`exception: ${error.stack ?? error}`));
  page.on('requestfailed', (request) => note(`request failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('response', (response) => {
    if (response.status() >= 400) note(`HTTP ${response.status()}: ${response.url()}`);
  });
  await page.addInitScript(() => {
    window.violations = [];
    addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.effectiveDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  await page.goto(url);
  return page;
}

/** All that went wrong in a page, policy violations included. */
export async function problemsOf(page) {
  return [...page.problems, ...(await page.evaluate(() => window.violations.map((text) => `content security policy: ${text}`)))];
}

/** Waits until `read()` gives something that `holds`; the error names the last value seen. */
export async function until(what, read, holds, limitMs = 10_000) {
  const begun = Date.now();
  let value;
  do {
    value = await read();
    if (holds(value)) return value;
    await new Promise((done) => setTimeout(done, 50));
  } while (Date.now() - begun < limitMs);
  throw new Error(`${what}: not within ${limitMs} ms, last seen ${JSON.stringify(value)}`);
}

/** What the page shows, read in one go. */
export function look(page) {
  return page.evaluate(() => {
    const text = (selector) => document.querySelector(selector)?.textContent ?? null;
    const number = (selector) => Number((text(selector) ?? '').replace(/[^0-9]/g, ''));
    return {
      connection: document.getElementById('status-connection').dataset.state,
      truth: document.body.dataset.truth,
      book: document.body.dataset.book,
      symbol: text('#symbol-name'),
      last: text('#symbol-last'),
      verified: number('#checks-ok'),
      mismatched: number('#checks-bad'),
      gaps: number('#status-gaps .value'),
      ladder: [...document.querySelectorAll('.level')].map((level) => level.textContent).join('|'),
      levels: document.querySelectorAll('.level').length,
      filled: [...document.querySelectorAll('.level .half > .price')].filter((cell) => cell.textContent !== '').length,
      bookState: text('#book-state'),
      trades: document.querySelectorAll('.trade').length,
      listed: number('#watchlist-count'),
      legend: text('#chart-legend'),
      language: document.documentElement.lang,
      shade: document.documentElement.dataset.shade,
    };
  });
}

/** Milliseconds between the pictures that a page draws in `forMs`. */
export async function pace(page, forMs) {
  const gaps = await page.evaluate((limit) => new Promise((done) => {
    const times = [];
    const tick = (now) => {
      times.push(now);
      if (now - times[0] < limit) requestAnimationFrame(tick);
      else done(times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b));
    };
    requestAnimationFrame(tick);
  }), forMs);
  const [median, p99, longest] = [gaps[gaps.length >> 1], gaps[Math.floor(gaps.length * 0.99)], gaps.at(-1)];
  return { median, p99, longest, text: `median ${median.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, longest ${longest.toFixed(0)} ms` };
}
