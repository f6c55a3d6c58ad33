// The dialog in which watchlists are made, renamed and removed, and the choice of the one that is shown.

import { closable } from './account-dialog.js';
import { sentenceOf } from './account-errors.js';
import { element, setAttribute } from './frames.js';
import { button, field, form, guarded, notice, text } from './forms.js';
import * as i18n from './i18n.js';
import { NAME_MAX, nameOf } from './lists.js';

const ALL = '';

/**
 * The name that a list of `all` is shown by: the list that the first star made has its name in the language of then, and is shown in
 * that of now. Where two lists would be shown alike each has its own name.
 */
export function shownName(list, all) {
  const names = i18n.everywhere('lists.first');
  const isOnly = all.filter(({ name }) => names.includes(name)).length === 1;
  return isOnly && names.includes(list.name) ? i18n.t('lists.first') : list.name;
}

export class ListChooser {
  #lists;
  #announce;
  #select = document.getElementById('list-choice');
  #dialog = document.getElementById('lists-dialog');
  #body = document.getElementById('lists-body');
  #said = notice();

  /** `announce(text)` says something to people who listen. */
  constructor(lists, announce) {
    this.#lists = lists;
    this.#announce = announce;
    this.#select.addEventListener('change', () => lists.choose(this.#select.value));
    document.getElementById('lists-open').addEventListener('click', () => this.open());
    closable(this.#dialog, document.getElementById('lists-close'));
  }

  open() {
    this.#said.clear();
    this.#fill();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#body.querySelector('input')?.focus();
  }

  /** Lists or language changed. */
  changed() {
    const options = [[ALL, i18n.t('lists.all')], ...this.#lists.all.map((list) => [list.id, `${this.#nameOf(list)} (${list.symbols.length})`])];
    this.#select.replaceChildren(...options.map(([value, label]) => element('option', '', label, { value })));
    this.#select.value = this.#lists.chosen ?? ALL;
    setAttribute(this.#select, 'data-any', String(this.#lists.chosen !== null));
  }

  #nameOf(list) {
    return shownName(list, this.#lists.all);
  }

  /** Puts the symbol on the starred list or takes it off, and says so. */
  async toggle(symbol) {
    try {
      const isOn = await this.#lists.toggle(symbol, i18n.t('lists.first'));
      this.#announce(i18n.t(isOn ? 'lists.added' : 'lists.removed', { symbol, name: this.#lists.starred === null ? '' : this.#nameOf(this.#lists.starred) }));
    } catch (error) {
      if (error.code === undefined) throw error;
      this.#said.refuse(error);
      const { key, values } = sentenceOf(error);
      this.#announce(i18n.t(key, values));
      // A star that did not come is told where everybody sees it.
      this.#fill();
      if (!this.#dialog.open) this.#dialog.showModal();
    }
  }

  #fill() {
    const where = text('p', 'hint', this.#lists.isRemote ? 'lists.in_account' : 'lists.in_browser');
    const items = element('ul', 'items');
    items.append(...this.#lists.all.map((list) => this.#item(list)));
    const name = field({ name: 'name', label: 'lists.new', maxlength: String(NAME_MAX), check: (given) => (nameOf(given) === null ? 'lists.name.wrong' : null) });
    const fresh = form({
      parts: [name], submit: 'lists.make', fieldOf: { INVALID_NAME: 'name' },
      onSubmit: async (given) => {
        const list = await this.#lists.create(nameOf(given.name));
        this.#lists.choose(list.id);
        this.#again();
      },
    });
    this.#body.replaceChildren(where, this.#said.root, items, fresh.root);
  }

  #again() {
    this.#fill();
    this.#body.querySelector('form:last-child input')?.focus();
  }

  #item(list) {
    const root = element('li');
    const about = element('div', 'about');
    about.append(element('strong', '', this.#nameOf(list)), text('span', 'quiet', 'lists.count', { count: String(list.symbols.length) }));
    const acts = element('div', 'acts');
    acts.append(
      button('lists.rename', () => this.#rename(root, list)),
      guarded('lists.remove', 'lists.remove.ask', () => this.#tried(() => this.#lists.remove(list.id)), { values: { name: this.#nameOf(list) } }),
    );
    root.append(about, acts);
    return root;
  }

  #rename(root, list) {
    const name = field({ name: 'name', label: 'lists.name', maxlength: String(NAME_MAX), value: this.#nameOf(list), check: (given) => (nameOf(given) === null ? 'lists.name.wrong' : null) });
    const view = form({
      parts: [name], submit: 'form.save', fieldOf: { INVALID_NAME: 'name' }, links: [button('form.cancel', () => this.#again())],
      onSubmit: async (given) => {
        await this.#lists.rename(list.id, nameOf(given.name));
        this.#again();
      },
    });
    root.replaceChildren(view.root);
    name.input.select();
    view.focus();
  }

  async #tried(work) {
    this.#said.clear();
    try {
      await work();
    } catch (error) {
      this.#said.refuse(error);
    }
    this.#again();
  }
}
