// The depth of the selected symbol: levels with order counts, cumulative bars, spread, middle, equilibrium.

import { compareDecimals, formatBasisPoints, formatCompact, formatDecimal, formatPrice, middle, subtract, toScaled } from './decimal.js';
import * as frames from './frames.js';
import { element, setAttribute, setText } from './frames.js';
import * as i18n from './i18n.js';
import { markText } from './standing.js';
import { isAuction } from './symbol.js';
import { stateOfBook, whyNoDepth } from './why.js';

export const DEPTHS = [10, 20, 50];
/** Bars are drawn in steps of a thousandth of the width; smaller changes are not worth a repaint. */
const BAR_STEPS = 1000n;

export class Ladder {
  #market;
  #panel = document.getElementById('panel-book');
  #root = document.getElementById('ladder');
  #state = document.getElementById('book-state');
  #middle = document.getElementById('book-middle');
  #bidTotal = document.getElementById('balance-bid');
  #askTotal = document.getElementById('balance-ask');
  #meter = document.getElementById('balance-meter');
  #why = document.getElementById('book-why');
  #levels = [];
  #fields = {};

  constructor(market) {
    this.#market = market;
    const heads = element('div', 'heads', '', { role: 'row' });
    const bid = element('div', 'half bid');
    const ask = element('div', 'half ask');
    const head = (key, className) => element('span', className, '', { role: 'columnheader', 'data-i18n': key });
    bid.append(head('book.orders', 'orders'), head('book.quantity', ''), head('book.bid', 'price'));
    ask.append(head('book.ask', 'price'), head('book.quantity', ''), head('book.orders', 'orders'));
    heads.append(bid, ask);
    this.#root.append(heads);
    for (const key of ['spread', 'mid', 'equilibrium']) {
      const group = element('div', key === 'equilibrium' ? 'auction' : key);
      const term = element('dt', '', '', { 'data-i18n': `book.${key}` });
      const value = element('dd', 'num', '–');
      group.append(term, value);
      this.#middle.append(group);
      this.#fields[key] = value;
    }
    this.#fields.share = element('dd', 'num share');
    this.#fields.spread.parentNode.append(this.#fields.share);
    const chip = this.#fields.equilibrium.parentNode;
    for (const side of ['bid', 'ask']) {
      const value = element('dd', 'num', '–');
      chip.append(element('dt', '', '', { 'data-i18n': `book.equilibrium.${side}` }), value);
      this.#fields[`auction-${side}`] = value;
    }
    chip.hidden = true;
  }

  changed() {
    frames.request(this.draw);
  }

  draw = () => {
    const language = i18n.current();
    const { book, bookFrame, depth, decimals } = this.#market;
    this.#fit(depth);
    const empty = bookFrame === null || book === null;
    const bids = empty ? [] : book.bids;
    const asks = empty ? [] : book.asks;

    const bidSums = sums(bids);
    const askSums = sums(asks);
    const bidTotal = bidSums.at(-1) ?? 0n;
    const askTotal = askSums.at(-1) ?? 0n;
    const widest = bidTotal > askTotal ? bidTotal : askTotal;
    for (let i = 0; i < depth; i++) {
      const level = this.#levels[i];
      side(level.bid, bids[i], bidSums[i], widest, decimals, language);
      side(level.ask, asks[i], askSums[i], widest, decimals, language);
    }
    setText(this.#bidTotal, empty ? '–' : formatCompact(bidTotal, language));
    setText(this.#askTotal, empty ? '–' : formatCompact(askTotal, language));
    const total = bidTotal + askTotal;
    const share = total === 0n ? 500n : (bidTotal * BAR_STEPS) / total;
    if (this.#meter.share !== share) {
      this.#meter.share = share;
      this.#meter.firstElementChild.style.transform = `scaleX(${Number(share) / 1000})`;
      setAttribute(this.#meter, 'aria-label', i18n.t('book.balance', { bid: String(bidTotal), ask: String(askTotal) }));
    }
    this.#drawMiddle(bids[0], asks[0], decimals, language);
    this.#drawState();
    this.#drawWhy(bids.length + asks.length === 0);
  };

  #drawWhy(isEmpty) {
    const market = this.#market;
    const shown = isEmpty && (market.selected !== null || market.denied);
    this.#why.hidden = !shown;
    setAttribute(this.#panel, 'data-empty', String(shown));
    if (!shown) return;
    const key = whyNoDepth({ verdict: market.verdict(), book: market.bookVerdict, phase: market.row?.phase ?? 'unknown' });
    setText(this.#why, i18n.t(key, { symbol: market.selected }));
  }

  #drawMiddle(bid, ask, decimals, language) {
    const twoSided = bid !== undefined && ask !== undefined;
    const crossed = twoSided && compareDecimals(bid[0], ask[0]) >= 0;
    if (twoSided && !crossed) {
      const spread = subtract(ask[0], bid[0]);
      const mid = middle(bid[0], ask[0]);
      setText(this.#fields.spread, formatPrice(spread, decimals, language));
      setText(this.#fields.share, formatBasisPoints(share(spread, mid), language, true).replace('+', ''));
      setText(this.#fields.mid, formatPrice(mid, decimals, language));
    } else {
      setText(this.#fields.spread, '–');
      setText(this.#fields.share, '');
      setText(this.#fields.mid, '–');
    }
    const { auction, row } = this.#market;
    const shown = auction !== null && (row === null || isAuction(row.phase) || row.phase === 'unknown');
    this.#fields.equilibrium.parentNode.hidden = !shown;
    if (shown) {
      const bidQuantity = auction.bid_quantity === null ? '–' : formatCompact(BigInt(auction.bid_quantity), language);
      const askQuantity = auction.ask_quantity === null ? '–' : formatCompact(BigInt(auction.ask_quantity), language);
      setText(this.#fields.equilibrium, formatPrice(auction.price, decimals, language));
      setText(this.#fields['auction-bid'], bidQuantity);
      setText(this.#fields['auction-ask'], askQuantity);
    }
  }

  #drawState() {
    const key = stateOfBook(this.#market);
    setText(this.#state, key === '' ? '' : i18n.t(key, { reason: markText(this.#market.bookReason) }));
    setAttribute(this.#state, 'data-level', key === '' ? 'none' : 'warn');
  }

  #fit(depth) {
    setAttribute(this.#panel, 'data-depth', String(depth));
    while (this.#levels.length < depth) {
      const node = element('div', 'level', '', { role: 'row' });
      const bid = half('bid', ['orders', 'quantity', 'price']);
      const ask = half('ask', ['price', 'quantity', 'orders']);
      node.append(bid.node, ask.node);
      this.#root.append(node);
      this.#levels.push({ node, bid, ask });
    }
    while (this.#levels.length > depth) this.#levels.pop().node.remove();
  }
}

function half(name, columns) {
  const node = element('div', `half ${name}`, '');
  const bar = element('i', 'depth-bar');
  node.append(bar);
  const cells = { node, bar };
  for (const column of columns) {
    const cell = element('span', `num ${column}`, '', { role: 'cell' });
    cells[column] = cell;
    node.append(cell);
  }
  return cells;
}

function side(cells, level, sum, widest, decimals, language) {
  const width = level === undefined || widest === 0n ? 0n : (sum * BAR_STEPS) / widest;
  if (cells.width !== width) {
    cells.width = width;
    cells.bar.style.transform = `scaleX(${Number(width) / 1000})`;
  }
  const form = `${language}${decimals}`;
  if (cells.level === level && cells.form === form) return;
  cells.level = level;
  cells.form = form;
  setText(cells.price, level === undefined ? '' : formatPrice(level[0], decimals, language));
  setText(cells.quantity, level === undefined ? '' : formatDecimal(level[1], language));
  setText(cells.orders, level === undefined ? '' : String(level[2]));
}

function sums(levels) {
  let sum = 0n;
  return levels.map((level) => (sum += BigInt(level[1])));
}

/** `part` of `whole` in hundredths of a percent, null without a whole. */
function share(part, whole) {
  const of = toScaled(whole, 9);
  return of <= 0n ? null : (toScaled(part, 9) * 20_000n + of) / (of * 2n);
}
