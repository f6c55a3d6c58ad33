// The head of the selected symbol: name, session, last price and the numbers of the day.

import { formatBasisPoints, formatCompact, formatDecimal, formatPrice, formatSigned, trimZeros } from './decimal.js';
import * as frames from './frames.js';
import { element, setAttribute, setText } from './frames.js';
import * as i18n from './i18n.js';
import { nearNames } from './near.js';

const AUCTIONS = new Set(['opening_collection', 'margin_publication', 'uncross', 'volatility_auction', 'closing_collection']);
const STOPPED = new Set(['halt', 'break']);
const CLOSED = new Set(['unknown', 'pre_open', 'closed']);

/** Which of four looks a phase has: `auction`, `stopped`, `closed` or `open`. */
export function tone(phase) {
  if (AUCTIONS.has(phase)) return 'auction';
  if (STOPPED.has(phase)) return 'stopped';
  return CLOSED.has(phase) ? 'closed' : 'open';
}

/** Whether an equilibrium price is formed in this phase. */
export function isAuction(phase) {
  return AUCTIONS.has(phase);
}

const compact = (text, language) => (text === null || text === undefined ? '–' : formatCompact(BigInt(text.split('.')[0]), language));
const price = (key) => [key, (s, language, decimals) => formatPrice(s[key], decimals, language)];
const FACTS = [
  price('open'),
  price('high'),
  price('low'),
  price('reference'),
  // Two more decimals than prices have is what a mean can be read with.
  ['vwap', (s, language, decimals) => formatDecimal(cut(s.vwap, decimals + 2), language)],
  ['volume', (s, language) => compact(s.volume, language)],
  ['turnover', (s, language) => compact(s.turnover, language)],
  ['trades', (s, language) => formatDecimal(s.trades === null || s.trades === undefined ? null : String(s.trades), language)],
  ['limits', (s, language, decimals) => (s.limit_low === null || s.limit_high === null
    ? '–' : `${formatPrice(s.limit_low, decimals, language)} – ${formatPrice(s.limit_high, decimals, language)}`)],
];

function cut(text, decimals) {
  const point = text?.indexOf('.') ?? -1;
  return point < 0 ? text : text.slice(0, point + 1 + decimals);
}

/** What is shown of a symbol of which nothing is known. */
const NO_ROW = { symbol: '', name: '', phase: 'unknown', state: '', last: null, decimals: 2, direction: 0, change: null, changeBp: null, statistics: null };

export class SymbolHead {
  #market;
  #name = document.getElementById('symbol-name');
  #long = document.getElementById('symbol-long');
  #phase = document.getElementById('symbol-phase');
  #last = document.getElementById('symbol-last');
  #change = document.getElementById('symbol-change');
  #near = document.getElementById('symbol-near');
  #facts = [];
  #onChoose;
  #nearOf = '';

  /** `onChoose(symbol)` is called when one of the near names of an unknown symbol is taken. */
  constructor(market, onChoose) {
    this.#market = market;
    this.#onChoose = onChoose;
    const list = document.getElementById('symbol-facts');
    for (const [key] of FACTS) {
      const group = element('div', key);
      const term = element('dt', '', '', { 'data-i18n': `fact.${key}` });
      const value = element('dd', 'num', '–');
      group.append(term, value);
      list.append(group);
      this.#facts.push(value);
    }
  }

  changed() {
    frames.request(this.draw);
  }

  draw = () => {
    const language = i18n.current();
    const row = this.#market.row ?? NO_ROW;
    setText(this.#name, this.#market.selected ?? '–');
    setText(this.#long, row.name);
    setAttribute(this.#long, 'title', row.name);
    setText(this.#phase, i18n.has(`phase.${row.phase}`) ? i18n.t(`phase.${row.phase}`) : row.phase);
    setAttribute(this.#phase, 'data-phase', row.phase);
    setAttribute(this.#phase, 'data-tone', tone(row.phase));
    setAttribute(this.#phase, 'title', row.state);
    const last = formatPrice(row.last, row.decimals, language);
    setText(this.#last, last);
    setAttribute(this.#last, 'data-direction', row.direction > 0 ? 'up' : row.direction < 0 ? 'down' : 'none');
    const known = row.change !== null && row.changeBp !== null;
    setText(this.#change, known ? `${formatSigned(trimZeros(row.change, row.decimals), language)}  ${formatBasisPoints(BigInt(row.changeBp), language, true)}` : '');
    setAttribute(this.#change, 'class', `change num ${!known || row.changeBp === 0 ? '' : row.changeBp > 0 ? 'up' : 'down'}`);
    const statistics = row.statistics ?? { limit_low: null, limit_high: null };
    FACTS.forEach(([, text], at) => setText(this.#facts[at], text(statistics, language, row.decimals)));
    this.#drawNear(language);
  };

  /** A symbol that is none of this market: its name is said to be unknown, and near ones are offered. */
  #drawNear(language) {
    const { isMissing, selected, rows } = this.#market;
    this.#near.hidden = !isMissing;
    const state = isMissing ? `${selected} ${rows.size} ${language}` : '';
    if (state === this.#nearOf) return;
    this.#nearOf = state;
    if (!isMissing) return;
    const names = nearNames(selected, rows.keys());
    const buttons = names.map((symbol) => {
      const button = element('button', '', symbol, { type: 'button' });
      button.addEventListener('click', () => this.#onChoose(symbol));
      return button;
    });
    const text = element('span', '', i18n.t('truth.no_symbol', { symbol: selected }));
    this.#near.replaceChildren(text, element('span', 'quiet', i18n.t(names.length > 0 ? 'unknown.near' : 'unknown.none')), ...buttons);
  }
}
