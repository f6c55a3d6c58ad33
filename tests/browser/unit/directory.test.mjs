// What REST says of the right to see the market counts only for the token that it was asked with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Directory } from '../../../api/web/js/directory.js';

test('an answer to a token of before says nothing of now', async () => {
  const said = [];
  let token = 'old';
  let answer;
  globalThis.fetch = () => new Promise((done) => (answer = (status) => done({ ok: status === 200, status })));
  const directory = new Directory({ token: () => token, onAccess: (isAllowed) => said.push(isAllowed) });
  const late = directory.probe();
  token = null;
  answer(200);
  await late;
  assert.deepEqual(said, [], 'the market of the person who left is not opened again');
  const now = directory.probe();
  answer(401);
  await now;
  assert.deepEqual([said, directory.isDenied], [[false], true]);
});
