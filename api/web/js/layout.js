// Tabs of narrow screens and radio groups: who is chosen, arrow keys, and what assistive technology is told.

import { element } from './frames.js';

/** The tab bar; `onShow(tab)` is called after a change. */
export class Tabs {
  #buttons = [...document.querySelectorAll('#tabs [role="tab"]')];
  #onShow;

  constructor(onShow) {
    this.#onShow = onShow;
    for (const button of this.#buttons) button.addEventListener('click', () => this.show(button.dataset.tab));
    document.getElementById('tabs').addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const at = this.#buttons.findIndex((button) => button.dataset.tab === document.body.dataset.tab);
      const next = this.#buttons[(at + step + this.#buttons.length) % this.#buttons.length];
      this.show(next.dataset.tab);
      next.focus();
    });
    this.show(document.body.dataset.tab);
  }

  show(tab) {
    document.body.dataset.tab = tab;
    for (const button of this.#buttons) {
      const chosen = button.dataset.tab === tab;
      button.setAttribute('aria-selected', String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    this.#onShow?.(tab);
  }
}

/**
 * Fills `root` with one radio button per value; `onChoose(value)` is called when another one is
 * chosen. With `texts`, the text of a button is the i18n key `texts.value`. Returns `next()`, which chooses the following value.
 */
export function segments(root, values, chosen, onChoose, texts = null) {
  const buttons = values.map((value) => {
    const button = element('button', '', String(value), { type: 'button', role: 'radio', 'data-value': String(value) });
    if (texts !== null) button.dataset.i18n = `${texts}.${value}`;
    return button;
  });
  const mark = (value) => {
    for (const button of buttons) {
      const on = button.dataset.value === String(value);
      button.setAttribute('aria-checked', String(on));
      button.tabIndex = on ? 0 : -1;
    }
  };
  const choose = (value) => {
    mark(value);
    onChoose(value);
  };
  buttons.forEach((button, at) => button.addEventListener('click', () => choose(values[at])));
  root.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement);
    const next = (at + step + buttons.length) % buttons.length;
    buttons[next].focus();
    choose(values[next]);
  });
  root.append(...buttons);
  mark(chosen);
  return () => choose(values[(buttons.findIndex((button) => button.getAttribute('aria-checked') === 'true') + 1) % values.length]);
}
