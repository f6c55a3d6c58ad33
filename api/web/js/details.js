// The drawer for experts: epoch, numbers, timestamps, rates and the last gaps. Drawn four times a second while open.

import { clockOf, clockOfMs } from './clock.js';
import { formatDecimal } from './decimal.js';
import * as frames from './frames.js';
import { element, setText } from './frames.js';
import * as i18n from './i18n.js';
import { insideUs, wireMs } from './stamps.js';
import { reasonText } from './status.js';

const DRAW_EVERY_MS = 250;
const RATE_EVERY_MS = 1_000;

export class Details {
  #market;
  #feed;
  #panel = document.getElementById('details');
  #body = document.getElementById('details-body');
  #toggle = document.getElementById('details-toggle');
  #values = new Map();
  #gaps = element('ol');
  #rate = { at: 0, frames: 0, bytes: 0, perSecond: 0, bytesPerSecond: 0 };

  constructor(market, feed) {
    this.#market = market;
    this.#feed = feed;
    this.#toggle.addEventListener('click', () => this.toggle());
    document.getElementById('details-close').addEventListener('click', () => this.close());
    this.#panel.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.close();
    });
    setInterval(() => this.#measure(), RATE_EVERY_MS);
    setInterval(() => {
      if (!this.#panel.hidden) frames.request(this.draw);
    }, DRAW_EVERY_MS);
    this.languageChanged();
  }

  toggle() {
    if (this.#panel.hidden) this.open();
    else this.close();
  }

  open() {
    this.#panel.hidden = false;
    this.#toggle.setAttribute('aria-expanded', 'true');
    document.getElementById('details-close').focus();
    this.draw();
  }

  close() {
    if (this.#panel.hidden) return;
    this.#panel.hidden = true;
    this.#toggle.setAttribute('aria-expanded', 'false');
    this.#toggle.focus();
  }

  languageChanged() {
    this.#values.clear();
    this.#body.replaceChildren();
    this.chainTitle = this.#group('', ['epoch', 'seq', 'prev_seq', 'ts_event', 'ts_recv', 'ts_out', 'inside', 'wire', 'checksum']);
    this.#group('details.feed', ['source', 'session', 'head']);
    this.#group('details.connection', [
      'url', 'rate', 'throughput', 'frames', 'subscriptions', 'dropped', 'ignored', 'resyncs', 'reconnects', 'last_close', 'refused',
    ]);
    this.#body.append(element('h3', '', i18n.t('details.gaps')), this.#gaps);
    if (!this.#panel.hidden) this.draw();
  }

  #group(key, names) {
    const title = element('h3', '', key === '' ? '' : i18n.t(key));
    const list = element('dl');
    for (const name of names) {
      const value = element('dd', 'num', '–', { 'data-detail': name });
      const term = element('dt', '', i18n.t(`details.${name}`));
      if (i18n.has(`details.${name}.title`)) term.title = i18n.t(`details.${name}.title`);
      list.append(term, value);
      this.#values.set(name, value);
    }
    this.#body.append(title, list);
    return title;
  }

  #measure() {
    const now = performance.now();
    const seconds = (now - this.#rate.at) / 1000;
    const { frames: count, bytes } = this.#feed.counters;
    this.#rate = {
      at: now, frames: count, bytes,
      perSecond: Math.round((count - this.#rate.frames) / seconds),
      bytesPerSecond: Math.round((bytes - this.#rate.bytes) / seconds),
    };
  }

  draw = () => {
    const language = i18n.current();
    const market = this.#market;
    const { counters, lastClose, url } = this.#feed;
    const count = (value) => (value === null || value === undefined ? '–' : formatDecimal(String(value), language));
    const withUnit = (value, unit) => (value === null ? '–' : `${count(value)} ${unit}`);
    const set = (name, text) => setText(this.#values.get(name), text);
    setText(this.chainTitle, i18n.t('details.chain', { symbol: market.selected ?? '–' }));
    const frame = market.bookFrame;
    if (frame) {
      set('epoch', String(frame.epoch));
      set('seq', String(frame.seq));
      set('prev_seq', String(frame.prev_seq));
      set('ts_event', clockOf(frame.ts_event, 9));
      set('ts_recv', clockOf(frame.ts_recv, 9));
      set('ts_out', clockOf(frame.ts_out, 9));
      set('inside', withUnit(insideUs(frame, market.serverNow), 'µs'));
      set('wire', withUnit(wireMs(frame, frame.arrivedMs), 'ms'));
      const { last } = market.checks;
      set('checksum', last === null ? '–' : last.computed === last.expected ? `${hex(last.computed)} ✓` : `${hex(last.computed)} ≠ ${hex(last.expected)}`);
    } else {
      for (const name of ['epoch', 'seq', 'prev_seq', 'ts_event', 'ts_recv', 'ts_out', 'inside', 'wire', 'checksum']) set(name, '–');
    }
    set('session', market.heartbeat ? i18n.t(`session.${market.heartbeat.session_state}`) : '–');
    set('head', count(market.heartbeat?.seq));
    set('url', url);
    set('source', i18n.t(`details.source.${market.origin}`));
    set('rate', count(this.#rate.perSecond));
    set('throughput', `${count(Math.round(this.#rate.bytesPerSecond / 1024))} KiB`);
    set('frames', count(counters.frames));
    set('subscriptions', count(Object.keys(market.heartbeat?.subscriptions ?? {}).length));
    set('dropped', count(counters.dropped));
    set('ignored', count(counters.ignored));
    set('resyncs', count(counters.resyncs));
    set('reconnects', count(counters.reconnects));
    set('refused', count(counters.refused));
    set('last_close', lastClose === null ? '–' : `${lastClose.code || ''} ${lastClose.reason}`.trim() || '–');
    this.#gaps.replaceChildren(
      ...(market.gaps.length === 0 ? [element('li', '', i18n.t('details.none'))] : market.gaps.map(gapLine)),
    );
  };
}

function gapLine(gap) {
  return element('li', 'num', `${clockOfMs(gap.at)}  ${gap.symbol ?? ''} ${gap.channel ?? ''}  ${reasonText(gap.reason)}  ${gap.range}`);
}

function hex(value) {
  return value.toString(16).padStart(8, '0');
}
