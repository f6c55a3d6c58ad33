// The two languages of the page: which one is shown, and its texts in the document. The texts are texts-*.js;
// numbers are formatted by decimal.js with the language's separators.

import { load, store } from './storage.js';
import { TEXTS as accountEn } from './texts-account-en.js';
import { TEXTS as accountTr } from './texts-account-tr.js';
import { TEXTS as en } from './texts-en.js';
import { TEXTS as tr } from './texts-tr.js';

const TEXTS = { en: { ...en, ...accountEn }, tr: { ...tr, ...accountTr } };

const listeners = new Set();
let language = load('language', (navigator.languages?.[0] ?? navigator.language ?? 'en').toLowerCase().startsWith('tr') ? 'tr' : 'en');
if (!TEXTS[language]) language = 'en';

/** `tr` or `en`. */
export function current() {
  return language;
}

/** The text of `key`, `{name}` replaced by `values.name`. A key without a text shows itself. */
export function t(key, values = null) {
  const text = TEXTS[language][key] ?? key;
  return values === null ? text : text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/** The texts of `key` in every language. */
export function everywhere(key) {
  return Object.values(TEXTS).map((texts) => texts[key] ?? key);
}

/** Whether there is a text of that key. */
export function has(key) {
  return key in TEXTS[language];
}

export function toggle() {
  show(language === 'tr' ? 'en' : 'tr');
}

/** Shows the page in another language, `tr` or `en`. */
export function show(wanted) {
  if (!TEXTS[wanted] || wanted === language) return;
  language = wanted;
  store('language', language);
  apply();
  for (const listener of listeners) listener();
}

export function onChange(listener) {
  listeners.add(listener);
}

/** Has a node say a text, and say it in the other language when that is chosen. */
export function say(node, key, values = null) {
  node.dataset.i18n = key;
  node.i18nValues = values;
  node.textContent = t(key, values);
}

const ATTRIBUTES = { i18nLabel: 'aria-label', i18nPlaceholder: 'placeholder', i18nTitle: 'title' };

/** Writes the texts of everything in the page that names one. */
export function apply() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll('[data-i18n]')) node.textContent = t(node.dataset.i18n, node.i18nValues ?? null);
  for (const name in ATTRIBUTES) {
    const selector = `[data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const node of document.querySelectorAll(selector)) node.setAttribute(ATTRIBUTES[name], t(node.dataset[name]));
  }
}

/** Keys that one language has and the other has not; the tests want none. */
export function missingTexts() {
  const [en, tr] = [new Set(Object.keys(TEXTS.en)), new Set(Object.keys(TEXTS.tr))];
  return [...en].filter((key) => !tr.has(key)).concat([...tr].filter((key) => !en.has(key)));
}
