// Candles and volume of the selected symbol; the forming candle moves with each frame.
// The only place where a price becomes a float: to be drawn, never to be compared or summed.

import { CandlestickSeries, ColorType, createChart, CrosshairMode, HistogramSeries } from '../vendor/lightweight-charts/lightweight-charts.js';
import { placesOfHoles, priceFormat, timeOf } from './axis.js';
import { formatCompact, formatPrice } from './decimal.js';
import * as frames from './frames.js';
import { element, setText } from './frames.js';
import * as i18n from './i18n.js';
import { tickOf } from './market.js';
import * as theme from './theme.js';
import { whyNoCandle } from './why.js';

export const INTERVALS = ['1s', '1m', '1h', '1d'];
/** Width of a candle when a symbol is opened. */
const CANDLE_PX = 6.5;
/** A young day is drawn as if it had so many candles, from the left. */
const CANDLES_MIN = 40;
/** Free room at the right, in candles. */
const RIGHT_CANDLES = 3;

export class Chart {
  #market;
  #chart;
  #candles;
  #volumes;
  #legend = document.getElementById('chart-legend');
  #version = -1;
  /** Symbol and interval that the visible range was set for. */
  #viewed = null;
  /** Time of the newest candle that the library has. */
  #newest = -Infinity;
  #follows = true;
  #fitted = -1;
  #hovered = null;
  #colors = {};
  #byTime = new Map();
  #holes;
  #blanks = 0;
  #holesVersion = -1;
  #tick = null;
  #canvas = document.getElementById('chart-canvas');
  #why = document.getElementById('chart-why');

  constructor(market) {
    this.#market = market;
    this.#chart = createChart(this.#canvas, {
      autoSize: true,
      // The logo would add an inline <style>; the attribution stands below the chart instead.
      layout: { attributionLogo: false, fontFamily: 'Inter, system-ui, sans-serif', fontSize: 11 },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { scaleMargins: { top: 0.08, bottom: 0.24 } },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4, minBarSpacing: 1 },
      localization: {
        priceFormatter: (price) => formatPrice(price.toFixed(this.#market.decimals), this.#market.decimals, i18n.current()),
        timeFormatter: (time) => dateTime(time, this.#market.interval),
      },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#volumes = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: 'volume', priceFormat: { type: 'custom', formatter: (value) => formatCompact(BigInt(Math.round(value)), i18n.current()), minMove: 1 },
      lastValueVisible: false, priceLineVisible: false,
    });
    // Where nothing was seen: columns as high as the chart, on a scale of their own.
    this.#holes = this.#chart.addSeries(HistogramSeries, { priceScaleId: 'hole', lastValueVisible: false, priceLineVisible: false });
    this.#chart.priceScale('hole').applyOptions({ scaleMargins: { top: 0, bottom: 0 }, visible: false });
    this.#chart.priceScale('volume').applyOptions({ scaleMargins: { top: 0.82, bottom: 0 }, visible: false });
    for (const touch of ['wheel', 'pointerdown']) {
      this.#canvas.addEventListener(touch, () => (this.#follows = false), { passive: true });
    }
    this.#chart.subscribeCrosshairMove((event) => {
      this.#hovered = event.time === undefined ? null : (this.#byTime.get(event.time) ?? null);
      this.#drawLegend();
    });
    this.themeChanged();
  }

  changed() {
    frames.request(this.draw);
  }

  languageChanged() {
    this.#chart.applyOptions({ localization: { locale: i18n.current() === 'tr' ? 'tr-TR' : 'en-GB' } });
    this.#drawLegend();
  }

  themeChanged() {
    this.#colors = Object.fromEntries(
      ['panel', 'text-2', 'text-3', 'line', 'line-strong', 'up', 'down', 'up-flash', 'down-flash', 'raised', 'hole'].map((name) => [name, theme.color(`--${name}`)]),
    );
    const c = this.#colors;
    this.#chart.applyOptions({
      layout: { background: { type: ColorType.Solid, color: c.panel }, textColor: c['text-2'] },
      grid: { vertLines: { color: c.raised }, horzLines: { color: c.raised } },
      rightPriceScale: { borderColor: c.line },
      timeScale: { borderColor: c.line },
      crosshair: {
        vertLine: { color: c['text-3'], labelBackgroundColor: c['text-2'] },
        horzLine: { color: c['text-3'], labelBackgroundColor: c['text-2'] },
      },
    });
    this.#candles.applyOptions({ upColor: c.up, downColor: c.down, wickUpColor: c.up, wickDownColor: c.down });
    this.#version = -1;
    this.changed();
  }

  draw = () => {
    const market = this.#market;
    const { candles } = market;
    const tick = tickOf(market.row?.definition);
    if (market.candlesVersion !== this.#version || market.outages.version !== this.#holesVersion || tick !== this.#tick) {
      this.#version = market.candlesVersion;
      this.#holesVersion = market.outages.version;
      this.#tick = tick;
      this.#byTime.clear();
      for (const candle of candles) this.#byTime.set(timeOf(candle), candle);
      this.#candles.applyOptions({ priceFormat: priceFormat(tick, market.decimals) });
      this.#chart.applyOptions({ timeScale: { secondsVisible: market.interval === '1s', timeVisible: market.interval !== '1d' } });
      const { blanks, shaded } = placesOfHoles(market.outages.holes, candles, market.interval);
      const places = blanks.map((time) => ({ time }));
      this.#candles.setData([...candles.map((candle) => this.#bar(candle)), ...places].sort((a, b) => a.time - b.time));
      this.#volumes.setData(candles.map((candle) => this.#column(candle)));
      this.#holes.setData(shaded.map((time) => ({ time, value: 1, color: this.#colors.hole })));
      this.#blanks = blanks.length;
      this.#canvas.dataset.holes = String(shaded.length);
      this.#newest = Math.max(-Infinity, ...(candles.length === 0 ? [] : [timeOf(candles.at(-1))]), ...blanks);
      const view = `${market.selected} ${market.interval}`;
      if (candles.length > 0 && this.#viewed !== view) {
        this.#viewed = view;
        this.#chart.priceScale('right').applyOptions({ autoScale: true });
        this.#follows = true;
        this.#fitted = -1;
      }
    } else {
      for (let at = market.candleFrom; at < candles.length; at++) {
        const candle = candles[at];
        this.#byTime.set(timeOf(candle), candle);
        // The library wants to be told which candles it has already and which are newer than all it has.
        const bar = this.#bar(candle);
        const known = bar.time < this.#newest;
        this.#newest = Math.max(this.#newest, bar.time);
        this.#candles.update(bar, known);
        this.#volumes.update(this.#column(candle), known);
      }
    }
    market.candleFrom = candles.length;
    this.#fit(candles.length + this.#blanks);
    this.#drawWhy(candles.length === 0);
    this.#hovered = this.#hovered === null ? null : (this.#byTime.get(timeOf(this.#hovered)) ?? null);
    this.#drawLegend();
  };

  #drawWhy(isEmpty) {
    const market = this.#market;
    this.#why.hidden = !isEmpty || (market.selected === null && !market.denied);
    if (!this.#why.hidden) setText(this.#why, i18n.t(whyNoCandle({ verdict: market.verdict(), book: market.bookVerdict, phase: market.row?.phase ?? 'unknown' }), { symbol: market.selected }));
  }

  /** Few candles are drawn wide, many at their usual width; whoever moves the chart has it to themselves. */
  #fit(count) {
    if (!this.#follows || count === 0 || count === this.#fitted) return;
    this.#fitted = count;
    const most = Math.round(this.#chart.timeScale().width() / CANDLE_PX);
    const shown = Math.min(most, Math.max(CANDLES_MIN, Math.ceil(count * 1.25)));
    this.#chart.timeScale().setVisibleLogicalRange({ from: Math.max(count, shown) - shown - 0.5, to: Math.max(count, shown) + RIGHT_CANDLES });
  }

  #bar(candle) {
    return { time: timeOf(candle), open: Number(candle.open), high: Number(candle.high), low: Number(candle.low), close: Number(candle.close) };
  }

  #column(candle) {
    const rose = Number(candle.close) >= Number(candle.open);
    return { time: timeOf(candle), value: Number(candle.volume), color: rose ? this.#colors['up-flash'] : this.#colors['down-flash'] };
  }

  #drawLegend() {
    const candle = this.#hovered ?? this.#market.candles.at(-1);
    if (!candle) {
      this.#legend.replaceChildren();
      return;
    }
    const language = i18n.current();
    const { decimals } = this.#market;
    const values = {
      open: formatPrice(candle.open, decimals, language), high: formatPrice(candle.high, decimals, language), low: formatPrice(candle.low, decimals, language),
      close: formatPrice(candle.close, decimals, language), volume: formatCompact(BigInt(candle.volume), language),
    };
    // Values are stressed, letters are not: the text is cut at its placeholders.
    const parts = i18n.t('chart.legend').split(/(\{\w+\})/);
    const text = parts.map((part) => values[part.slice(1, -1)] ?? part).join('');
    if (this.#legend.shownText === text) return;
    this.#legend.shownText = text;
    this.#legend.replaceChildren(...parts.map((part) => (part in PLACES ? element('b', '', values[PLACES[part]]) : document.createTextNode(part))));
  }
}

const PLACES = { '{open}': 'open', '{high}': 'high', '{low}': 'low', '{close}': 'close', '{volume}': 'volume' };

function dateTime(time, interval) {
  const locale = i18n.current() === 'tr' ? 'tr-TR' : 'en-GB';
  const date = new Date(time * 1000);
  const day = date.toLocaleDateString(locale, { timeZone: 'UTC', day: 'numeric', month: 'short', year: 'numeric' });
  if (interval === '1d') return day;
  return `${day} ${date.toISOString().slice(11, interval === '1s' ? 19 : 16)}`;
}
