// Puts the page together: connection, market, panels, keys. Holds no logic of its own.
// A further panel (orders) is one more entry in `panels` and a place in index.html (`#dock`).

import { Account } from './account.js';
import { linkOf } from './account-enter.js';
import { Chart, INTERVALS } from './chart.js';
import { Details } from './details.js';
import { Directory } from './directory.js';
import { FirstSymbol } from './first-symbol.js';
import { Help } from './help.js';
import * as i18n from './i18n.js';
import { DEPTHS, Ladder } from './ladder.js';
import { segments, Tabs } from './layout.js';
import { ListChooser } from './lists-dialog.js';
import { Market } from './market.js';
import { Standing } from './standing.js';
import { Status } from './status.js';
import { load, store } from './storage.js';
import { SymbolHead } from './symbol.js';
import { Tape } from './tape.js';
import * as theme from './theme.js';
import { Watchlist } from './watchlist.js';
import { Feed } from './ws.js';

/** Refusals that a person who signs in would not get. */
const SIGN_IN_CODES = new Set(['UNAUTHENTICATED', 'AUTH_REQUIRED']);
/** A token that the socket did not take is replaced at most so often. */
const RENEW_EVERY_MS = 60_000;

// The token of a mail's link leaves the address before anything else sees it.
const linked = linkOf(location.hash) === null ? '' : location.hash;
if (linked !== '') history.replaceState(null, '', location.pathname);

const market = new Market((part) => onChanged[part]?.());
const account = new Account({ onLists: () => listsChanged(), onToken: (change) => tokenChanged(change), announce: (text) => status.announce(text) });
const token = () => account.client.accessToken;
const feed = new Feed(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/v2`, {
  onState: (state) => {
    market.onLink(state, feed.heardAt);
    if (state === 'live') directory.restart();
    else directory.stop();
    if (state === 'waiting') onWaiting();
    status.changed();
    status.announce(i18n.t(`connection.${feed.state}`, { seconds: String(Math.ceil(feed.retryInMs / 1000)) }));
  },
  onHeartbeat: (frame) => market.onHeartbeat(frame),
  onSystem: (frame) => {
    if (frame.type === 'auth_expiring') renew();
    market.onSystem(frame);
  },
  onFrame: (frame) => market.onFrame(frame),
  onResync: (entry, reason) => market.onResync(entry, reason),
  onRefused: (error, request) => onRefused(error, request),
  isDenied: () => market.denied && token() === null,
  token,
});

market.depth = DEPTHS.find((depth) => String(depth) === load('depth')) ?? DEPTHS[0];
market.interval = INTERVALS.includes(load('interval')) ? load('interval') : '1m';

const directory = new Directory({
  onSymbols: (items, symbols) => market.onSymbols(items, symbols),
  onQuotes: (items) => market.onQuotes(items),
  onInfo: (info) => market.onInfo(info),
  onAccess: (isAllowed) => onAccess(isAllowed),
  token,
});
const tabs = new Tabs();
const status = new Status(market, feed);
const announce = (text) => status.announce(text);
const watchlist = new Watchlist(market, { onSelect: choose, onSort: (byNumbers) => directory.setSorted(byNumbers), onStar: (symbol) => chooser.toggle(symbol), announce });
const chooser = new ListChooser(account.lists, announce);
const head = new SymbolHead(market, (symbol) => choose(symbol, true));
const ladder = new Ladder(market);
const tape = new Tape(market);
const chart = new Chart(market);
const details = new Details(market, feed);
const help = new Help();
const standing = new Standing(market, { onShade: () => chart.themeChanged(), announce });
const panels = [standing, status, watchlist, chooser, head, ladder, tape, chart, details];

const onChanged = {
  market: () => directory.restart(),
  truth: () => {
    standing.changed();
    status.changed();
    ladder.changed();
    chart.changed();
  },
  list: () => {
    watchlist.listChanged();
    if (market.selected === null) first.listChanged();
    else head.changed();
  },
  row: () => watchlist.rowsChanged(),
  quote: () => head.changed(),
  book: () => ladder.changed(),
  auction: () => ladder.changed(),
  trades: () => tape.changed(),
  candles: () => chart.changed(),
  gap: () => status.changed(),
  selection: () => {
    watchlist.selectionChanged();
    for (const panel of [standing, head, ladder, tape, chart]) panel.changed();
  },
};

function listsChanged() {
  chooser.changed();
  watchlist.listsChanged(account.lists.current?.symbols ?? null, account.lists.starred?.symbols ?? []);
}

/** A person signed in or out, or has a newer token. */
function tokenChanged(change) {
  if (change === 'ended' || (market.denied && feed.state !== 'live')) feed.restart();
  else feed.authenticate();
  if (directory.isDenied) directory.restart();
  // What was shown to the person who left is cleared, where nobody else may see it.
  if (change === 'ended') directory.probe();
}

/** A person with a session is not told to sign in: the token is on its way, or cannot be checked now. */
function onAccess(isAllowed) {
  market.onAccess(isAllowed || account.client.isSignedIn);
}

function onRefused(error, { method }) {
  if (!SIGN_IN_CODES.has(error.code)) return;
  if (method !== 'auth') onAccess(false);
  else renew();
}

/** The socket's token is at its end, or was not taken: another one follows, which the socket gets by `tokenChanged`. */
function renew() {
  if (!account.client.isSignedIn || performance.now() - renewedAt < RENEW_EVERY_MS) return;
  renewedAt = performance.now();
  // OK because: a session that has ended says so itself.
  account.client.restore().catch(() => {});
}

/** No socket could be opened, perhaps for want of a token: only REST says so. */
function onWaiting() {
  if (market.link.lostAt === null && !market.denied) directory.probe();
}

const first = new FirstSymbol(market, { addressed: symbolOfAddress(), remembered: load('symbol', ''), choose: (symbol) => choose(symbol, false) });
let renewedAt = -Infinity;

function symbolOfAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)).toUpperCase();
  } catch {
    return '';
  }
}

function choose(symbol, byPointer) {
  market.select(symbol);
  store('symbol', symbol);
  history.replaceState(null, '', `#${encodeURIComponent(symbol)}`);
  if (byPointer) {
    status.announce(i18n.t('announce.selected', { symbol }));
    if (document.body.dataset.tab === 'list') tabs.show(narrow.matches ? 'book' : 'list');
  }
}

const narrow = matchMedia('(max-width: 859.98px)');

const nextDepth = segments(document.getElementById('book-depths'), DEPTHS, market.depth, (depth) => {
  store('depth', String(depth));
  market.setDepth(depth);
});
const nextInterval = segments(document.getElementById('chart-intervals'), INTERVALS, market.interval, (interval) => {
  store('interval', interval);
  market.setInterval(interval);
}, 'interval');

document.getElementById('language').addEventListener('click', i18n.toggle);
document.getElementById('theme').addEventListener('click', theme.toggle);
theme.onChange(() => chart.themeChanged());
i18n.onChange(languageChanged);

function languageChanged() {
  document.getElementById('language').textContent = i18n.current() === 'tr' ? 'EN' : 'TR';
  for (const panel of panels) (panel.languageChanged ?? panel.changed).call(panel);
}

const KEYS = {
  '/': () => {
    if (narrow.matches) tabs.show('list');
    watchlist.focusSearch();
  },
  t: theme.toggle,
  l: i18n.toggle,
  d: () => details.toggle(),
  f: () => watchlist.starOne(),
  u: () => account.open(),
  s: (event) => watchlist.sortNext(event.shiftKey),
  b: () => nextDepth(),
  i: () => nextInterval(),
  '?': () => help.open(),
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('input, textarea, select, dialog')) return;
  const action = KEYS[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action(event);
});

addEventListener('online', () => feed.hurry());
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') feed.hurry();
});
addEventListener('hashchange', () => {
  const { hash } = location;
  if (linkOf(hash) !== null) {
    history.replaceState(null, '', market.selected === null ? location.pathname : `#${encodeURIComponent(market.selected)}`);
    account.follow(hash);
    return;
  }
  const symbol = first.known(symbolOfAddress());
  if (symbol !== '' && market.rows.size > 0) choose(symbol, false);
});

i18n.apply();
languageChanged();
listsChanged();
market.start(feed);
feed.connect();
account.start();
account.follow(linked);
