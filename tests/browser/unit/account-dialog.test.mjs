// What is shown once does not go by a slip: closing a dialog asks first while a secret stands in it.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { buttonOf, openDocument, seen } from './small-dom.mjs';

if (globalThis.navigator === undefined) globalThis.navigator = { language: 'en-US' };
else Object.defineProperty(globalThis, 'navigator', { value: { language: 'en-US' }, configurable: true });
openDocument();
const js = new URL('../../../api/web/js/', import.meta.url);
const { closable, leaving } = await import(`${js}account-dialog.js`);
const { secret } = await import(`${js}forms.js`);
const { securityTab } = await import(`${js}account-security.js`);

let dialog;
let cross;
let closes;

beforeEach(() => {
  [dialog, cross, closes] = [document.createElement('dialog'), document.createElement('button'), 0];
  dialog.close = () => closes++;
  closable(dialog, cross);
});

const ways = {
  Escape: () => dialog.fire('keydown', { key: 'Escape' }),
  'the browser’s cancel': () => dialog.fire('cancel'),
  'a press beside': () => dialog.fire('mousedown'),
  'the cross': () => cross.fire('click'),
};

for (const [name, way] of Object.entries(ways)) {
  test(`${name} asks before a secret goes`, async () => {
    dialog.append(secret('keys.once', 'bist_paper_1'));
    const event = await way();
    await way();
    assert.equal(closes, 0);
    if (name === 'Escape' || name.includes('cancel')) assert.ok(event.isPrevented, 'the browser would close it');
    assert.equal(dialog.querySelectorAll('.leave').length, 1, 'asked twice, shown once');
    await buttonOf(dialog, 'Stay here').fire('click');
    assert.equal(dialog.querySelectorAll('.leave').length, 0);
    assert.equal(dialog.querySelector('textarea').value, 'bist_paper_1');
    await way();
    await buttonOf(dialog, 'Leave it').fire('click');
    assert.equal(closes, 1);
  });
}

test('without a secret nothing is asked', async () => {
  assert.equal((await ways.Escape()).isPrevented, false);
  assert.equal((await ways['the browser’s cancel']()).isPrevented, false);
  await ways['a press beside']();
  await ways['the cross']();
  assert.equal(closes, 2);
  let done = 0;
  leaving(dialog, () => done++);
  assert.equal(done, 1);
});

test('recovery codes go with the button that says they are kept', async () => {
  const took = [];
  const client = { post: async (path) => (path === 'auth/totp/setup' ? { secret: 'ABC', otpauth_url: 'otpauth://totp/x' } : { enabled: true, recovery_codes: ['aa-bb', 'cc-dd'] }) };
  const { root } = securityTab({ client, me: { totp_enabled: false }, setMe: (...given) => took.push(given) });
  document.body.replaceChildren(root);
  const send = async (value) => {
    const form = root.querySelector('form');
    for (const input of form.querySelectorAll('input')) input.value = value;
    await form.fire('submit');
  };
  await send('a long password');
  await send('123456');
  assert.equal(root.querySelector('textarea').value, 'aa-bb\ncc-dd');
  assert.match(seen(root), /Each of these codes/);
  await buttonOf(root, 'I have kept them').fire('click');
  assert.deepEqual(took.at(-1), [{ totp_enabled: true }, 'security', 'account.totp.enabled']);
});
