// The connection against a socket that is a plain object: holes, heartbeats, refusals, pacing, coming back.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Book } from '../../../api/web/js/book.js';
import { Feed } from '../../../api/web/js/ws.js';
import { frame } from './document.mjs';

class FakeSocket {
  static OPEN = 1;
  static all = [];
  readyState = 0;
  sent = [];

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    FakeSocket.all.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  receive(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  close(code = 1006, reason = '') {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  requests(method) {
    return this.sent.filter((request) => request.method === method);
  }

  /** Answers the last subscribe request of that channel. */
  accept(channel, symbol, subId) {
    const { req_id } = this.sent.findLast((request) => request.method === 'subscribe' && request.params.channel === channel);
    this.receive({ method: 'subscribe', req_id, success: true, result: { channel, symbol, sub_id: subId, epoch: 7, seq: 0 }, warnings: [] });
  }
}

let nowMs;
let seen;
let feed;
const socket = () => FakeSocket.all.at(-1);
const pass = (ms) => {
  for (let left = ms; left > 0; left -= 5) {
    nowMs += 5;
    mock.timers.tick(5);
  }
};

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  nowMs = 1_000;
  mock.method(performance, 'now', () => nowMs);
  mock.method(Math, 'random', () => 1);
  globalThis.WebSocket = FakeSocket;
  FakeSocket.all = [];
  seen = [];
  feed = new Feed('ws://x/ws/v2', {});
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

const follow = (symbol, more = {}) => feed.subscribe({ channel: 'book', symbol, depth: 10 }, { chain: new Book(10), onFrame: (f, decision) => seen.push([f.symbol, f.seq, decision]), ...more });
const connect = () => {
  feed.connect();
  socket().open();
};

test('a subprotocol is asked for, and a heartbeat each second', () => {
  connect();
  assert.deepEqual(socket().protocols, ['bist.v2.json']);
  assert.deepEqual(socket().sent[0].params, { channel: 'heartbeat', interval_s: 1 });
});

test('a hole resynchronises its symbol only, and only once', () => {
  follow('THYAO');
  follow('GARAN');
  connect();
  for (const symbol of ['THYAO', 'GARAN']) socket().receive(frame({ type: 'snapshot', symbol, seq: 10 }));
  socket().receive(frame({ symbol: 'THYAO', seq: 14, prev_seq: 12 }));
  socket().receive(frame({ symbol: 'THYAO', seq: 15, prev_seq: 14 }));
  socket().receive(frame({ symbol: 'GARAN', seq: 16, prev_seq: 10 }));
  assert.deepEqual(socket().requests('get_snapshot').map(({ params }) => params), [{ channel: 'book', symbol: ['THYAO'] }]);
  socket().receive(frame({ type: 'snapshot', symbol: 'THYAO', seq: 17 }));
  socket().receive(frame({ symbol: 'THYAO', seq: 18, prev_seq: 17 }));
  assert.deepEqual(seen.slice(2), [['GARAN', 16, 'apply'], ['THYAO', 17, 'replace'], ['THYAO', 18, 'apply']]);
  assert.equal(feed.counters.resyncs, 1);
});

test('a snapshot that does not come is asked for again', () => {
  follow('THYAO');
  connect();
  socket().receive(frame({ type: 'snapshot', seq: 10 }));
  socket().receive(frame({ seq: 14, prev_seq: 12 }));
  for (let i = 0; i < 6; i++) {
    pass(1_000);
    socket().receive({ channel: 'heartbeat', type: 'heartbeat', epoch: 7, seq: 20, subscriptions: {} });
  }
  assert.equal(socket().requests('get_snapshot').length, 2);
});

test('a heartbeat that names a later frame than the last one shows a loss at the end of a chain', () => {
  follow('THYAO');
  connect();
  socket().accept('book', 'THYAO', 12);
  socket().receive(frame({ type: 'snapshot', seq: 10 }));
  const heartbeat = (seq) => socket().receive({ channel: 'heartbeat', type: 'heartbeat', epoch: 7, seq: 99, subscriptions: { 12: seq } });
  heartbeat(10);
  heartbeat(null);
  assert.equal(socket().requests('get_snapshot').length, 0);
  heartbeat(13);
  assert.equal(socket().requests('get_snapshot').length, 1);
});

test('a gap that the server names waits for its snapshot without asking', () => {
  let gaps = 0;
  follow('THYAO', { onGap: () => gaps++ });
  connect();
  socket().accept('book', 'THYAO', 12);
  socket().receive(frame({ type: 'snapshot', seq: 10 }));
  socket().receive({ channel: 'system', type: 'gap', sub_id: 12, channel_of: 'book', symbol: 'THYAO', epoch: 7, from_seq: 11, to_seq: 20, reason: 'slow_reader' });
  socket().receive(frame({ type: 'snapshot', seq: 21 }));
  assert.equal(gaps, 1);
  assert.equal(socket().requests('get_snapshot').length, 0);
  assert.deepEqual(seen, [['THYAO', 10, 'replace'], ['THYAO', 21, 'replace']]);
});

test('requests are paced below the server’s 10 a second', () => {
  connect();
  for (let i = 0; i < 40; i++) follow(`S${i}`);
  const burst = socket().sent.length;
  assert.ok(burst <= 10, `${burst} at once`);
  pass(1_000);
  const second = socket().sent.length - burst;
  assert.ok(second >= 7 && second <= 10, `${second} in a second`);
  pass(5_000);
  assert.equal(socket().requests('subscribe').length, 41);
});

test('a subscription that ends before it was sent is never sent', () => {
  connect();
  const many = Array.from({ length: 30 }, (_, i) => follow(`S${i}`));
  many[29].close();
  pass(6_000);
  assert.ok(!socket().sent.some(({ params }) => params.symbol?.[0] === 'S29'));
});

test('frames of an ended subscription are ignored', () => {
  connect();
  follow('THYAO').close();
  socket().receive(frame({ type: 'snapshot', seq: 10 }));
  assert.deepEqual(seen, []);
  assert.equal(socket().requests('unsubscribe').length, 1);
});

test('a wildcard keeps one chain per symbol', () => {
  feed.subscribe({ channel: 'statistics', symbol: '*' }, { onFrame: (f, decision) => seen.push([f.symbol, decision]) });
  connect();
  const statistics = (fields) => socket().receive({ channel: 'statistics', epoch: 7, ...fields });
  statistics({ type: 'snapshot', symbol: 'A', seq: 5, prev_seq: 0 });
  statistics({ type: 'snapshot', symbol: 'B', seq: 6, prev_seq: 0 });
  statistics({ type: 'update', symbol: 'A', seq: 9, prev_seq: 5 });
  statistics({ type: 'update', symbol: 'B', seq: 12, prev_seq: 11 });
  assert.deepEqual(seen, [['A', 'replace'], ['B', 'replace'], ['A', 'apply']]);
  assert.deepEqual(socket().requests('get_snapshot').map(({ params }) => params.symbol), [['B']]);
});

test('after a lost connection everything is subscribed again and no old book is built upon', () => {
  follow('THYAO');
  connect();
  socket().receive(frame({ type: 'snapshot', seq: 10 }));
  socket().close();
  assert.equal(feed.state, 'waiting');
  pass(400);
  assert.equal(FakeSocket.all.length, 2);
  socket().open();
  assert.deepEqual(socket().requests('subscribe').map(({ params }) => params.channel), ['heartbeat', 'book']);
  socket().receive(frame({ seq: 11, prev_seq: 10 }));
  assert.deepEqual(seen, [['THYAO', 10, 'replace']]);
  socket().receive(frame({ type: 'snapshot', seq: 12 }));
  assert.equal(seen.length, 2);
});

test('the wait grows, stays bounded, and a shutdown notice sets it', () => {
  connect();
  const waits = [];
  for (let i = 0; i < 9; i++) {
    socket().close();
    waits.push(feed.retryInMs);
    pass(feed.retryInMs + 5);
    socket().open();
  }
  assert.deepEqual(waits, [300, 600, 1_200, 2_400, 4_800, 9_600, 15_000, 15_000, 15_000]);
  socket().receive({ channel: 'system', type: 'server_shutdown', reconnect_after_ms: 1_730 });
  socket().close(1012);
  assert.equal(feed.retryInMs, 1_730);
});

test('close codes that ask for patience get it', () => {
  connect();
  socket().close(4409);
  assert.ok(feed.retryInMs >= 30_000);
});

test('a socket that looks open and says nothing is given up', () => {
  connect();
  pass(8_000);
  assert.notEqual(feed.state, 'live');
  pass(1_000);
  assert.equal(FakeSocket.all.length, 2);
});

test('a server that never answers the handshake is given up', () => {
  feed.connect();
  pass(11_000);
  assert.equal(FakeSocket.all.length, 2);
});

test('what is not a message of ours is counted and harms nothing', () => {
  connect();
  socket().onmessage({ data: '{' });
  socket().receive({ hello: 1 });
  assert.equal(feed.counters.malformed, 2);
  assert.equal(feed.state, 'live');
});

const refuse = (request, symbol, code, retryable) => socket().receive({ method: request.method, req_id: request.req_id, success: false, error: { code, message: code, retryable }, symbol });
const beat = (seconds) => {
  for (let i = 0; i < seconds; i++) {
    pass(1_000);
    socket().receive({ channel: 'heartbeat', type: 'heartbeat', epoch: 7, seq: 1, subscriptions: {} });
  }
};

test('a subscription that is refused as retryable is asked for again, later each time', () => {
  follow('THYAO');
  connect();
  const asked = () => socket().requests('subscribe').filter(({ params }) => params.channel === 'book');
  const times = [];
  for (let i = 0; i < 5; i++) {
    refuse(asked().at(-1), 'THYAO', 'SYMBOL_NOT_FOUND', true);
    const before = asked().length;
    let waited = 0;
    while (asked().length === before && waited < 20) {
      beat(1);
      waited++;
    }
    times.push(waited);
  }
  assert.deepEqual(times, [1, 2, 4, 8, 8]);
  assert.equal(socket().requests('get_snapshot').length, 0);
});

test('a subscription that is refused for good is not asked for again', () => {
  const errors = [];
  follow('NONE', { onRefused: (error, symbol) => errors.push([error.code, symbol]) });
  connect();
  refuse(socket().requests('subscribe').at(-1), 'NONE', 'SYMBOL_NOT_FOUND', false);
  beat(30);
  assert.equal(socket().requests('subscribe').length, 2);
  assert.deepEqual(errors, [['SYMBOL_NOT_FOUND', 'NONE']]);
});

test('a snapshot that is refused as retryable is asked for again', () => {
  follow('THYAO');
  connect();
  socket().receive(frame({ type: 'snapshot', seq: 10 }));
  socket().receive(frame({ seq: 14, prev_seq: 12 }));
  refuse(socket().requests('get_snapshot')[0], 'THYAO', 'SNAPSHOT_UNAVAILABLE', true);
  beat(2);
  assert.equal(socket().requests('get_snapshot').length, 2);
  assert.equal(socket().requests('subscribe').length, 2, 'the subscription itself stands');
});

test('a feed that speaks again is asked at once for what was refused', () => {
  follow('THYAO');
  connect();
  for (let i = 0; i < 4; i++) {
    refuse(socket().requests('subscribe').at(-1), 'THYAO', 'SYMBOL_NOT_FOUND', true);
    if (i < 3) beat(8);
  }
  const before = socket().requests('subscribe').length;
  socket().receive({ channel: 'system', type: 'feed', state: 'start_of_messages' });
  beat(1);
  assert.equal(socket().requests('subscribe').length, before + 1);
});

test('a group follows a set that changes: one request for all that come, one for all that go', () => {
  connect();
  const group = feed.group({ channel: 'statistics', conflate_ms: 250 }, { onFrame: (f, decision) => seen.push([f.symbol, decision]) });
  group.show(['A', 'B', 'C']);
  group.show(['B', 'C', 'D', 'E']);
  group.show(['B', 'C', 'D', 'E']);
  const asked = (method) => socket().requests(method).filter(({ params }) => params.channel === 'statistics').map(({ params }) => params.symbol);
  assert.deepEqual(asked('subscribe'), [['A', 'B', 'C'], ['D', 'E']]);
  assert.deepEqual(asked('unsubscribe'), [['A']]);
  socket().receive({ channel: 'statistics', type: 'snapshot', epoch: 7, symbol: 'A', seq: 5, prev_seq: 0 });
  socket().receive({ channel: 'statistics', type: 'snapshot', epoch: 7, symbol: 'D', seq: 5, prev_seq: 0 });
  assert.deepEqual(seen, [['D', 'replace']], 'what went is not shown');
});

test('a group is subscribed again as it is now after a lost connection', () => {
  connect();
  const group = feed.group({ channel: 'status' }, { onFrame: () => {} });
  group.show(['A', 'B']);
  group.show(['B', 'C']);
  socket().close();
  pass(400);
  socket().open();
  assert.deepEqual(socket().requests('subscribe').filter(({ params }) => params.channel === 'status').map(({ params }) => params.symbol), [['B', 'C']]);
});

test('large groups go in requests that the server takes', () => {
  connect();
  feed.group({ channel: 'status' }, { onFrame: () => {} }).show(Array.from({ length: 1_200 }, (_, i) => `S${i}`));
  const sizes = socket().requests('subscribe').filter(({ params }) => params.channel === 'status').map(({ params }) => params.symbol.length);
  assert.deepEqual(sizes, [500, 500, 200]);
});

test('the limit of subscriptions is the server’s word, and a careful guess without it', () => {
  connect();
  assert.equal(feed.subscriptionsMax, 1_024);
  socket().receive({ channel: 'system', type: 'hello', epoch: 7, subscriptions_max: 16_384 });
  assert.equal(feed.subscriptionsMax, 16_384);
  socket().close();
  pass(400);
  socket().open();
  assert.equal(feed.subscriptionsMax, 1_024);
});

// -- who is asking

const withToken = (token) => {
  feed = new Feed('ws://x/ws/v2', { token: () => token.now });
  follow('THYAO');
  connect();
};
const methods = () => socket().sent.map(({ method, params }) => params.channel ?? method);
const answerAuth = (more = { success: true, result: {} }) => socket().receive({ method: 'auth', req_id: socket().requests('auth').at(-1).req_id, ...more });

test('a connection begins with the token, and subscribes when it was answered', () => {
  withToken({ now: 'secret' });
  assert.deepEqual(socket().sent.map(({ method, params }) => [method, params]), [['auth', { token: 'secret' }]]);
  answerAuth();
  assert.deepEqual(methods(), ['auth', 'heartbeat', 'book']);
});

test('without a token nothing is asked about one', () => {
  withToken({ now: null });
  assert.deepEqual(methods(), ['heartbeat', 'book']);
});

test('a server that does not answer to a token, or refuses it, still gives what everybody gets', () => {
  withToken({ now: 'secret' });
  pass(2_900);
  assert.deepEqual(methods(), ['auth']);
  pass(200);
  assert.deepEqual(methods(), ['auth', 'heartbeat', 'book']);
  withToken({ now: 'secret' });
  answerAuth({ success: false, error: { code: 'UNAUTHENTICATED', retryable: false } });
  assert.deepEqual(methods(), ['auth', 'heartbeat', 'book']);
  const mine = socket();
  pass(5_000);
  assert.equal(mine.requests('auth').length, 1, 'not again with the same token');
});

test('a token that could not be checked is shown again, later each time', () => {
  withToken({ now: 'secret' });
  answerAuth({ success: false, error: { code: 'BUSY', retryable: true } });
  pass(1_100);
  assert.equal(socket().requests('auth').length, 2);
  answerAuth({ success: false, error: { code: 'BUSY', retryable: true } });
  pass(1_100);
  assert.equal(socket().requests('auth').length, 2);
  pass(1_000);
  assert.equal(socket().requests('auth').length, 3);
});

test('what a stranger was refused is asked for again when the token is taken', () => {
  const token = { now: null };
  withToken(token);
  for (const request of socket().requests('subscribe')) socket().receive({ method: 'subscribe', req_id: request.req_id, success: false, error: { code: 'AUTH_REQUIRED', retryable: false } });
  pass(5_000);
  assert.deepEqual(methods(), ['heartbeat', 'book'], 'nothing is repeated without a token');
  token.now = 'secret';
  feed.authenticate();
  answerAuth();
  assert.deepEqual(methods(), ['heartbeat', 'book', 'auth', 'heartbeat', 'book']);
});

test('signing out begins the connection anew at once, with all subscriptions', () => {
  const token = { now: 'secret' };
  withToken(token);
  answerAuth();
  const old = socket();
  token.now = null;
  feed.restart();
  assert.equal(old.readyState, 3);
  socket().open();
  assert.deepEqual(methods(), ['heartbeat', 'book']);
});
