// The test vectors of docs/protocols/websocket.md, read from the document itself.

import { readFileSync } from 'node:fs';

const text = readFileSync(new URL('../../../docs/protocols/websocket.md', import.meta.url), 'utf8');

/** The JSON of the code block with that name. */
export function vectors(name) {
  const match = new RegExp('```json ' + name + '\\n([\\s\\S]*?)\\n```').exec(text);
  if (!match) throw new Error(`no block ${name} in the document`);
  return JSON.parse(match[1]);
}

/** A book frame with what the shortened vectors leave out. */
export function frame(fields) {
  return { channel: 'book', type: 'update', symbol: 'THYAO', epoch: 7, seq: 1, prev_seq: 0, ts_event: '0', ts_recv: '0', ts_out: '0', bids: [], asks: [], checksum: 0, ...fields };
}
