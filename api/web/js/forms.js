// Forms of the dialogs: labelled fields, a submit that works once at a time, refusals as sentences beside their field.
// Knows no call of the API.

import { sentenceOf } from './account-errors.js';
import { element } from './frames.js';
import { say } from './i18n.js';

let lastId = 0;
const newId = () => `form-${++lastId}`;

/** An element that says a text of i18n.js. */
export function text(tag, className, key, values = null) {
  const node = element(tag, className);
  say(node, key, values);
  return node;
}

/** A button with a text; `onPress` may be a promise: the button rests until it is kept. */
export function button(key, onPress, { className = 'act', values = null, ...attributes } = {}) {
  const node = element('button', className, '', { type: 'button', ...attributes });
  say(node, key, values);
  node.addEventListener('click', async () => {
    node.disabled = true;
    try {
      await onPress(node);
    } finally {
      node.disabled = false;
    }
  });
  return node;
}

/**
 * A field with its label, its hint and a place for its fault. `check(value)` gives the text key of the fault, or
 * null; an empty field is asked for where `isRequired`. Other properties are attributes of the input.
 */
export function field({ name, label, hint = null, value = '', isRequired = true, check = () => null, ...attributes }) {
  const id = newId();
  const input = element('input', '', '', { id, name, type: 'text', autocomplete: 'off', spellcheck: 'false', 'aria-describedby': `${id}-wrong ${id}-hint`, ...attributes });
  input.value = value;
  if (isRequired) input.setAttribute('aria-required', 'true');
  const wrong = element('p', 'wrong', '', { id: `${id}-wrong` });
  const root = element('div', 'field');
  const caption = text('label', '', label);
  caption.htmlFor = id;
  const about = element('p', 'hint', '', { id: `${id}-hint` });
  if (hint !== null) say(about, hint);
  about.hidden = hint === null;
  root.append(caption, input, about, wrong);
  const self = { name, root, input, clear: () => mark(null), fail: (key, values = null) => mark(key, values) };
  const mark = (key, values = null) => {
    wrong.hidden = key === null;
    if (key === null) input.removeAttribute('aria-invalid');
    else {
      input.setAttribute('aria-invalid', 'true');
      say(wrong, key, values);
    }
  };
  self.test = () => {
    const given = input.value.trim();
    const key = given === '' ? (isRequired ? 'form.required' : null) : check(input.value);
    mark(key);
    return key === null;
  };
  mark(null);
  return self;
}

/** A line that tells a result or a refusal, to people who listen, too. */
export function notice() {
  const root = element('p', 'notice', '', { role: 'alert' });
  root.hidden = true;
  const show = (level, key, values) => {
    root.hidden = false;
    root.dataset.level = level;
    say(root, key, values);
  };
  return {
    root,
    clear: () => (root.hidden = true),
    tell: (key, values = null) => show('good', key, values),
    fail: (key, values = null) => show('bad', key, values),
    refuse: (error) => {
      const { key, values } = sentenceOf(error);
      show('bad', key, values);
    },
  };
}

/** Which field a refusal is about. */
const FIELD_OF = {
  INVALID_EMAIL: 'email', EMAIL_TAKEN: 'email', WEAK_PASSWORD: 'password', INVALID_NAME: 'full_name', INVALID_TCKN: 'tckn', TOTP_INVALID: 'totp', NAME_TAKEN: 'name',
};

/**
 * A form of `parts` (fields or other nodes). `onSubmit(values)` gets the fields by name, trimmed but for passwords; an
 * error that it throws is said in the form. `fieldOf` says for further codes which field they are about.
 */
export function form({ parts, submit, onSubmit, links = [], fieldOf = {}, isDangerous = false }) {
  const root = element('form', 'form', '', { autocomplete: 'on' });
  root.noValidate = true;
  const fields = parts.filter((part) => part.input);
  const said = notice();
  const send = text('button', isDangerous ? 'act danger' : 'act main', submit);
  send.type = 'submit';
  const foot = element('div', 'foot');
  foot.append(send, ...links);
  root.append(...parts.map((part) => part.root ?? part), said.root, foot);
  // A refusal about a hidden field is said of the whole form.
  const of = (code) => fields.find(({ name, root: { hidden } }) => !hidden && name === ({ ...FIELD_OF, ...fieldOf })[code]);
  const refuse = (error) => {
    const about = of(error.code);
    if (about === undefined) {
      said.refuse(error);
      return;
    }
    const { key, values } = sentenceOf(error);
    about.fail(key, values);
    about.input.focus();
  };
  root.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (send.disabled) return;
    said.clear();
    const bad = fields.filter((one) => !one.root.hidden && !one.test());
    if (bad.length > 0) {
      bad[0].input.focus();
      return;
    }
    busy(send, true);
    try {
      await onSubmit(valuesOf(fields), said);
    } catch (error) {
      if (error.code === undefined) reportError(error);
      refuse(error);
    } finally {
      busy(send, false);
    }
  });
  return { root, said, send, field: (name) => fields.find((one) => one.name === name), focus: () => fields.find((one) => !one.root.hidden)?.input.focus() };
}

function busy(send, isBusy) {
  send.disabled = isBusy;
  send.setAttribute('aria-busy', String(isBusy));
}

function valuesOf(fields) {
  return Object.fromEntries(fields.filter((one) => !one.root.hidden).map(({ name, input }) => [name, input.type === 'password' ? input.value : input.value.trim()]));
}

/** A button that asks once more before it does something that cannot be undone. */
export function guarded(key, question, onPress, { values = null, done = 'form.yes' } = {}) {
  const root = element('span', 'guarded');
  const first = text('button', 'act', key, values);
  first.type = 'button';
  const ask = element('span', 'question');
  const no = text('button', 'act', 'form.no');
  no.type = 'button';
  const close = () => {
    root.replaceChildren(first);
    first.focus();
  };
  const yes = button(done, async () => {
    await onPress();
    if (root.isConnected && root.contains(yes)) close();
  }, { className: 'act danger' });
  ask.append(text('span', '', question, values), yes, no);
  first.addEventListener('click', () => {
    root.replaceChildren(ask);
    no.focus();
  });
  no.addEventListener('click', close);
  root.append(first);
  return root;
}

/** A secret that is shown once, with a button that copies it. */
export function secret(label, value) {
  const root = element('div', 'secret');
  const id = newId();
  const caption = text('label', '', label);
  caption.htmlFor = id;
  const box = element('textarea', 'num', '', { id, readonly: '', spellcheck: 'false', autocomplete: 'off', rows: String(Math.min(10, value.split('\n').length)) });
  box.value = value;
  box.addEventListener('focus', () => box.select());
  const copied = element('span', 'copied', '', { role: 'status' });
  const copy = button('form.copy', async () => say(copied, (await copyText(box)) ? 'form.copied' : 'form.copy_failed'));
  const foot = element('div', 'foot');
  foot.append(copy, copied);
  root.append(caption, box, foot);
  return root;
}

/** Without https the clipboard is closed to pages, but a marked text can still be copied. */
async function copyText(box) {
  try {
    await navigator.clipboard.writeText(box.value);
    return true;
  } catch {
    box.focus();
    box.select();
    return document.execCommand('copy');
  }
}

/** A date and a time of the server in Istanbul, `–` where there is none. */
export function momentOf(stamp, language) {
  const at = Date.parse(stamp ?? '');
  if (Number.isNaN(at)) return '–';
  return new Intl.DateTimeFormat(language === 'tr' ? 'tr-TR' : 'en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'Europe/Istanbul' }).format(at);
}
