// Both languages have the same texts, and every text that the page names exists.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

if (globalThis.navigator === undefined) globalThis.navigator = { language: 'tr-TR' };
else Object.defineProperty(globalThis, 'navigator', { value: { language: 'tr-TR' }, configurable: true });
const i18n = await import('../../../api/web/js/i18n.js');
const web = new URL('../../../api/web/', import.meta.url);

test('the browser’s language decides', () => assert.equal(i18n.current(), 'tr'));

test('no text stands in one language only', () => assert.deepEqual(i18n.missingTexts(), []));

test('every text that is named exists', () => {
  const sources = readdirSync(new URL('js/', web)).map((file) => readFileSync(new URL(`js/${file}`, web), 'utf8'));
  sources.push(readFileSync(new URL('index.html', web), 'utf8'));
  const named = new Set();
  for (const source of sources) {
    for (const [, key] of source.matchAll(/(?:\bt\(|data-i18n(?:-\w+)?(?:="|': ))'?([a-z_]+(?:\.[a-z_]+)+)['"]/g)) named.add(key);
  }
  assert.ok(named.size > 40, `only ${named.size} found: the pattern is out of date`);
  assert.deepEqual([...named].filter((key) => !i18n.has(key)), []);
});

test('every text of account, keys and watchlists that a module names exists', () => {
  const named = new Set();
  for (const file of readdirSync(new URL('js/', web)).filter((name) => !name.startsWith('texts-'))) {
    const source = readFileSync(new URL(`js/${file}`, web), 'utf8');
    for (const [, key] of source.matchAll(/'((?:account|data|error|form|keys|lists)(?:\.[a-z_]+)+)'/g)) named.add(key);
  }
  assert.ok(named.size > 100, `only ${named.size} found: the pattern is out of date`);
  assert.deepEqual([...named].filter((key) => !i18n.has(key)), []);
});

test('every reason for a mark that the server knows has a text', () => {
  const source = readFileSync(new URL('../../book/src/doubt.rs', web), 'utf8');
  const names = source.slice(source.indexOf('fn name('), source.indexOf('fn words(')).matchAll(/=> "([a-z_]+)"/g);
  const reasons = [...names].map(([, name]) => name);
  assert.ok(reasons.length > 10, `only ${reasons.length} found: the pattern is out of date`);
  assert.deepEqual(reasons.filter((reason) => !i18n.has(`reason.${reason}`)), []);
});

test('nothing in the page needs an inline script or style', () => {
  const html = readFileSync(new URL('index.html', web), 'utf8');
  assert.doesNotMatch(html, /\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)|javascript:/);
  assert.doesNotMatch(html, /(?:src|href)="(?:https?:)?\/\/(?!www\.tradingview\.com)/);
});
