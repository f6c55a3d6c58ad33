// The list of keys. `KEYS_SHOWN` is what the page listens to; the tests compare it with the keys that do something.

import { element } from './frames.js';

export const KEYS_SHOWN = [
  [['/'], 'help.search'],
  [['↑', '↓'], 'help.arrows'],
  [['Page Up', 'Page Down', 'Home', 'End'], 'help.pages'],
  [['Enter'], 'help.enter'],
  [['s'], 'help.sort'],
  [['Shift', 's'], 'help.reverse'],
  [['b'], 'help.depth'],
  [['i'], 'help.interval'],
  [['t'], 'help.theme'],
  [['l'], 'help.language'],
  [['d'], 'help.details'],
  [['f'], 'help.star'],
  [['u'], 'help.account'],
  [['?'], 'help.help'],
  [['Esc'], 'help.escape'],
];

export class Help {
  #dialog = document.getElementById('help');

  constructor() {
    const list = document.getElementById('help-keys');
    for (const [keys, text] of KEYS_SHOWN) {
      const term = element('dt');
      for (const key of keys) term.append(element('kbd', '', key));
      list.append(term, element('dd', '', '', { 'data-i18n': text }));
    }
    document.getElementById('help-open').addEventListener('click', () => this.open());
    document.getElementById('help-close').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('click', (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  open() {
    if (!this.#dialog.open) this.#dialog.showModal();
  }
}
