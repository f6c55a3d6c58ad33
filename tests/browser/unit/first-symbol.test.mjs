// The symbol that a visit begins with: named, remembered, or the busiest; and that a sign-in which comes late still gets one.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { FirstSymbol, LIST_WAIT_MS, WISH_WAIT_MS } from '../../../api/web/js/first-symbol.js';

let market;
let chosen;
let waits;
const list = (...symbols) => {
  for (const symbol of symbols) market.rows.set(symbol, { symbol, exchangeSymbol: `${symbol}.E` });
  market.busiest = symbols.at(-1) ?? null;
};
const first = (addressed = '', remembered = '') => new FirstSymbol(market, {
  addressed, remembered, later: (work, ms) => waits.push({ work, ms }),
  choose: (symbol) => {
    chosen.push(symbol);
    market.selected = symbol;
  },
});

beforeEach(() => {
  market = { rows: new Map(), selected: null, busiest: null };
  chosen = [];
  waits = [];
});

test('a market that is empty until the sign-in gets its busiest symbol after it', () => {
  const one = first();
  one.listChanged();
  assert.equal(waits.length, 0, 'nothing to choose from: nothing is waited for');
  list('AKBNK', 'THYAO');
  one.listChanged();
  one.listChanged();
  assert.deepEqual(waits.map(({ ms }) => ms), [LIST_WAIT_MS]);
  waits.shift().work();
  assert.deepEqual(chosen, ['THYAO']);
});

test('a wait that ends on an emptied list begins anew with the next one', () => {
  const one = first('', 'GARAN');
  list('AKBNK');
  one.listChanged();
  market.rows.clear();
  market.busiest = null;
  waits.shift().work();
  assert.deepEqual(chosen, []);
  list('THYAO');
  one.listChanged();
  assert.deepEqual(waits.map(({ ms }) => ms), [WISH_WAIT_MS]);
  waits.shift().work();
  assert.deepEqual(chosen, ['THYAO']);
});

test('the address is followed at once, the last visit when its symbol is listed', () => {
  list('THYAO');
  first('THYAO.E').listChanged();
  first('NOSUCH').listChanged();
  const one = first('', 'AKBNK');
  one.listChanged();
  list('AKBNK');
  one.listChanged();
  assert.deepEqual(chosen, ['THYAO', 'NOSUCH', 'AKBNK']);
  waits.shift().work();
  assert.equal(chosen.length, 3, 'the wait chooses nothing over a choice');
});
