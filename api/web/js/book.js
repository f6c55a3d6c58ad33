// The client's copy of one order book, by docs/protocols/websocket.md: the apply rule, levels, cut and checksum.
// Pure: no socket, clock or document; prices and quantities stay decimal text.

import { compareDecimals, isZero } from './decimal.js';

/** Levels a side that the checksum covers, at most. */
const CHECKSUM_LEVELS_MAX = 10;

/**
 * The apply rule of one channel and symbol.
 *
 * `have` is the place in the chain, null before the first snapshot; `waiting` is true between a hole and its snapshot.
 */
export class Chain {
  have = null;
  waiting = true;

  /** `replace`, `apply`, `drop`, `wait` or `resync`; the caller of `resync` asks for a snapshot, once. */
  accept(frame) {
    if (frame.type === 'snapshot') {
      this.have = { epoch: frame.epoch, seq: frame.seq };
      this.waiting = false;
      return 'replace';
    }
    if (this.waiting || this.have === null || frame.epoch !== this.have.epoch) return 'wait';
    if (frame.seq <= this.have.seq) return 'drop';
    if (frame.prev_seq !== this.have.seq) {
      this.waiting = true;
      return 'resync';
    }
    this.have.seq = frame.seq;
    return 'apply';
  }

  /** Nothing counts until the next snapshot: the connection is new, or the content proved wrong. */
  forget() {
    this.waiting = true;
  }
}

/** A book of at most `depth` levels a side, each `[price, quantity, orders]`, best first. */
export class Book extends Chain {
  bids = [];
  asks = [];

  constructor(depth) {
    super();
    this.depth = depth;
  }

  accept(frame) {
    const decision = super.accept(frame);
    if (decision === 'replace') {
      this.bids = frame.bids.slice(0, this.depth);
      this.asks = frame.asks.slice(0, this.depth);
    } else if (decision === 'apply') {
      change(this.bids, frame.bids, -1, this.depth);
      change(this.asks, frame.asks, 1, this.depth);
    }
    return decision;
  }

  /** The CRC-32 of the best levels, as the sender computed it over the same book. */
  checksum() {
    const levels = Math.min(this.depth, CHECKSUM_LEVELS_MAX);
    return crc32(checksumText(this.asks, levels) + checksumText(this.bids, levels));
  }
}

/** Applies changed levels to one side and cuts it: `order` is 1 for asks (low first), -1 for bids (high first). */
function change(side, levels, order, depth) {
  for (const level of levels) {
    let low = 0;
    let high = side.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareDecimals(side[middle][0], level[0]) * order < 0) low = middle + 1;
      else high = middle;
    }
    const found = low < side.length && compareDecimals(side[low][0], level[0]) === 0;
    if (isZero(level[1])) {
      if (found) side.splice(low, 1);
    } else if (found) {
      side[low] = level;
    } else {
      side.splice(low, 0, level);
    }
  }
  // Only now: a level may pass through the depth while the frame is applied.
  if (side.length > depth) side.length = depth;
}

/** The text of one side that takes part in the checksum: price and quantity, dot and leading zeros removed. */
export function checksumText(levels, count) {
  let text = '';
  for (let i = 0; i < levels.length && i < count; i++) text += bare(levels[i][0]) + bare(levels[i][1]);
  return text;
}

function bare(decimal) {
  const digits = decimal.replace('.', '');
  let start = 0;
  while (start < digits.length && digits.charCodeAt(start) === 48) start++;
  return start === 0 ? digits : digits.slice(start);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 of zlib over ASCII text, unsigned. */
export function crc32(text) {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i++) crc = CRC_TABLE[(crc ^ text.charCodeAt(i)) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
