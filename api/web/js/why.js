// Why a panel is empty: the text key of the reason, or null where it is not. Pure.

import { tone } from './symbol.js';

/** Of the depth without a level: what the market's and the book's verdict and the phase say. */
export function whyNoDepth({ verdict, book, phase }) {
  if (verdict.key === 'sign_in') return 'why.book.sign_in';
  if (book.key === 'no_symbol') return 'why.book.no_symbol';
  if (verdict.key === 'connecting') return 'why.book.connecting';
  if (verdict.key === 'waiting') return 'why.book.session';
  if (book.key === 'no_book' || book.key === 'refused') return 'why.book.waiting';
  if (phase === 'unknown') return 'why.book.unknown';
  return `why.book.${tone(phase)}`;
}

/** Of the chart without a candle. */
export function whyNoCandle({ verdict, book, phase }) {
  if (verdict?.key === 'sign_in') return 'why.book.sign_in';
  if (book.key === 'no_symbol') return 'why.book.no_symbol';
  if (book.key === 'no_book' || book.key === 'refused') return 'why.chart.waiting';
  const shade = tone(phase);
  return shade === 'open' || phase === 'unknown' ? 'why.chart.none' : `why.chart.${shade}`;
}

/** Of the tape without a trade. */
export function whyNoTrade({ denied }) {
  return denied ? 'why.book.sign_in' : 'tape.empty';
}

/** What the head of the depth says of a book that is not current: a text key, '' for nothing. */
export function stateOfBook({ denied, isMissing, book, bookFrame, bookBad }) {
  if (denied || isMissing) return '';
  if (bookFrame === null) return 'book.waiting';
  if (book.waiting) return 'book.resync';
  return bookBad ? 'book.maybe_bad' : '';
}
