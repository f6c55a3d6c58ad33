// What stands above all panels: whether the market is real, and whether what is shown is live. Strips below the top line, the
// title of the tab, and attributes of the body that take the colours from whatever is not live.

import { durationOf } from './clock.js';
import { formatPrice } from './decimal.js';
import * as frames from './frames.js';
import { setAttribute, setText } from './frames.js';
import * as i18n from './i18n.js';

const DRAW_EVERY_MS = 250;

export class Standing {
  #market;
  #listener;
  #head = document.getElementById('head');
  #origin = document.getElementById('origin');
  #truth = document.getElementById('truth');
  #said = 'live';

  /** `listener.onShade()` when colours changed, `announce(text)` for people who listen to the page. */
  constructor(market, listener) {
    this.#market = market;
    this.#listener = listener;
    setInterval(() => {
      market.tick();
      frames.request(this.draw);
      // A tab in the background draws no picture, but its title is what a person sees of it.
      if (document.visibilityState === 'hidden') this.draw();
    }, DRAW_EVERY_MS);
    new ResizeObserver(() => document.body.style.setProperty('--head', `${this.#head.offsetHeight}px`)).observe(this.#head);
  }

  changed() {
    frames.request(this.draw);
  }

  draw = () => {
    const market = this.#market;
    const verdict = market.verdict();
    const book = market.selected === null ? verdict : market.bookVerdict;
    const { origin } = market;
    const worst = verdict.level === 'dead' ? 'dead' : book.level;
    const { body } = document;
    const isNew = body.dataset.truth !== verdict.level || body.dataset.book !== worst;
    Object.assign(body.dataset, { truth: verdict.level, why: verdict.key, book: worst, origin });
    if (isNew) this.#listener.onShade();
    this.#drawOrigin(origin, verdict);
    this.#drawTruth(verdict, book);
    const title = this.#title(verdict, book, origin);
    if (document.title !== title) document.title = title;
  };

  #drawOrigin(origin, verdict) {
    // Before anybody could say what it is, nothing is said.
    this.#origin.hidden = origin === 'real' || (origin === 'unknown' && verdict.level === 'dead');
    setAttribute(this.#origin, 'data-origin', origin);
    const name = this.#market.info?.replay_of ?? this.#market.hello?.replay_of;
    setText(this.#origin, origin === 'real' ? '' : origin === 'replay' && name ? i18n.t('origin.replay_of', { name }) : i18n.t(`origin.${origin}`));
  }

  #drawTruth(verdict, book) {
    const shown = verdict.level === 'live' && ['no_symbol', 'refused', 'maybe_bad'].includes(book.key) ? book : verdict;
    this.#truth.hidden = shown.level === 'live';
    setAttribute(this.#truth, 'data-level', shown.level);
    const text = shown.level === 'live' ? '' : this.#text(shown);
    setText(this.#truth, text);
    // Said when it changes, not each second.
    const said = `${shown.level} ${shown.key}`;
    if (said !== this.#said && text !== '') this.#listener.announce(text);
    this.#said = said;
  }

  #text({ key, ageMs, reason }) {
    const symbol = this.#market.selected ?? '';
    return i18n.t(`truth.${key}`, { age: ageMs === null ? '' : durationOf(ageMs, i18n.current()), symbol, reason: markText(reason) }).replace(/\s+/g, ' ').trim();
  }

  /** An old price is not repeated where nobody sees that it is old. */
  #title(verdict, book, origin) {
    const { row, selected } = this.#market;
    const alarm = verdict.level !== 'live' ? `title.${verdict.level}.${verdict.key}` : book.key === 'maybe_bad' ? 'title.doubt.maybe_bad' : null;
    const isShown = verdict.level !== 'dead' && book.level !== 'dead' && row !== null;
    const last = isShown ? ` ${formatPrice(row.last, row.decimals, i18n.current())}` : '';
    return [
      alarm === null ? null : i18n.t(alarm),
      origin === 'sim' || origin === 'replay' ? i18n.t(`origin.short.${origin}`) : null,
      selected === null ? null : `${selected}${last}`,
      'BIST',
    ].filter((part) => part !== null).join(' · ');
  }
}

/** The server's reason for a mark, in the language where we know it. */
export function markText(reason) {
  if (reason === null || reason === undefined || reason === '') return i18n.t('reason.unknown');
  return i18n.has(`reason.${reason}`) ? i18n.t(`reason.${reason}`) : String(reason);
}
