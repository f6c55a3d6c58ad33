// The list of all symbols: search, sort by any column, keyboard. Only the rows in view exist in the document.

import { compareDecimals, formatBasisPoints, formatCompact, formatPrice } from './decimal.js';
import * as frames from './frames.js';
import { element, setAttribute, setText } from './frames.js';
import * as i18n from './i18n.js';
import { isAuction, tone } from './symbol.js';

/** Rows drawn above and below the view. */
const OVERSCAN = 4;
/** A list that is sorted by moving numbers is put in order this often, so that rows do not run from the pointer. */
const RESORT_EVERY_MS = 1_500;
/** Selecting by arrow keys waits until the key rests: each selection costs eight requests. */
const SELECT_REST_MS = 180;

const number = (left, right) => (left === null ? (right === null ? 0 : -1) : right === null ? 1 : left - right);
const decimal = (left, right) => (left === null ? (right === null ? 0 : -1) : right === null ? 1 : compareDecimals(left, right));
const COLUMNS = [
  { key: 'symbol', first: 1, compare: (a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0) },
  { key: 'last', first: -1, compare: (a, b) => decimal(a.last, b.last) },
  { key: 'change', first: -1, compare: (a, b) => number(a.changeBp, b.changeBp) },
  { key: 'equilibrium', first: -1, compare: (a, b) => decimal(a.auction?.price ?? null, b.auction?.price ?? null) },
  { key: 'volume', first: -1, compare: (a, b) => decimal(a.volume, b.volume) },
  { key: 'phase', first: 1, compare: (a, b) => (a.phase < b.phase ? -1 : a.phase > b.phase ? 1 : 0) },
];

/** Upper and lower case, dotted and dotless i, and accents make no difference in a search. */
export function fold(text) {
  return text.toLowerCase().normalize('NFD').replace(/[\u0300-\u036f]/g, '').replaceAll('ı', 'i');
}

export class Watchlist {
  #market;
  #onSelect;
  #grid = document.getElementById('watchlist-grid');
  #body = document.getElementById('watchlist-rows');
  #heads = document.getElementById('watchlist-heads');
  #empty = document.getElementById('watchlist-empty');
  #count = document.getElementById('watchlist-count');
  #search = document.getElementById('search');
  #pool = [];
  #shown = [];
  #sort = { column: COLUMNS[0], direction: 1 };
  #cursor = null;
  #rowHeight = 26;
  #sortedAt = 0;
  #listDirty = true;
  #selectTimer = null;
  #announce;
  #onSort;
  #inAuction = false;
  #onStar;
  /** Symbols of the list that is shown, null for all; and the symbols with a star. */
  #only = null;
  #starred = new Set();

  /**
   * `onSelect(symbol, byPointer)` is called when the person chooses a symbol, `onSort(byNumbers)` when the order changes,
   * `onStar(symbol)` when its star is pressed, `announce(text)` says something to people who listen.
   */
  constructor(market, { onSelect, onSort, onStar, announce }) {
    this.#market = market;
    this.#onStar = onStar;
    this.#onSelect = onSelect;
    this.#onSort = onSort;
    this.#announce = announce;
    for (const column of COLUMNS) {
      const head = element('div', ['equilibrium', 'volume'].includes(column.key) ? column.key : '', '', { role: 'columnheader' });
      const button = element('button', '', '', { type: 'button', 'data-column': column.key });
      button.addEventListener('click', () => this.#sortBy(column));
      head.append(button);
      this.#heads.append(head);
      column.head = head;
    }
    const starHead = element('div', 'star-head', '', { role: 'columnheader' });
    starHead.append(element('span', 'sr-only', '', { 'data-i18n': 'column.star' }));
    this.#heads.prepend(starHead);
    this.#body.addEventListener('click', (event) => {
      const row = event.target.closest('.watch-row');
      if (row && event.target.closest('.star')) this.#onStar(row.dataset.symbol);
      else if (row) this.#choose(row.dataset.symbol, true);
    });
    this.#grid.addEventListener('scroll', () => frames.request(this.draw), { passive: true });
    new ResizeObserver(() => frames.request(this.draw)).observe(this.#grid);
    this.#grid.addEventListener('keydown', (event) => {
      // A focused column head keeps Enter and the space bar to itself.
      if (event.target === this.#grid) this.#onKey(event);
    });
    this.#search.addEventListener('input', () => this.listChanged());
    this.#search.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') this.#onKey(event);
      else if (event.key === 'Enter' && this.#shown.length > 0) {
        this.#choose(this.#shown.some((row) => row.symbol === this.#cursor) ? this.#cursor : this.#shown[0].symbol, true);
        this.#grid.focus();
      } else if (event.key === 'Escape') {
        this.#search.value = '';
        this.listChanged();
        this.#grid.focus();
      }
    });
    this.languageChanged();
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  listChanged() {
    this.#listDirty = true;
    frames.request(this.draw);
  }

  /** Shows only the symbols `only` (null: all), and stars at the symbols `starred`. */
  listsChanged(only, starred) {
    this.#only = only === null ? null : new Set(only);
    this.#starred = new Set(starred);
    this.listChanged();
  }

  /** The star of the row that the keys are at, or of the selected symbol. */
  starOne() {
    const symbol = this.#cursor ?? this.#market.selected;
    if (symbol !== null) this.#onStar(symbol);
  }

  rowsChanged() {
    frames.request(this.draw);
  }

  selectionChanged() {
    this.#cursor = this.#market.selected;
    frames.request(this.draw);
  }

  languageChanged() {
    for (const column of COLUMNS) column.head.firstChild.textContent = i18n.t(`column.${column.key}`);
    this.#markSort();
    this.listChanged();
  }

  /** Sorts by the next column, or turns the order round. */
  sortNext(turnRound) {
    const shown = COLUMNS.filter(({ key }) => key !== 'equilibrium' || this.#inAuction);
    this.#sortBy(turnRound ? this.#sort.column : shown[(shown.indexOf(this.#sort.column) + 1) % shown.length]);
  }

  draw = (now) => {
    const moving = this.#sort.column.key !== 'symbol';
    if (this.#listDirty || (moving && now - this.#sortedAt > RESORT_EVERY_MS)) this.#arrange(now);
    const probe = this.#pool[0];
    if (probe?.offsetHeight) this.#rowHeight = probe.offsetHeight;
    const height = this.#rowHeight;
    const view = this.#grid.clientHeight - this.#heads.offsetHeight;
    const first = Math.max(0, Math.floor(this.#grid.scrollTop / height) - OVERSCAN);
    const last = Math.min(this.#shown.length, Math.ceil((this.#grid.scrollTop + view) / height) + OVERSCAN);
    while (this.#pool.length < last - first) this.#pool.push(this.#newRow());
    const language = i18n.current();
    // A row of data keeps its element while it is in view, so that a flash belongs to its symbol.
    for (let slot = 0; slot < this.#pool.length; slot++) {
      const node = this.#pool[slot];
      const index = first + ((slot - (first % this.#pool.length) + this.#pool.length) % this.#pool.length);
      if (index >= last) {
        node.hidden = true;
        continue;
      }
      this.#fill(node, this.#shown[index], index, language);
    }
    this.#tell(first, last);
    const total = `${this.#shown.length * height}px`;
    if (this.#body.style.height !== total) this.#body.style.height = total;
  };

  /** Says which rows are in view, and what cannot be seen by them. */
  #tell(first, last) {
    const inView = this.#shown.slice(first, last);
    this.#market.show(inView.map(({ symbol }) => symbol));
    if (!inView.some(({ symbol }) => symbol === this.#cursor)) this.#grid.removeAttribute('aria-activedescendant');
    // The column of equilibrium prices is there while somebody collects orders.
    const inAuction = inView.some((row) => isAuction(row.phase) && row.auction !== null);
    if (inAuction === this.#inAuction) return;
    this.#inAuction = inAuction;
    document.body.dataset.auction = String(inAuction);
    if (!inAuction && this.#sort.column.key === 'equilibrium') this.#sortBy(COLUMNS[0]);
  }

  #newRow() {
    const node = element('div', 'watch-row', '', { role: 'row' });
    const star = element('button', 'star', '☆', { type: 'button', tabindex: '-1' });
    const cells = {
      star: element('span', 'star-cell', '', { role: 'gridcell' }),
      name: element('span', 'name', '', { role: 'gridcell' }),
      last: element('span', 'num last', '', { role: 'gridcell' }),
      change: element('span', 'num change', '', { role: 'gridcell' }),
      equilibrium: element('span', 'num equilibrium', '', { role: 'gridcell' }),
      volume: element('span', 'num quiet volume', '', { role: 'gridcell' }),
      phase: element('span', 'phase-text', '', { role: 'gridcell' }),
    };
    node.append(...Object.values(cells));
    cells.star.append(star);
    node.cells = cells;
    node.star = star;
    this.#body.append(node);
    return node;
  }

  #fill(node, row, index, language) {
    const { cells } = node;
    if (node.hidden) node.hidden = false;
    const moved = node.dataset.symbol === row.symbol && node.moves !== row.moves;
    if (node.dataset.symbol !== row.symbol) {
      node.dataset.symbol = row.symbol;
      node.id = `watch-${row.symbol}`;
      cells.last.className = 'num last';
    }
    node.moves = row.moves;
    if (node.index !== index || node.height !== this.#rowHeight) {
      node.index = index;
      node.height = this.#rowHeight;
      node.style.transform = `translateY(${index * this.#rowHeight}px)`;
      node.setAttribute('aria-rowindex', String(index + 2));
    }
    const remark = row.bad ? ` – ${i18n.t('list.doubt')}` : row.live ? '' : ` – ${i18n.t('list.old')}`;
    setAttribute(node, 'title', `${row.symbol} ${row.name}${remark}`);
    setAttribute(node, 'data-live', String(row.live));
    setAttribute(node, 'data-bad', String(row.bad));
    this.#drawStar(node.star, row.symbol);
    setText(cells.name, row.symbol);
    setText(cells.last, formatPrice(row.last, row.decimals, language));
    setText(cells.change, row.changeBp === null ? '–' : formatBasisPoints(BigInt(row.changeBp), language));
    setText(cells.equilibrium, isAuction(row.phase) ? formatPrice(row.auction?.price ?? null, row.decimals, language) : '');
    setText(cells.volume, row.volume === null ? '–' : formatCompact(BigInt(row.volume), language));
    setText(cells.phase, i18n.t(`short.${row.phase}`));
    setAttribute(cells.phase, 'data-tone', tone(row.phase));
    const direction = row.changeBp === null || row.changeBp === 0 ? '' : row.changeBp > 0 ? 'up' : 'down';
    const changeClass = `num change ${direction}`;
    if (cells.change.className !== changeClass) cells.change.className = changeClass;
    if (moved) {
      // Two names of one animation, in turn: changing the name restarts it without forcing a layout.
      node.turn = node.turn === 'a' ? 'b' : 'a';
      cells.last.className = `num last ${row.direction < 0 ? 'fall' : 'rise'}-${node.turn}`;
    }
    setAttribute(node, 'aria-selected', String(row.symbol === this.#market.selected));
    node.classList.toggle('cursor', row.symbol === this.#cursor && row.symbol !== this.#market.selected);
    if (row.symbol === this.#cursor && this.#grid.getAttribute('aria-activedescendant') !== node.id) {
      this.#grid.setAttribute('aria-activedescendant', node.id);
    }
  }

  #drawStar(star, symbol) {
    const isOn = this.#starred.has(symbol);
    setText(star, isOn ? '★' : '☆');
    setAttribute(star, 'aria-pressed', String(isOn));
    setAttribute(star, 'aria-label', i18n.t('lists.star', { symbol }));
    setAttribute(star, 'title', i18n.t(isOn ? 'lists.star.off' : 'lists.star.on'));
  }

  #arrange(now) {
    const wanted = fold(this.#search.value.trim());
    const rows = [...this.#market.rows.values()];
    const only = this.#only;
    const all = only === null ? rows : rows.filter((row) => only.has(row.symbol));
    this.#shown = wanted === ''
      ? all
      : all.filter((row) => fold(row.symbol).includes(wanted) || fold(row.name).includes(wanted));
    const { column, direction } = this.#sort;
    this.#shown.sort((a, b) => column.compare(a, b) * direction || COLUMNS[0].compare(a, b));
    this.#sortedAt = now;
    this.#listDirty = false;
    setText(this.#count, wanted === '' ? String(all.length) : `${this.#shown.length}/${all.length}`);
    this.#grid.setAttribute('aria-rowcount', String(this.#shown.length + 1));
    this.#empty.hidden = this.#shown.length > 0;
    setText(this.#empty, this.#whyEmpty(rows, all));
  }

  #whyEmpty(rows, all) {
    if (rows.length === 0) return i18n.t(this.#market.denied ? 'why.book.sign_in' : 'watchlist.waiting');
    return all.length === 0 ? i18n.t('lists.empty') : i18n.t('watchlist.empty', { text: this.#search.value.trim() });
  }

  #sortBy(column) {
    const again = this.#sort.column === column;
    this.#sort = { column, direction: again ? -this.#sort.direction : column.first };
    this.#markSort();
    this.#grid.scrollTop = 0;
    this.#onSort(column.key !== 'symbol');
    const direction = i18n.t(this.#sort.direction > 0 ? 'announce.ascending' : 'announce.descending');
    this.#announce(i18n.t('announce.sorted', { column: i18n.t(`column.${column.key}`), direction }));
    this.listChanged();
  }

  #markSort() {
    for (const column of COLUMNS) {
      const chosen = column === this.#sort.column;
      column.head.setAttribute('aria-sort', chosen ? (this.#sort.direction > 0 ? 'ascending' : 'descending') : 'none');
    }
  }

  #onKey(event) {
    const page = Math.max(1, Math.floor(this.#grid.clientHeight / this.#rowHeight) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === 'Enter' && this.#cursor !== null) {
      this.#choose(this.#cursor, true);
      return;
    }
    if (!(event.key in steps) || this.#shown.length === 0) return;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const at = this.#shown.findIndex((row) => row.symbol === this.#cursor);
    const to = Math.min(this.#shown.length - 1, Math.max(0, (at < 0 ? -1 : at) + steps[event.key]));
    this.#cursor = this.#shown[to].symbol;
    this.#reveal(to);
    frames.request(this.draw);
    clearTimeout(this.#selectTimer);
    this.#selectTimer = setTimeout(() => this.#onSelect(this.#cursor, false), SELECT_REST_MS);
  }

  #choose(symbol, byPointer) {
    clearTimeout(this.#selectTimer);
    this.#cursor = symbol;
    this.#onSelect(symbol, byPointer);
  }

  #reveal(index) {
    const view = this.#grid.clientHeight - this.#heads.offsetHeight;
    const top = index * this.#rowHeight;
    if (top < this.#grid.scrollTop) this.#grid.scrollTop = top;
    else if (top + this.#rowHeight > this.#grid.scrollTop + view) this.#grid.scrollTop = top + this.#rowHeight - view;
  }
}
