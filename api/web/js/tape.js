// Time and sales: newest first, the aggressor's colour, large trades stressed, holes shown as such.

import { formatDecimal, formatPrice } from './decimal.js';
import { clockOf, clockOfMs } from './clock.js';
import * as frames from './frames.js';
import { element, setAttribute, setText } from './frames.js';
import * as i18n from './i18n.js';
import { whyNoTrade } from './why.js';

/** Rows in the document; older trades leave it. */
const ROWS_MAX = 150;
const RATE_WINDOW_MS = 60_000;

export class Tape {
  #market;
  #body = document.getElementById('tape-rows');
  #empty = document.getElementById('tape-empty');
  #rate = document.getElementById('tape-rate');
  #rows = [];
  #version = -1;
  #total = 0;

  constructor(market) {
    this.#market = market;
    const heads = document.getElementById('tape-heads');
    for (const key of ['time', 'price', 'quantity']) heads.append(element('span', '', '', { role: 'columnheader', 'data-i18n': `tape.${key}` }));
    const side = element('span', '', '', { role: 'columnheader' });
    side.append(element('span', 'sr-only', '', { 'data-i18n': 'tape.side' }));
    heads.append(side);
  }

  changed() {
    frames.request(this.draw);
  }

  languageChanged() {
    this.#version = -1;
    this.changed();
  }

  draw = () => {
    const { trades, tradesTotal, tradesVersion, decimals } = this.#market;
    const language = i18n.current();
    const all = tradesVersion !== this.#version;
    const added = all ? trades.length : Math.min(tradesTotal - this.#total, trades.length);
    const shown = Math.min(trades.length, ROWS_MAX);
    if (all) {
      while (this.#rows.length > shown) this.#rows.pop().remove();
      while (this.#rows.length < shown) {
        const row = newRow();
        this.#rows.push(row);
        this.#body.append(row);
      }
      this.#rows.forEach((row, at) => fill(row, trades[at], decimals, language));
    } else {
      // The oldest rows become the newest: as many elements move as trades came, the rest stays untouched.
      for (let at = Math.min(added, ROWS_MAX) - 1; at >= 0; at--) {
        const row = this.#rows.length < ROWS_MAX ? newRow() : this.#rows.pop();
        fill(row, trades[at], decimals, language);
        this.#body.prepend(row);
        this.#rows.unshift(row);
      }
    }
    this.#version = tradesVersion;
    this.#total = tradesTotal;
    this.#empty.hidden = trades.length > 0;
    setText(this.#empty, i18n.t(whyNoTrade(this.#market)));
    this.#drawRate(trades);
  };

  #drawRate(trades) {
    // By when the page got them: the stamps of a replay are of another clock.
    const from = performance.now() - RATE_WINDOW_MS;
    let count = 0;
    for (const trade of trades) {
      if (trade.hole) continue;
      if (trade.arrivedMs === null || trade.arrivedMs < from) break;
      count++;
    }
    const full = count === trades.length && count > 0 && trades.length >= 400;
    setText(this.#rate, count === 0 ? '' : i18n.t('tape.rate', { count: full ? `${count}+` : String(count) }));
  }
}

function newRow() {
  const row = element('div', 'trade', '', { role: 'row' });
  row.time = element('span', 'num time', '', { role: 'cell' });
  row.price = element('span', 'num price', '', { role: 'cell' });
  row.quantity = element('span', 'num quantity', '', { role: 'cell' });
  row.side = element('span', 'aggressor', '', { role: 'cell' });
  row.append(row.time, row.price, row.quantity, row.side);
  return row;
}

/** What a line says that stands where nothing was seen. */
function holeText(hole) {
  if (hole.from === undefined) return i18n.t('tape.hole', { reason: i18n.has(`gap.${hole.reason}`) ? i18n.t(`gap.${hole.reason}`) : hole.reason });
  const text = i18n.t(`gap.${hole.kind}`, { from: clockOfMs(hole.from), to: clockOfMs(hole.to) });
  return hole.missing === null ? text : `${text}: ${i18n.t(hole.missing ? 'tape.missing' : 'tape.whole')}`;
}

const ARROWS = { B: '▲', A: '▼', N: '◆' };
const SIDES = { B: 'tape.buy', A: 'tape.sell', N: 'tape.cross' };

function fill(row, trade, decimals, language) {
  setAttribute(row, 'data-hole', String(trade.hole === true));
  if (trade.hole) {
    setText(row.time, '⋯');
    setText(row.price, '');
    setText(row.quantity, holeText(trade));
    setText(row.side, '');
    setAttribute(row, 'data-side', 'none');
    setAttribute(row, 'data-large', 'false');
    setAttribute(row, 'data-broken', 'false');
    return;
  }
  setText(row.time, clockOf(trade.ts_event, 3));
  setText(row.price, formatPrice(trade.price, decimals, language));
  setText(row.quantity, formatDecimal(trade.quantity, language));
  setText(row.side, ARROWS[trade.side] ?? '');
  setAttribute(row.side, 'title', i18n.t(SIDES[trade.side] ?? 'tape.cross'));
  setAttribute(row, 'data-side', trade.side);
  setAttribute(row, 'data-large', String(trade.large));
  setAttribute(row, 'data-broken', String(trade.broken));
}
