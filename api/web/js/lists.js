// The person's watchlists: in the account while signed in, in the browser otherwise, and how the browser's come into the account.
// Knows names, symbols and versions; draws nothing.

import { AccountError } from './account-errors.js';
import { load, store } from './storage.js';

export const LISTS_MAX = 50;
export const SYMBOLS_MAX = 500;
export const NAME_MAX = 50;
const SYMBOL = /^[A-Z0-9._]{1,32}$/;
const STORED = 'lists';

/** A name as it is kept, or null where it is none. */
export function nameOf(text) {
  const name = text.trim().replace(/\s+/g, ' ');
  return name === '' || [...name].length > NAME_MAX || /[\u0000-\u001f\u007f-\u009f]/.test(name) ? null : name;
}

/** `symbols` with `symbol` or without it. */
export function withSymbol(symbols, symbol, isOn) {
  const rest = symbols.filter((known) => known !== symbol);
  return isOn ? [...rest, symbol] : rest;
}

/**
 * The calls that bring the browser's lists into the account: `{create, change, left}`. A list of the same name gets the symbols that it
 * lacks; `left` names lists for which there is no room, which stay in the browser whole.
 */
export function mergeLists(local, remote) {
  const byName = new Map(remote.map((list) => [list.name, list]));
  const out = { create: [], change: [], left: [] };
  for (const { name, symbols } of local) {
    const there = byName.get(name);
    if (there === undefined && remote.length + out.create.length >= LISTS_MAX) out.left.push(name);
    else if (there === undefined) out.create.push({ name, symbols: symbols.slice(0, SYMBOLS_MAX) });
    else {
      const union = [...there.symbols, ...symbols.filter((symbol) => !there.symbols.includes(symbol))];
      if (union.length > SYMBOLS_MAX) out.left.push(name);
      else if (union.length > there.symbols.length) out.change.push({ ...there, symbols: union });
    }
  }
  return out;
}

/** Lists of a text in localStorage, which any program may have written: an entry that is no list is left out. */
export function listsOf(text) {
  let all;
  try {
    all = JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(all)) return [];
  const names = new Set();
  return all.slice(0, LISTS_MAX).flatMap((list) => {
    const name = typeof list?.name === 'string' ? nameOf(list.name) : null;
    if (name === null || names.has(name) || !Array.isArray(list.symbols)) return [];
    names.add(name);
    const symbols = [...new Set(list.symbols.filter((symbol) => typeof symbol === 'string' && SYMBOL.test(symbol)))].slice(0, SYMBOLS_MAX);
    return [{ id: `local-${name}`, name, symbols, version: 0 }];
  });
}

export class Lists {
  /** `{id, name, symbols, version}` each, by name. */
  all = [];
  /** The list that the page shows; null shows every symbol. */
  chosen = null;

  #client;
  #changed;
  #isRemote = false;
  #last = Promise.resolve();

  /** `changed()` is called after every change. */
  constructor(client, changed) {
    this.#client = client;
    this.#changed = changed;
    this.#readLocal();
    const name = load('list', '');
    this.chosen = this.all.find((list) => list.name === name)?.id ?? null;
  }

  /** Whether the lists are the account's. */
  get isRemote() {
    return this.#isRemote;
  }

  /** The list that is shown, null for all symbols. */
  get current() {
    return this.all.find(({ id }) => id === this.chosen) ?? null;
  }

  /** The list that a star belongs to: the one shown, else the first. */
  get starred() {
    return this.current ?? this.all[0] ?? null;
  }

  /** The lists that the browser keeps while the account's are shown. */
  get local() {
    return listsOf(load(STORED, '[]'));
  }

  choose(id) {
    this.chosen = this.all.some((list) => list.id === id) ? id : null;
    store('list', this.current?.name ?? '');
    this.#changed();
  }

  /** Shows the account's lists. */
  async take() {
    const { items } = await this.#client.get('watchlists');
    this.#isRemote = true;
    this.#replace(items);
  }

  /** The session has ended: the browser's lists are shown. */
  forget() {
    if (!this.#isRemote) return;
    this.#isRemote = false;
    this.#readLocal();
    this.choose(null);
  }

  async create(name, symbols = []) {
    if (this.all.length >= LISTS_MAX) throw new AccountError('LISTS_FULL');
    if (this.all.some((list) => list.name === name)) throw new AccountError('NAME_TAKEN');
    const list = this.#isRemote ? await this.#client.post('watchlists', { name, symbols }) : { id: `local-${name}`, name, symbols, version: 0 };
    this.#replace([...this.all, list]);
    return list;
  }

  rename(id, name) {
    return this.#inTurn(() => this.#rename(id, name));
  }

  remove(id) {
    return this.#inTurn(() => this.#remove(id));
  }

  /** Puts a symbol on the starred list, or takes it off; without a list one of `name` is made. Gives whether it is on it now. */
  toggle(symbol, name) {
    return this.#inTurn(() => this.#toggle(symbol, name));
  }

  /** Brings the browser's lists into the account; gives the names for which there was no room. */
  upload() {
    return this.#inTurn(() => this.#upload());
  }

  /** One change after the other: each builds on the version that the last one made. */
  #inTurn(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #rename(id, name) {
    if (this.all.some((list) => list.name === name && list.id !== id)) throw new AccountError('NAME_TAKEN');
    await this.#change(id, (list) => ({ ...list, name }));
  }

  async #remove(id) {
    if (this.#isRemote) await this.#client.delete(`watchlists/${encodeURIComponent(id)}`);
    this.#replace(this.all.filter((list) => list.id !== id));
  }

  async #toggle(symbol, name) {
    if (!SYMBOL.test(symbol)) throw new AccountError('SYMBOL_UNFIT');
    const list = this.starred;
    if (list === null) {
      await this.create(name, [symbol]);
      return true;
    }
    const isOn = !list.symbols.includes(symbol);
    if (isOn && list.symbols.length >= SYMBOLS_MAX) throw new AccountError('LIST_FULL');
    await this.#change(list.id, (now) => ({ ...now, symbols: withSymbol(now.symbols, symbol, isOn) }));
    return isOn;
  }

  async #upload() {
    const { local } = this;
    const { create, change, left } = mergeLists(local, this.all);
    for (const list of create) await this.#client.post('watchlists', list);
    for (const { id, name, symbols, version } of change) await this.#client.put(`watchlists/${encodeURIComponent(id)}`, { name, symbols, version });
    store(STORED, JSON.stringify(local.filter(({ name }) => left.includes(name)).map(bare)));
    await this.take();
    return left;
  }

  /** Changes one list; a change by another device meanwhile stays. */
  async #change(id, edit) {
    const list = this.all.find((known) => known.id === id);
    if (list === undefined) return;
    const next = this.#isRemote ? await this.#put(list, edit) : { ...edit(list), id: `local-${edit(list).name}` };
    if (this.chosen === id) this.chosen = next.id;
    this.#replace(this.all.map((known) => (known.id === id ? next : known)));
  }

  async #put(list, edit) {
    const put = ({ id, name, symbols, version }) => this.#client.put(`watchlists/${encodeURIComponent(id)}`, { name, symbols, version });
    try {
      return await put(edit(list));
    } catch (error) {
      if (error.code !== 'VERSION_CONFLICT') throw error;
      const { items } = await this.#client.get('watchlists');
      const newer = items.find(({ id }) => id === list.id);
      if (newer === undefined) throw new AccountError('NOT_FOUND', { status: 404 });
      return put(edit(newer));
    }
  }

  #readLocal() {
    this.all = sorted(this.local);
  }

  #replace(all) {
    this.all = sorted(all);
    if (!this.#isRemote) store(STORED, JSON.stringify(this.all.map(bare)));
    const name = load('list', '');
    // A list of the same name goes on being shown when it moves into the account.
    if (this.current === null) this.chosen = this.all.find((list) => list.name === name)?.id ?? null;
    else store('list', this.current.name);
    this.#changed();
  }
}

const bare = ({ name, symbols }) => ({ name, symbols });
const sorted = (all) => [...all].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
