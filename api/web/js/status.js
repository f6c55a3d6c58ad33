// The line of truth: connection, age of the feed, gaps, checksums, clock.

import { clockOfMs } from './clock.js';
import { formatDecimal } from './decimal.js';
import * as frames from './frames.js';
import { setAttribute, setText } from './frames.js';
import * as i18n from './i18n.js';

const AGE_WARN_MS = 2_000;
const AGE_BAD_MS = 10_000;
const DRAW_EVERY_MS = 250;

export class Status {
  #market;
  #feed;
  #connection = document.getElementById('status-connection');
  #age = document.getElementById('status-age');
  #gaps = document.getElementById('status-gaps');
  #checks = document.getElementById('status-checks');
  #good = document.getElementById('checks-ok');
  #bad = document.getElementById('checks-bad');
  #clock = document.getElementById('clock');
  #exchange = document.getElementById('exchange-clock');
  #announcer = document.getElementById('announcer');
  #gapsShown = 0;
  #turn = 'a';
  #announced = '';

  constructor(market, feed) {
    this.#market = market;
    this.#feed = feed;
    setInterval(() => frames.request(this.draw), DRAW_EVERY_MS);
  }

  changed() {
    frames.request(this.draw);
  }

  /** Says something to people who listen to the page. */
  announce(text) {
    this.#announcer.textContent = text;
  }

  languageChanged() {
    this.#age.title = i18n.t('status.age.title');
    this.#gaps.title = i18n.t('status.gaps.title');
    this.#checks.title = i18n.t('status.checks.title');
    this.changed();
  }

  /** An open socket is called live only where a real market comes over it and is not old. */
  #connectionText(state, verdict) {
    if (state !== 'live') return i18n.t(`connection.${state}`, { seconds: String(Math.ceil(this.#feed.retryInMs / 1000)) });
    if (verdict.level === 'dead') return i18n.t(verdict.key === 'connecting' ? 'connection.connecting' : 'connection.dead');
    const { origin } = this.#market;
    return i18n.t(origin === 'real' ? 'connection.live' : `connection.${origin}`);
  }

  draw = () => {
    const language = i18n.current();
    const market = this.#market;
    const count = (value) => formatDecimal(String(value), language);

    const { state } = this.#feed;
    setAttribute(this.#connection, 'data-state', state);
    const verdict = market.verdict();
    const text = this.#connectionText(state, verdict);
    setAttribute(this.#connection, 'data-level', state === 'live' ? verdict.level : 'dead');
    setAttribute(this.#connection, 'data-origin', market.origin);
    setText(this.#connection.querySelector('.value'), text);
    setAttribute(this.#connection, 'title', text);

    const session = market.heartbeat?.session_state;
    const age = state === 'live' ? market.feedAgeMs(performance.now()) : null;
    let level = 'good';
    if (state !== 'live' || session === 'stale' || (age !== null && age > AGE_BAD_MS)) level = 'bad';
    else if ((age !== null && age > AGE_WARN_MS) || session === 'waiting') level = 'warn';
    setAttribute(this.#age, 'data-level', level);
    setText(this.#age.querySelector('.value'), age === null ? '–' : ageText(age, language));
    setText(this.#age.querySelector('.session'), session === undefined || session === 'open' ? '' : i18n.t(`session.${session}`));

    setText(this.#gaps.querySelector('.value'), count(market.gapCount));
    setAttribute(this.#gaps, 'data-level', market.gapCount === 0 ? 'good' : 'warn');
    const last = market.gaps[0];
    setText(this.#gaps.querySelector('.detail'), last ? reasonText(last.reason) : '');
    if (market.gapCount !== this.#gapsShown) {
      this.#gapsShown = market.gapCount;
      this.#turn = this.#turn === 'a' ? 'b' : 'a';
      this.#gaps.classList.remove('flash-a', 'flash-b');
      this.#gaps.classList.add(`flash-${this.#turn}`);
      // Said once a reason, not once a symbol: a wildcard may report hundreds.
      const said = i18n.t('announce.gap', { reason: reasonText(last?.reason ?? '') });
      if (said !== this.#announced) this.announce(said);
      this.#announced = said;
    }

    setText(this.#good, count(market.checks.verified));
    setText(this.#bad, count(market.checks.mismatched));
    setAttribute(this.#bad, 'data-any', String(market.checks.mismatched > 0));
    setText(this.#clock, clockOfMs(Date.now() + market.serverOffsetMs));
    const { exchangeMs } = market;
    this.#exchange.hidden = exchangeMs === null;
    if (exchangeMs !== null) setText(this.#exchange.querySelector('time'), clockOfMs(exchangeMs));
  };
}

export function reasonText(reason) {
  return i18n.has(`gap.${reason}`) ? i18n.t(`gap.${reason}`) : reason;
}

function ageText(ms, language) {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const unit = language === 'tr' ? 'sn' : 's';
  const text = ms < 10_000 ? (ms / 1000).toFixed(1) : String(Math.round(ms / 1000));
  return `${formatDecimal(text, language)} ${unit}`;
}
