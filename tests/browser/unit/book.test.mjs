// The page's book against the vectors of the document, and against a plain second implementation.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { Book, checksumText, crc32 } from '../../../api/web/js/book.js';
import { frame, vectors } from './document.mjs';

for (const vector of vectors('checksum-vectors')) {
  test(`checksum: ${vector.name}`, () => {
    assert.equal(checksumText(vector.asks, 10) + checksumText(vector.bids, 10), vector.text);
    const book = new Book(50);
    book.accept(frame({ type: 'snapshot', bids: vector.bids, asks: vector.asks }));
    assert.equal(book.checksum(), vector.checksum);
  });
}

test('apply rule: the document’s frames, one after the other', () => {
  const book = new Book(2);
  for (const vector of vectors('apply-vectors')) {
    assert.equal(book.accept(frame(vector.frame)), vector.decision, vector.why);
    assert.deepEqual([book.bids, book.asks], [vector.bids, vector.asks], vector.why);
    if (vector.decision === 'apply' || vector.decision === 'replace') assert.equal(book.checksum(), vector.frame.checksum, vector.why);
  }
});

test('after a hole nothing is applied until the snapshot, not even what would fit', () => {
  const book = new Book(10);
  book.accept(frame({ type: 'snapshot', seq: 10 }));
  assert.equal(book.accept(frame({ seq: 14, prev_seq: 12, bids: [['1.00', '1', 1]] })), 'resync');
  assert.equal(book.accept(frame({ seq: 15, prev_seq: 10, bids: [['1.00', '1', 1]] })), 'wait');
  assert.equal(book.accept(frame({ seq: 16, prev_seq: 14 })), 'wait', 'asked for once only');
  assert.equal(book.accept(frame({ type: 'snapshot', seq: 16 })), 'replace');
  assert.equal(book.accept(frame({ seq: 17, prev_seq: 16, bids: [['1.00', '1', 1]] })), 'apply');
});

test('a level passes through the depth while a frame is applied: cut only at the end', () => {
  const book = new Book(1);
  book.accept(frame({ type: 'snapshot', seq: 1, bids: [['10.00', '5', 1]] }));
  book.accept(frame({ seq: 2, prev_seq: 1, bids: [['9.99', '7', 1], ['10.00', '0', 0]] }));
  assert.deepEqual(book.bids, [['9.99', '7', 1]]);
});

test('prices of unequal length and sign keep their order', () => {
  const book = new Book(10);
  const asks = ['100.00', '9.95', '-0.05', '10.00', '-1.50', '0.00'].map((price) => [price, '1', 1]);
  book.accept(frame({ type: 'snapshot', seq: 1 }));
  book.accept(frame({ seq: 2, prev_seq: 1, asks, bids: asks }));
  const order = ['-1.50', '-0.05', '0.00', '9.95', '10.00', '100.00'];
  assert.deepEqual(book.asks.map(([price]) => price), order);
  assert.deepEqual(book.bids.map(([price]) => price), order.toReversed());
});

test('crc32 is zlib’s', { skip: zlibCrc32 === undefined && 'this node has no zlib.crc32' }, () => {
  for (const text of ['', '0', '123456789', '3127510003130025031250420031225'.repeat(9)]) assert.equal(crc32(text), zlibCrc32(text));
});

test('random frames: the same book as an obviously right one', () => {
  let seed = 20_261_123;
  const random = (below) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const text = (ticks) => `${Math.floor(ticks / 100)}.${String(ticks % 100).padStart(2, '0')}`;
  const depth = 5;
  const book = new Book(depth);
  const plain = [new Map(), new Map()];
  book.accept(frame({ type: 'snapshot', seq: 1 }));
  for (let seq = 2; seq < 5_000; seq++) {
    const changes = [[], []];
    for (let n = random(4); n >= 0; n--) {
      const side = random(2);
      const ticks = 9_990 + random(30);
      const quantity = random(3) === 0 ? 0 : random(1_000) + 1;
      if (changes[side].some(([price]) => price === text(ticks))) continue;
      changes[side].push([text(ticks), String(quantity), 1]);
      if (quantity === 0) plain[side].delete(ticks);
      else plain[side].set(ticks, [text(ticks), String(quantity), 1]);
    }
    assert.equal(book.accept(frame({ seq, prev_seq: seq - 1, bids: changes[0], asks: changes[1] })), 'apply');
    const expected = plain.map((map, side) => {
      const kept = [...map].sort(([a], [b]) => (side === 0 ? b - a : a - b)).slice(0, depth);
      // What is cut is forgotten: it comes back only when it is sent again.
      plain[side] = new Map(kept);
      return kept.map(([, level]) => level);
    });
    assert.deepEqual([book.bids, book.asks], expected, `frame ${seq}`);
  }
});
