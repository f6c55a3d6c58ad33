// The account in a real browser: registering, signing in, a second step, keys, sessions, watchlists, language and theme, links of
// mails, and a market that only people who are signed in see. Pictures of all of it for eyes.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, test } from 'node:test';
import { launch, look, open, PHONE, problemsOf, until } from './browser.mjs';
import { totp } from './mock-accounts.mjs';
import { start } from './mock-server.mjs';

const PICTURES = process.env.BIST_SCREENSHOTS ?? fileURLToPath(new URL('../../target/screenshots/', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** A refusal is an answer that the browser's console names, too. */
const REFUSED = /status of 4\d\d|HTTP 4\d\d/;
const AYSE = { email: 'ayse@example.com', password: 'correct horse battery', full_name: 'Ayşe Yılmaz' };
const DIALOG = '#account-dialog[open]';

let browser;
let server;
let page;

before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  browser = await launch();
});
after(() => browser?.close());
afterEach(async () => {
  await page?.context().close();
  await server?.close();
  page = server = undefined;
});

async function visit({ hash = '#THYAO', server: options = {}, ...more } = {}) {
  server ??= await start({ rate: 60, ...options });
  page = await open(browser, `${server.url}/${hash}`, more);
  return page;
}

const picture = (name) => page.screenshot({ path: `${PICTURES}/account-${name}.png` });
const view = () => page.$eval('#account-dialog', (dialog) => (dialog.open ? dialog.dataset.view : null));
const press = (name) => page.click(`${DIALOG} button:text-is("${name}")`);
const fill = async (fields) => {
  for (const [name, value] of Object.entries(fields)) await page.fill(`dialog[open] input[name="${name}"]`, value);
};
const send = () => page.click('dialog[open] button[type="submit"]');
const shown = (name) => until(`the view ${name}`, view, (now) => now === name);
const tab = async (name) => {
  await page.click(`#account-tab-${name}`);
  await shown(`account-${name}`);
};
const said = (level) => page.textContent(`dialog[open] .notice[data-level="${level}"]:not([hidden])`);

async function axe() {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 2).map(({ html, failureSummary }) => `${html.slice(0, 110)} (${failureSummary.split('\n')[1]?.trim()})`).join(' | ')}`);
  });
  assert.deepEqual(found, []);
}

/** What of the open dialog runs past its edge or the window's. */
async function edges() {
  assert.deepEqual(await page.evaluate(() => {
    const dialog = document.querySelector('dialog[open]');
    const out = [];
    const box = dialog.getBoundingClientRect();
    if (box.left < 0 || box.right > innerWidth || box.top < 0 || box.bottom > innerHeight) out.push(`the dialog itself: ${JSON.stringify(box)}`);
    const body = dialog.querySelector('.sheet-body');
    if (body.scrollWidth > body.clientWidth) out.push(`it scrolls sideways: ${body.scrollWidth} > ${body.clientWidth}`);
    for (const node of dialog.querySelectorAll('*')) {
      const { width, right } = node.getBoundingClientRect();
      if (width > 0 && right > box.right + 0.5) out.push(node.outerHTML.slice(0, 90));
    }
    return out;
  }), []);
}

async function register(person = AYSE) {
  await page.click('#account');
  await shown('signIn');
  await press('Create an account');
  await shown('register');
  await fill(person);
  await send();
  await shown('signIn');
}

async function signIn({ email, password } = AYSE) {
  if ((await view()) === null) await page.click('#account');
  await fill({ email, password });
  await send();
  await until('signed in', view, (now) => now === null);
}

test('register, sign in, make a key that is shown once, revoke it', async () => {
  await visit({ expected: REFUSED });
  await page.click('#account');
  await picture('sign-in');
  await axe();
  await press('Create an account');
  await fill({ ...AYSE, email: 'nobody', password: 'short' });
  await send();
  assert.equal(await page.textContent(`${DIALOG} .field:has([name="email"]) .wrong`), 'This is no e-mail address.');
  assert.match(await page.textContent(`${DIALOG} .field:has([name="password"]) .wrong`), /Choose another password/);
  await picture('register-wrong');
  await axe();
  await fill({ email: AYSE.email, password: `${AYSE.email} and more` });
  await send();
  assert.match(await until('the refusal', () => page.textContent(`${DIALOG} .field:has([name="password"]) .wrong`), (text) => text !== ''), /Choose another password/);
  await fill(AYSE);
  await send();
  await shown('signIn');
  assert.equal(await said('good'), 'Your account is ready. Sign in.');
  assert.equal(await page.inputValue(`${DIALOG} input[name="email"]`), AYSE.email);
  await page.keyboard.type('not the password');
  await send();
  await page.waitForSelector(`${DIALOG} .notice[data-level="bad"]`);
  assert.equal(await said('bad'), 'E-mail or password is wrong.');
  await fill({ password: AYSE.password });
  await send();
  await until('signed in', view, (now) => now === null);
  assert.equal(await page.textContent('#account-name'), AYSE.full_name);
  await picture('signed-in');

  await page.click('#account');
  await shown('account-profile');
  await picture('profile');
  await axe();
  await tab('keys');
  await press('New key');
  await fill({ name: 'bot at home', addresses: '203.0.113.0/24, ::1' });
  await page.check(`${DIALOG} input[value="trading:place"]`);
  assert.ok(await page.isDisabled(`${DIALOG} input[value="live"]`), 'live keys need a permission');
  await picture('key-new');
  await axe();
  await send();
  await page.waitForSelector(`${DIALOG} .secret textarea`);
  const key = await page.inputValue(`${DIALOG} .secret textarea`);
  assert.match(key, /^bist_paper_[A-Z2-7]{12}_[A-Za-z0-9_-]{43}$/);
  assert.deepEqual(server.accounts.requests.at(-2).body, { name: 'bot at home', environment: 'paper', scopes: ['market:read', 'trading:place'], addresses: ['203.0.113.0/24', '::1'] });
  await page.waitForSelector(`${DIALOG} .items code`);
  await picture('key-once');
  await axe();
  await page.mouse.click(8, 500);
  assert.equal(await view(), 'account-keys', 'a press beside the dialog does not lose the key');
  await press('Stay here');
  for (let time = 0; time < 3; time++) await page.keyboard.press('Escape');
  assert.equal(await view(), 'account-keys', 'Escape does not lose the key');
  assert.equal(await page.inputValue(`${DIALOG} .secret textarea`), key);
  await axe();
  await press('I have kept it');
  assert.ok(!(await page.content()).includes(key), 'it is nowhere in the document any more');
  await page.keyboard.press('Escape');
  await page.click('#account');
  await tab('keys');
  await page.waitForSelector(`${DIALOG} .items code`);
  assert.ok(!(await page.textContent(DIALOG)).includes(key.slice(24)), 'the list shows the prefix only');
  assert.ok(server.accounts.admits(key));
  await press('Revoke');
  await picture('key-revoke');
  await axe();
  await press('No');
  assert.ok(server.accounts.admits(key), 'asked once more');
  await press('Revoke');
  await press('Yes');
  await page.waitForSelector(`${DIALOG} .items .quiet:text-is("There is no key yet.")`);
  assert.ok(!server.accounts.admits(key));
  assert.deepEqual(await problemsOf(page), []);
});

test('no token is kept where it outlives the tab, and a reload goes on with the session', async () => {
  await visit();
  await register();
  await signIn();
  const stored = await page.evaluate(() => JSON.stringify(localStorage));
  assert.ok(!/bist_rt_/.test(stored), stored);
  const access = [...server.accounts.accesses.keys()].at(-1);
  assert.ok(!(await page.evaluate(() => JSON.stringify(sessionStorage))).includes(access), 'the access token is in memory only');
  const refresh = await page.evaluate(() => sessionStorage.getItem('bist.refresh'));
  await page.reload();
  await until('the name', () => page.textContent('#account-name'), (name) => name === AYSE.full_name);
  assert.notEqual(await page.evaluate(() => sessionStorage.getItem('bist.refresh')), refresh, 'rotated');
  assert.equal(server.accounts.sessions.size, 1);
  assert.deepEqual(await problemsOf(page), []);
});

test('a duplicated tab and its original go on with one session', async () => {
  await visit();
  await register();
  await signIn();
  const stored = await page.evaluate(() => sessionStorage.getItem('bist.refresh'));
  const twin = await page.context().newPage();
  await twin.addInitScript((token) => sessionStorage.getItem('bist.refresh') ?? sessionStorage.setItem('bist.refresh', token), stored);
  await twin.goto(`${server.url}/#THYAO`);
  await until('the twin is signed in', () => twin.textContent('#account-name'), (name) => name === AYSE.full_name);
  await until('the original has what the twin was given', () => page.evaluate(() => sessionStorage.getItem('bist.refresh')), (token) => token !== stored);
  for (const tab of [page, twin]) await Promise.all([tab.reload(), until('reloaded', () => tab.textContent('#account-name').catch(() => ''), (name) => name === AYSE.full_name)]);
  assert.equal(server.accounts.sessions.size, 1, 'nobody used a token twice');
  assert.deepEqual(server.accounts.requests.filter(({ path }) => path === 'auth/login').length, 1);
  await twin.click('#account');
  await twin.click('#account-dialog .out');
  await until('both are signed out', () => page.textContent('#account-name'), (name) => name === 'Sign in');
});

test('a second step: set up, asked for, replaced by a recovery code, switched off', async () => {
  await visit({ expected: REFUSED });
  await register();
  await signIn();
  await page.click('#account');
  await tab('security');
  await picture('security');
  await axe();
  await page.fill(`${DIALOG} .part:first-child input[name="password"]`, AYSE.password);
  await press('Set up the second step');
  await page.waitForSelector(`${DIALOG} .secret textarea`);
  const secret = await page.inputValue(`${DIALOG} .secret textarea`);
  assert.match(secret, /^[A-Z2-7]{32}$/);
  assert.match(await page.getAttribute(`${DIALOG} a.link`, 'href'), /^otpauth:\/\/totp\//);
  await picture('totp-secret');
  await axe();
  await page.fill(`${DIALOG} input[name="code"]`, '000000');
  await press('Switch on');
  await until('the refusal', () => page.textContent(`${DIALOG} .field:has([name="code"]) .wrong`), (text) => /code is wrong/.test(text));
  await page.fill(`${DIALOG} input[name="code"]`, totp(secret));
  await press('Switch on');
  await page.waitForSelector(`${DIALOG} .lead.good`);
  const codes = (await page.inputValue(`${DIALOG} .secret textarea`)).split('\n');
  assert.equal(codes.length, 10);
  await picture('totp-codes');
  await axe();
  await page.keyboard.press('Escape');
  await press('Stay here');
  await press('I have kept them');
  assert.equal(await page.$(`${DIALOG} .secret`), null);
  await press('Sign out');
  await shown('signIn');
  assert.equal(await said('good'), 'You are signed out.');

  await fill({ email: AYSE.email, password: AYSE.password });
  await send();
  await page.waitForSelector(`${DIALOG} input[name="totp"]:visible`);
  assert.ok(!(await page.isVisible(`${DIALOG} input[name="password"]`)));
  await picture('totp-asked');
  await axe();
  await press('Use a recovery code instead');
  await fill({ recovery_code: 'not-one' });
  await send();
  await page.waitForSelector(`${DIALOG} .notice[data-level="bad"]:not([hidden])`);
  await fill({ recovery_code: codes[0] });
  await send();
  await until('signed in', view, (now) => now === null);
  await page.click('#account');
  await tab('security');
  await picture('totp-on');
  await page.fill(`${DIALOG} .part:first-child input[name="password"]`, AYSE.password);
  await page.fill(`${DIALOG} input[name="code"]`, totp(secret));
  await press('Switch off');
  await page.waitForSelector(`${DIALOG} .notice[data-level="good"]:not([hidden])`);
  assert.equal(await said('good'), 'The second step is off.');
  assert.deepEqual(await problemsOf(page), []);
});

test('language and theme go with the account', async () => {
  await visit();
  await register();
  await signIn();
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('l');
  await page.keyboard.press('t');
  const user = server.accounts.users.get(AYSE.email);
  await until('kept', () => user.preferences, ({ language, theme }) => language === 'tr' && theme === 'dark');
  await page.context().close();
  await visit();
  assert.equal((await look(page)).language, 'en', 'another browser begins with its own');
  await signIn();
  const now = await until('Turkish and dark', () => look(page), ({ language, shade }) => language === 'tr' && shade === 'dark');
  assert.equal(now.language, 'tr');
  await page.click('#account');
  await shown('account-profile');
  await until('the tabs', () => page.textContent('#account-tab-keys'), (text) => text === 'API anahtarları');
  await picture('profile-turkish-dark');
  await axe();
  assert.deepEqual(await problemsOf(page), []);
});

test('profile, sessions, password, the data, the end of the account', async () => {
  await visit({ expected: REFUSED });
  await register();
  await signIn();
  const elsewhere = await (await fetch(`${server.url}/api/v1/auth/login`, { method: 'POST', body: JSON.stringify({ email: AYSE.email, password: AYSE.password }) })).json();
  await page.click('#account');
  await fill({ tckn: '12345678901', phone: '0532 123 45 67' });
  await send();
  assert.match(await page.textContent(`${DIALOG} .field:has([name="tckn"]) .wrong`), /check digits/);
  await fill({ tckn: '10000000146' });
  await send();
  await page.waitForSelector(`${DIALOG} .notice[data-level="good"]:not([hidden])`);
  assert.equal(server.accounts.users.get(AYSE.email).phone, '+905321234567');
  assert.match(await page.textContent(`${DIALOG} .pairs`), /telephone and identity number given/);
  assert.ok(!(await page.content()).includes('10000000146'), 'the number is masked');
  await picture('profile-kept');

  await tab('sessions');
  await until('two sessions', () => page.$$eval('#account-dialog .items li', (list) => list.length), (count) => count === 2);
  await picture('sessions');
  await axe();
  await press('End');
  await press('Yes');
  await until('one session', () => page.$$eval('#account-dialog .items li', (list) => list.length), (count) => count === 1);
  assert.ok(!server.accounts.admits(elsewhere.data.access_token));

  await tab('security');
  await fill({ current_password: AYSE.password, new_password: 'another good password' });
  await press('Change password');
  await page.waitForSelector(`${DIALOG} .notice[data-level="good"]:not([hidden])`);
  await tab('data');
  const [download] = await Promise.all([page.waitForEvent('download'), press('Download')]);
  assert.equal(download.suggestedFilename(), 'bist-account.json');
  await press('Delete the account…');
  await picture('delete');
  await axe();
  await fill({ password: 'another good password' });
  await press('Delete for ever');
  await shown('signIn');
  await until('said', () => said('good'), (text) => text === 'The account is deleted.');
  assert.equal(server.accounts.users.size, 0);
  assert.equal(await page.evaluate(() => sessionStorage.getItem('bist.refresh')), null);
  assert.deepEqual(await problemsOf(page), []);
});

test('watchlists: a star, a filter, and what the browser kept moves into the account', async () => {
  await visit();
  await until('a list', () => look(page), (l) => l.listed === 20);
  const star = (symbol) => page.click(`.watch-row[data-symbol="${symbol}"] .star`);
  const rows = () => page.$$eval('.watch-row:not([hidden])', (list) => list.map((row) => row.dataset.symbol).sort());
  await star('GARAN');
  await page.waitForSelector('.watch-row[data-symbol="GARAN"] .star[aria-pressed="true"]');
  assert.equal((await look(page)).symbol, 'THYAO', 'a star selects nothing');
  await page.focus('#watchlist-grid');
  await page.keyboard.press('f');
  await page.waitForSelector('.watch-row[data-symbol="THYAO"] .star[aria-pressed="true"]');
  await page.selectOption('#list-choice', { label: 'Favourites (2)' });
  await until('two rows', rows, (list) => list.join() === 'GARAN,THYAO');
  await picture('watchlist');
  await page.reload();
  await until('two rows after a reload', rows, (list) => list.join() === 'GARAN,THYAO');

  await register();
  await fill({ email: AYSE.email, password: AYSE.password });
  await send();
  await page.waitForSelector(`${DIALOG} .offer:not([hidden])`);
  await picture('lists-offer');
  await axe();
  await press('Move them');
  await page.waitForSelector(`${DIALOG} .offer`, { state: 'hidden' });
  assert.deepEqual(server.accounts.users.get(AYSE.email).lists.map(({ name, symbols }) => [name, symbols]), [['Favourites', ['GARAN', 'THYAO']]]);
  assert.equal(await page.evaluate(() => localStorage.getItem('bist.lists')), '[]');
  await page.keyboard.press('Escape');
  await until('still filtered', rows, (list) => list.join() === 'GARAN,THYAO');
  await star('GARAN');
  await until('one row', rows, (list) => list.join() === 'THYAO');
  assert.deepEqual(server.accounts.users.get(AYSE.email).lists[0].symbols, ['THYAO']);

  await page.click('#lists-open');
  await fill({ name: 'Banks' });
  await send();
  await until('an empty list', () => page.isVisible('#watchlist-empty'), (is) => is);
  await picture('lists');
  await axe();
  await page.click('#lists-dialog li:has-text("Banks") button:text-is("Remove")');
  await page.click('#lists-dialog button:text-is("Yes")');
  await until('gone', () => server.accounts.users.get(AYSE.email).lists.length, (count) => count === 1);
  await page.keyboard.press('Escape');
  await page.click('#account');
  await page.click(`${DIALOG} .out`);
  await shown('signIn');
  await page.keyboard.press('Escape');
  await until('all symbols', rows, (list) => list.length > 10);
  assert.deepEqual(await problemsOf(page), []);
});

test('links of mails: confirm, new password, first administrator; their tokens leave the address', async () => {
  await visit({ server: { accounts: { mailer: true, setupToken: 'first-start' } }, expected: REFUSED });
  await page.click('#account');
  await press('Create an account');
  await fill(AYSE);
  await send();
  await shown('sent');
  assert.match(await said('good'), /^A mail with a link went to ayse@example.com/);
  await picture('sent');
  await axe();
  await press('To sign in');
  await fill({ password: AYSE.password });
  await send();
  await page.waitForSelector(`${DIALOG} .notice[data-level="bad"]:not([hidden])`);
  assert.match(await said('bad'), /^Confirm your e-mail address first/);
  const { mails } = server.accounts;
  await page.goto(`${server.url}/#verify=${mails[0].token}`);
  await shown('verify');
  await fill({ password: AYSE.password });
  await send();
  await until('confirmed', () => said('good'), (text) => text === 'The address is confirmed. You can sign in.');
  assert.ok(!page.url().includes('verify'), page.url());
  await press('Forgot the password?');
  await fill({ email: AYSE.email });
  await send();
  await shown('sent');
  const { token } = mails.find(({ kind }) => kind === 'reset');
  await page.keyboard.press('Escape');
  await page.evaluate((hash) => (location.hash = hash), `reset=${token}`);
  await shown('reset');
  assert.ok(!page.url().includes(token), page.url());
  await fill({ new_password: 'a password of today' });
  await send();
  await shown('signIn');
  await signIn({ email: AYSE.email, password: 'a password of today' });

  await page.context().close();
  await visit({ hash: '#setup=first-start' });
  await shown('setup');
  await page.waitForSelector(`${DIALOG} input[name="full_name"]`);
  await picture('setup');
  await axe();
  await fill({ full_name: 'Root', email: 'root@example.com', password: 'the first password' });
  await send();
  await shown('signIn');
  await signIn({ email: 'root@example.com', password: 'the first password' });
  assert.deepEqual(server.accounts.users.get('root@example.com').roles, ['admin']);
  await until('live', () => look(page), (l) => l.truth === 'live');
  assert.deepEqual(await problemsOf(page), []);
});

test('a market that asks for a sign-in says so, and opens with it', async () => {
  await visit({ server: { authRequired: true }, expected: REFUSED });
  await until('the strip', () => page.textContent('#truth'), (text) => /^SIGN IN TO SEE THE MARKET/.test(text));
  assert.match(await page.title(), /SIGN IN/);
  await picture('market-closed');
  await axe();
  await register();
  await signIn();
  const now = await until('a live market', () => look(page), (l) => l.truth === 'live' && l.listed === 20 && l.filled > 0);
  assert.equal(now.mismatched, 0);
  const auth = server.requests.filter(({ method }) => method === 'auth');
  assert.ok(auth.length > 0 && server.accounts.admits(auth.at(-1).params.token));
  // The next connection begins with the token.
  const before = server.requests.length;
  server.fault('drop');
  await until('a new connection', () => server.requests.length, (count) => count > before + 2);
  assert.equal(server.requests[before].method, 'auth');
  await page.reload();
  await until('live after a reload', () => look(page), (l) => l.truth === 'live' && l.filled > 0);
  // Nothing of the market stays on the screen when its person leaves.
  await page.click('#account');
  await press('Sign out');
  await until('a cleared market', () => look(page), (l) => l.truth === 'dead' && l.listed === 0 && l.filled === 0);
  for (const id of ['book-why', 'tape-empty', 'chart-why']) assert.equal(await page.textContent(`#${id}`), 'Sign in to see the market.', id);
  assert.equal(await page.textContent('#book-state'), '');
  assert.deepEqual((await problemsOf(page)).filter((text) => !/WebSocket|ERR_ABORTED/.test(text)), []);
});

test('a first sign-in to a closed market shows a symbol without a reload', async () => {
  await visit({ hash: '', server: { authRequired: true }, expected: REFUSED });
  await until('the strip', () => page.textContent('#truth'), (text) => /^SIGN IN TO SEE THE MARKET/.test(text));
  assert.equal(await page.textContent('#book-why'), 'Sign in to see the market.');
  // Longer than the list is waited for: the wait must not be over before there is a list.
  await page.waitForTimeout(2_000);
  await register();
  await signIn();
  await until('a symbol', () => look(page), (l) => l.truth === 'live' && l.filled > 0 && l.symbol !== '–');
});

test('a session that the server ends is over in the page, and says so', async () => {
  await visit({ server: { accounts: { expiresS: 1 } }, expected: REFUSED });
  await register();
  await signIn();
  server.accounts.sessions.clear();
  await page.click('#account');
  await until('signed out', () => page.textContent('#account-name'), (name) => name === 'Sign in');
  await shown('signIn');
});

test('a busy server is asked again, and a long wait is told', async () => {
  await visit({ expected: /status of (4\d\d|503)|HTTP (4\d\d|503)/ });
  await register();
  server.accounts.refusals.push({ path: 'auth/login', status: 503, code: 'BUSY', retryAfter: 1 });
  await signIn();
  await page.click('#account');
  await page.click(`${DIALOG} .out`);
  await shown('signIn');
  server.accounts.refusals.push({ path: 'auth/login', status: 429, code: 'TOO_MANY_ATTEMPTS', retryAfter: 40 });
  await fill({ email: AYSE.email, password: AYSE.password });
  await send();
  await page.waitForSelector(`${DIALOG} .notice[data-level="bad"]:not([hidden])`);
  assert.equal(await said('bad'), 'Too many attempts. Try again in 40 s.');
});

test('the keyboard alone: open, tabs by arrows, Escape; the focus stays in and comes back', async () => {
  await visit();
  await register();
  await signIn();
  await page.focus('#watchlist-grid');
  await page.keyboard.press('u');
  await shown('account-profile');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'account-tab-profile');
  for (const name of ['security', 'sessions', 'keys', 'data', 'profile']) {
    await page.keyboard.press('ArrowRight');
    await shown(`account-${name}`);
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-selected')), 'true');
  }
  await page.keyboard.press('End');
  await shown('account-data');
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.activeElement === document.body || document.querySelector('#account-dialog').contains(document.activeElement)));
  }
  await page.keyboard.press('Escape');
  assert.equal(await view(), null);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'watchlist-grid');
  assert.equal(await page.$eval('#account-body', (body) => body.childElementCount), 0, 'nothing of it stays in the document');
});

test('every view at every width, in both languages and themes', async () => {
  server = await start({ rate: 30, accounts: {} });
  await fetch(`${server.url}/api/v1/auth/register`, { method: 'POST', body: JSON.stringify(AYSE) });
  const user = server.accounts.users.get(AYSE.email);
  user.keys.push({ id: '1', name: 'a bot with a name that is as long as names of bots may be', environment: 'live', prefix: 'bist_live_ABCDEFGHIJKL', scopes: ['market:read', 'orders:read', 'trading:place'], addresses: ['203.0.113.0/24', '2001:db8::/32'], created_at: new Date().toISOString(), expires_at: null, last_used_at: new Date().toISOString(), key: 'x' });
  for (const [width, height, locale, colorScheme] of [[320, 640, 'tr-TR', 'dark'], [390, 844, 'en-US', 'light'], [860, 700, 'tr-TR', 'light'], [1440, 900, 'tr-TR', 'dark']]) {
    user.preferences = { language: null, theme: null, data: {}, version: user.preferences.version };
    page = await open(browser, `${server.url}/#THYAO`, { viewport: { width, height }, locale, colorScheme });
    await page.click('#account');
    await shown('signIn');
    await edges();
    await picture(`${width}-sign-in`);
    await page.click(`${DIALOG} .foot .link`);
    await shown('register');
    await edges();
    await picture(`${width}-register`);
    await page.keyboard.press('Escape');
    await signIn();
    await page.click('#account');
    for (const name of ['profile', 'security', 'sessions', 'keys', 'data']) {
      await tab(name);
      await page.waitForTimeout(150);
      await edges();
      await picture(`${width}-${name}`);
    }
    await tab('keys');
    await page.click(`${DIALOG} .tab .act.main`);
    await edges();
    await picture(`${width}-key-new`);
    await axe();
    await page.keyboard.press('Escape');
    await page.click('#lists-open');
    await edges();
    await picture(`${width}-lists`);
    assert.deepEqual(await problemsOf(page), []);
    await page.context().close();
  }
  page = undefined;
});

test('on a phone the button is a picture with a name, and the dialog fits', async () => {
  await visit({ viewport: PHONE, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  assert.equal(await page.getAttribute('#account', 'aria-label'), 'Sign in');
  await page.tap('#account');
  await edges();
  await axe();
  await picture('phone');
});
