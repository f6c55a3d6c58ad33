// The ways into an account, as people see them: a server without accounts, without mails, with its first account.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { buttonOf, openDocument, seen, settled } from './small-dom.mjs';

if (globalThis.navigator === undefined) globalThis.navigator = { language: 'en-US' };
else Object.defineProperty(globalThis, 'navigator', { value: { language: 'en-US' }, configurable: true });
openDocument();
const js = new URL('../../../api/web/js/', import.meta.url);
const views = await import(`${js}account-enter.js`);
const { errorOf } = await import(`${js}account-errors.js`);

const OPTIONS = { development: false, mailer: true, setup_needed: false, password_length_min: 10 };
const VIEWS = { signIn: views.signInView, off: views.offView, sent: views.sentView, forgot: views.forgotView, setup: views.setupView, register: views.registerView };
let calls;
let options;
let view;
const context = {
  client: { open: async (method, path, body) => (calls.push({ path, body }), {}) },
  options: () => options(),
  show: (name, more = {}) => show(name, more),
};
function show(name, more = {}) {
  const { title, root } = VIEWS[name](context, more);
  view = { name, title, root };
  document.body.replaceChildren(root);
}
const inputs = () => view.root.querySelectorAll('input').length;

beforeEach(() => {
  calls = [];
  options = async () => OPTIONS;
});

test('a server without accounts says so and offers no form', async () => {
  options = async () => {
    throw errorOf(503, { error: { code: 'ACCOUNTS_OFF' } }, null);
  };
  show('signIn');
  await settled();
  assert.equal(view.name, 'off');
  assert.match(seen(view.root), /^This server keeps no accounts\./);
  assert.equal(inputs(), 0);
});

test('a server whose accounts do not answer now keeps the form', async () => {
  options = async () => {
    throw errorOf(503, { error: { code: 'STORE_UNAVAILABLE' } }, '1');
  };
  show('signIn');
  await settled();
  assert.equal(view.name, 'signIn');
  assert.ok(inputs() > 0);
});

const EMAIL = 'ayse@example.com';
const submit = async () => {
  const { root } = view;
  for (const input of root.querySelectorAll('input')) input.value = EMAIL;
  await root.fire('submit');
  await settled();
};

test('a forgotten password: a server without mails promises none', async () => {
  options = async () => ({ ...OPTIONS, mailer: false });
  show('forgot');
  await settled();
  assert.doesNotMatch(seen(view.root), /A link for a new password/);
  assert.match(seen(view.root), /server sends no mail/);
  assert.ok(buttonOf(view.root, 'Make the link'));
  await submit();
  assert.deepEqual(calls.map(({ path }) => path), ['auth/password/forgot']);
  assert.equal(view.title, 'account.sent.log.title');
  assert.match(seen(view.root), /link stands in the server’s log/);
  assert.doesNotMatch(seen(view.root), /on its way/);
});

test('a forgotten password: a server with mails says that one is on its way', async () => {
  show('forgot');
  await submit();
  assert.equal(view.title, 'account.sent.title');
  assert.match(seen(view.root), new RegExp(`${EMAIL}.*on its way`));
});

test('a set-up link that was used shows the way to sign in, and no form', async () => {
  show('setup', { token: 'used' });
  await settled();
  assert.match(seen(view.root), /This server has its first account already/);
  assert.equal(inputs(), 0);
  await buttonOf(view.root, 'Sign in').fire('click');
  assert.equal(view.name, 'signIn');
});

test('a set-up link of a new server shows the form, also where the server does not say', async () => {
  const refused = async () => {
    throw errorOf(0, null, null);
  };
  for (const answer of [async () => ({ ...OPTIONS, setup_needed: true }), refused]) {
    options = answer;
    show('setup', { token: 'first' });
    await settled();
    assert.equal(inputs(), 3);
  }
});
