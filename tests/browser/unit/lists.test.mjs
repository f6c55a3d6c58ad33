// Watchlists without a browser: what is a list, how the browser's come into the account, what another device changed meanwhile.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

if (globalThis.navigator === undefined) globalThis.navigator = { language: 'en-US' };
const items = new Map();
globalThis.localStorage = { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) };
const { openDocument } = await import('./small-dom.mjs');
const js = new URL('../../../api/web/js/', import.meta.url);
const { Lists, listsOf, LISTS_MAX, mergeLists, nameOf, SYMBOLS_MAX, withSymbol } = await import(`${js}lists.js`);
const { AccountError } = await import(`${js}account-errors.js`);
const { Preferences } = await import(`${js}preferences.js`);

/** The account's side: versions that must fit. */
class Server {
  lists = [];
  calls = [];

  get = async () => ({ items: structuredClone(this.lists) });

  post = async (path, { name, symbols }) => {
    this.calls.push(`post ${name}`);
    const list = { id: `id-${name}`, name, symbols, version: 1 };
    this.lists.push(list);
    return { ...list };
  };

  put = async (path, { name, symbols, version }) => {
    this.calls.push(`put ${name} ${version}`);
    const list = this.lists.find(({ id }) => path === `watchlists/${id}`);
    if (list.version !== version) throw new AccountError('VERSION_CONFLICT', { status: 409 });
    return { ...Object.assign(list, { name, symbols, version: version + 1 }) };
  };

  delete = async (path) => {
    this.lists = this.lists.filter(({ id }) => path !== `watchlists/${id}`);
  };
}

let server;
let changes;
const lists = () => new Lists(server, () => changes++);
const brief = (all) => all.map(({ name, symbols }) => `${name}: ${symbols.join(' ')}`);

beforeEach(() => {
  items.clear();
  server = new Server();
  changes = 0;
});

test('names and symbols', () => {
  assert.equal(nameOf('  my   banks '), 'my banks');
  for (const bad of ['', '   ', 'x'.repeat(51), 'a\u0007b']) assert.equal(nameOf(bad), null);
  assert.equal(nameOf('ş'.repeat(50)), 'ş'.repeat(50));
  assert.deepEqual(withSymbol(['A', 'B'], 'A', false), ['B']);
  assert.deepEqual(withSymbol(['A'], 'A', true), ['A']);
});

test('what stands in the browser is believed only as far as it is a list', () => {
  for (const text of ['', 'null', '{}', '[1,null,{}]', '[{"name":"","symbols":[]}]', '[{"name":"a"}]']) assert.deepEqual(listsOf(text), [], text);
  assert.deepEqual(brief(listsOf(JSON.stringify([{ name: 'a', symbols: ['X', 'X', '<b>', 5, 'y', 'Z.E'] }, { name: 'a', symbols: ['W'] }]))), ['a: X Z.E']);
  assert.equal(listsOf(JSON.stringify(Array.from({ length: 80 }, (_, i) => ({ name: `l${i}`, symbols: [] })))).length, LISTS_MAX);
});

test('merging: new lists are made, lists of one name are joined, nothing of the account is lost', () => {
  const remote = [{ id: '1', name: 'a', symbols: ['X', 'Y'], version: 4 }, { id: '2', name: 'b', symbols: ['Z'], version: 1 }];
  const { create, change, left } = mergeLists([{ name: 'a', symbols: ['Y', 'W'] }, { name: 'b', symbols: ['Z'] }, { name: 'c', symbols: ['V'] }], remote);
  assert.deepEqual(create, [{ name: 'c', symbols: ['V'] }]);
  assert.deepEqual(change, [{ id: '1', name: 'a', symbols: ['X', 'Y', 'W'], version: 4 }]);
  assert.deepEqual(left, []);
});

test('merging stops at the limits and says what is left', () => {
  const full = Array.from({ length: LISTS_MAX }, (_, i) => ({ id: `${i}`, name: `l${i}`, symbols: i === 0 ? Array.from({ length: SYMBOLS_MAX }, (_, n) => `S${n}`) : [], version: 1 }));
  const { create, change, left } = mergeLists([{ name: 'new', symbols: ['A'] }, { name: 'l0', symbols: ['A'] }, { name: 'l1', symbols: ['A'] }], full);
  assert.deepEqual([create.length, change.map(({ name }) => name), left], [0, ['l1'], ['new', 'l0']]);
});

test('nobody signed in: lists live in the browser', async () => {
  const mine = lists();
  assert.equal(await mine.toggle('THYAO', 'Favourites'), true);
  assert.equal(await mine.toggle('GARAN', 'Favourites'), true);
  assert.equal(await mine.toggle('THYAO', 'Favourites'), false);
  mine.choose(mine.all[0].id);
  await mine.rename(mine.all[0].id, 'Banks');
  assert.deepEqual(brief(lists().all), ['Banks: GARAN']);
  assert.equal(lists().current?.name, 'Banks', 'the choice is kept, too');
  await assert.rejects(mine.create('Banks'), { code: 'NAME_TAKEN' });
  await assert.rejects(mine.toggle('<b>', 'x'), { code: 'SYMBOL_UNFIT' });
  await mine.remove(mine.all[0].id);
  assert.deepEqual(lists().all, []);
  assert.deepEqual(server.calls, []);
});

test('the browser’s lists come into the account, and are shown on', async () => {
  const mine = lists();
  await mine.toggle('THYAO', 'Favourites');
  mine.choose(mine.all[0].id);
  server.lists = [{ id: '9', name: 'Work', symbols: ['AKBNK'], version: 3 }];
  await mine.take();
  assert.deepEqual(brief(mine.all), ['Work: AKBNK']);
  assert.deepEqual(brief(mine.local), ['Favourites: THYAO'], 'untouched until the person says so');
  assert.deepEqual(await mine.upload(), []);
  assert.deepEqual(brief(mine.all), ['Favourites: THYAO', 'Work: AKBNK']);
  assert.equal(mine.current.name, 'Favourites');
  assert.deepEqual(mine.local, []);
  mine.forget();
  assert.deepEqual([mine.all, mine.current], [[], null], 'signed out: nothing of the account stays');
});

test('what another device changed meanwhile stays', async () => {
  server.lists = [{ id: '1', name: 'a', symbols: ['X'], version: 1 }];
  const mine = lists();
  await mine.take();
  Object.assign(server.lists[0], { symbols: ['X', 'OTHER'], version: 2 });
  await mine.toggle('MINE', 'a');
  assert.deepEqual(brief(mine.all), ['a: X OTHER MINE']);
  assert.deepEqual(server.calls, ['put a 1', 'put a 2']);
});

test('quick presses follow one another, each on the version of the last', async () => {
  server.lists = [{ id: '1', name: 'a', symbols: [], version: 1 }];
  const mine = lists();
  await mine.take();
  await Promise.all([mine.toggle('A', 'a'), mine.toggle('B', 'a'), mine.toggle('A', 'a')]);
  assert.deepEqual(brief(mine.all), ['a: B']);
  assert.deepEqual(server.calls, ['put a 1', 'put a 2', 'put a 3']);
});

test('preferences: the account’s word is shown, a missing one is written, data of others stay', async () => {
  const puts = [];
  let stored = { language: 'tr', theme: null, data: { other: 1 }, version: 3 };
  const api = {
    isSignedIn: true,
    get: async () => stored,
    put: async (_, body) => {
      puts.push(body);
      if (body.version !== stored.version) throw new AccountError('VERSION_CONFLICT', { status: 409 });
      return (stored = { ...body, version: stored.version + 1 });
    },
  };
  const shown = { language: 'en', theme: 'dark' };
  const preferences = new Preferences(api, { read: () => ({ ...shown }), show: ({ language }) => language !== null && (shown.language = language) });
  await preferences.take();
  assert.deepEqual(puts, [{ language: 'tr', theme: 'dark', data: { other: 1 }, version: 3 }]);
  stored = { language: 'en', theme: 'light', data: { other: 2 }, version: 9 };
  shown.theme = 'light';
  preferences.changed();
  await new Promise((done) => setTimeout(done, 700));
  assert.deepEqual(puts.at(-1), { language: 'tr', theme: 'light', data: { other: 2 }, version: 9 });
  preferences.forget();
  preferences.changed();
  await new Promise((done) => setTimeout(done, 700));
  assert.equal(puts.length, 3);
});

test('the list of the first star is called in the language of the page, unless two would be called alike', async () => {
  openDocument();
  const i18n = await import(`${js}i18n.js`);
  const { shownName } = await import(`${js}lists-dialog.js`);
  const [turkish, english, other] = ['Favoriler', 'Favourites', 'Banks'].map((name) => ({ name }));
  for (const [language, name] of [['tr', 'Favoriler'], ['en', 'Favourites']]) {
    i18n.show(language);
    for (const first of [turkish, english]) assert.equal(shownName(first, [first, other]), name, language);
    assert.equal(shownName(other, [turkish, other]), 'Banks');
    assert.deepEqual([turkish, english].map((list) => shownName(list, [turkish, english])), ['Favoriler', 'Favourites']);
  }
});
