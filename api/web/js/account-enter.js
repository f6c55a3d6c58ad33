// Ways into an account: sign in with a second step, register, a forgotten password, the links of mails, the first administrator.
// Each gives `{title, root, focus}`; the dialog shows it.

import { AccountError } from './account-errors.js';
import { element } from './frames.js';
import { button, field, form, notice, text } from './forms.js';
import { say } from './i18n.js';

const EMAIL_MAX = 254;
export const PASSWORD_MIN = 10;
const PASSWORD_MAX = 128;

const LINK = /^#(reset|verify|setup)=([A-Za-z0-9._~-]{1,512})$/;

/** `{view, token}` of an address that a mail or the server's first start gave, null of any other. */
export function linkOf(hash) {
  const match = LINK.exec(hash);
  return match === null ? null : { view: match[1], token: match[2] };
}

const emailField = (value = '') => field({ name: 'email', label: 'account.email', type: 'email', autocomplete: 'username', inputmode: 'email', maxlength: String(EMAIL_MAX), value, check: (given) => (/^\S+@\S+$/.test(given.trim()) ? null : 'error.invalid_email') });
const nameField = () => field({ name: 'full_name', label: 'account.full_name', autocomplete: 'name', maxlength: '100' });
const linkTo = (key, show, view, options) => button(key, () => show(view, options), { className: 'link' });

/** The field of a password that is in use. */
export const passwordField = (name = 'password', label = 'account.password') => field({ name, label, type: 'password', autocomplete: 'current-password', maxlength: String(PASSWORD_MAX) });

/** The field of a password that comes into use: its length is said before the server says it. */
export const newPasswordField = (name = 'password', label = 'account.password') => field({
  name, label, type: 'password', autocomplete: 'new-password', hint: 'account.password.hint', maxlength: String(PASSWORD_MAX),
  check: (given) => ([...given].length < PASSWORD_MIN ? 'error.weak_password' : null),
});

/** The field of the six digits that an authenticator shows. */
export const codeField = (name = 'totp', label = 'account.totp') => field({
  name, label, autocomplete: 'one-time-code', inputmode: 'numeric', maxlength: '7', check: (given) => (/^\d{3}\s?\d{3}$/.test(given.trim()) ? null : 'error.totp_form'),
});

/** The field of one of the codes that were shown once. */
export const recoveryField = () => field({ name: 'recovery_code', label: 'account.recovery', maxlength: '64' });

/** Shows either the code of the authenticator or a recovery code; gives the button that changes over. */
export function codeOrRecovery(code, recovery) {
  recovery.root.hidden = true;
  return button('account.use_recovery', (node) => {
    const isRecovery = recovery.root.hidden;
    recovery.root.hidden = !isRecovery;
    code.root.hidden = isRecovery;
    say(node, isRecovery ? 'account.use_totp' : 'account.use_recovery');
    (isRecovery ? recovery : code).input.focus();
  }, { className: 'link' });
}

export function signInView({ client, show, options }, { email = '', told = null } = {}) {
  const [address, password, code, recovery] = [emailField(email), passwordField(), codeField(), recoveryField()];
  const change = codeOrRecovery(code, recovery);
  const step = text('p', 'lead', 'account.totp.lead');
  const second = [code.root, recovery.root, change, step];
  for (const node of second) node.hidden = true;
  const askSecond = () => {
    for (const node of [code.root, change, step]) node.hidden = false;
    for (const node of [address.root, password.root]) node.hidden = true;
    code.input.focus();
  };
  const links = [linkTo('account.register', show, 'register'), linkTo('account.forgot', show, 'forgot')];
  const view = form({
    parts: [step, address, password, code, recovery, change], submit: 'account.sign_in', links,
    onSubmit: async ({ totp, ...given }) => {
      const credentials = { ...given, email: address.input.value.trim(), password: password.input.value };
      if (totp !== undefined) credentials.totp = totp.replace(/\s/g, '');
      try {
        await client.login(credentials);
      } catch (error) {
        if (error.code !== 'TOTP_REQUIRED') throw error;
        askSecond();
      }
    },
    fieldOf: { TOTP_INVALID: 'totp' },
  });
  if (told !== null) view.said.tell(told);
  options().then(({ setup_needed: isNeeded }) => {
    if (isNeeded && view.root.isConnected && told === null) view.said.tell('account.setup_needed');
  }, (error) => {
    // Other refusals may be over when the form is sent; this one is not.
    if (error.code === 'ACCOUNTS_OFF' && view.root.isConnected) show('off');
  });
  return { title: 'account.sign_in', root: view.root, focus: () => (email === '' ? address : password).input.focus() };
}

export function registerView({ client, show, options }) {
  const view = form({
    parts: [text('p', 'lead', 'account.register.lead'), nameField(), emailField(), newPasswordField()], submit: 'account.register', links: [linkTo('account.have_one', show, 'signIn')],
    onSubmit: async (given) => {
      const { verified } = await client.open('POST', 'auth/register', given, { isSlow: true });
      if (verified) return show('signIn', { email: given.email, told: 'account.registered' });
      return showSent({ show, options }, 'account.sent', given.email);
    },
  });
  return { title: 'account.register', root: view.root, focus: view.focus };
}

/** Says where the link is: in a mail, or in the log of a server that sends none. */
async function showSent({ show, options }, key, email) {
  const { mailer } = await options().catch(() => ({}));
  show('sent', { key: mailer === false ? `${key}.log` : key, isMailed: mailer !== false, values: { email } });
}

/** A link was made, and nothing is to be done here. */
export function sentView({ show }, { key, values = null, isMailed = true }) {
  const root = element('div', 'form');
  const said = notice();
  said.tell(key, values);
  const foot = element('div', 'foot');
  foot.append(linkTo('account.to_sign_in', show, 'signIn', { email: values?.email ?? '' }));
  root.append(said.root, foot);
  return { title: isMailed ? 'account.sent.title' : 'account.sent.log.title', root, focus: () => foot.firstChild.focus() };
}

/** This server keeps no accounts: there is nothing to fill in. */
export function offView() {
  const root = element('div', 'form');
  const said = notice();
  said.fail('error.accounts_off');
  root.append(said.root);
  return { title: 'account.title', root, focus: () => {} };
}

/** The account could not be read: why, and once more. */
export function troubleView({ retry }, { error }) {
  const root = element('div', 'form');
  const said = notice();
  said.refuse(error);
  const foot = element('div', 'foot');
  foot.append(button('account.retry', retry, { className: 'act main' }));
  root.append(said.root, foot);
  return { title: 'account.title', root, focus: () => foot.firstChild.focus() };
}

export function forgotView({ client, show, options }) {
  const lead = text('p', 'lead', 'account.forgot.lead');
  const view = form({
    parts: [lead, emailField()], submit: 'account.forgot.send', links: [linkTo('account.back', show, 'signIn')],
    onSubmit: async ({ email }) => {
      await client.open('POST', 'auth/password/forgot', { email });
      await showSent({ show, options }, 'account.forgot.sent', email);
    },
  });
  options().then(({ mailer }) => {
    if (mailer !== false || !view.root.isConnected) return;
    say(lead, 'account.forgot.lead.log');
    say(view.send, 'account.forgot.make');
    view.said.tell('account.forgot.no_mailer');
  }, () => {});
  return { title: 'account.forgot', root: view.root, focus: view.focus };
}

export function resetView({ client, show }, { token }) {
  const view = form({
    parts: [text('p', 'lead', 'account.reset.lead'), newPasswordField('new_password', 'account.password.new')], submit: 'account.reset', fieldOf: { WEAK_PASSWORD: 'new_password' },
    links: [linkTo('account.to_sign_in', show, 'signIn')],
    onSubmit: async ({ new_password: password }) => {
      await client.open('POST', 'auth/password/reset', { token, new_password: password }, { isSlow: true });
      client.forget();
      show('signIn', { told: 'account.reset.done' });
    },
  });
  return { title: 'account.reset', root: view.root, focus: view.focus };
}

/** The link of a verification mail, with the password of the registration: the owner of an address may not have registered it. */
export function verifyView({ client, show }, { token }) {
  const view = form({
    parts: [text('p', 'lead', 'account.verify.lead'), passwordField()], submit: 'account.verify', links: [linkTo('account.to_sign_in', show, 'signIn')],
    onSubmit: async ({ password }) => {
      await client.open('POST', 'auth/verify', { token, password }, { isSlow: true });
      show('signIn', { told: 'account.verify.done' });
    },
  });
  return { title: 'account.verify', root: view.root, focus: view.focus };
}

/** The link of the first start: a form, or, where the first account is there already, the way to sign in. */
export function setupView({ client, show, options }, { token }) {
  const root = element('div', 'form');
  const said = notice();
  said.tell('form.loading');
  root.append(said.root);
  const begin = () => {
    const view = setupForm({ client, show }, token);
    root.replaceChildren(view.root);
    view.focus();
  };
  const end = () => {
    said.fail('error.setup_done');
    const foot = element('div', 'foot');
    foot.append(button('account.sign_in', () => show('signIn'), { className: 'act main' }));
    root.append(foot);
    foot.firstChild.focus();
  };
  options().then(({ setup_needed: isNeeded }) => {
    if (root.isConnected) (isNeeded === false ? end : begin)();
  }, (error) => {
    // The form says other refusals when it is sent.
    if (root.isConnected) (error.code === 'ACCOUNTS_OFF' ? () => show('off') : begin)();
  });
  return { title: 'account.setup', root, focus: () => {} };
}

function setupForm({ client, show }, token) {
  return form({
    parts: [text('p', 'lead', 'account.setup.lead'), nameField(), emailField(), newPasswordField()], submit: 'account.setup',
    onSubmit: async (given) => {
      const { verified } = await client.open('POST', 'auth/setup', { token, ...given }, { isSlow: true });
      if (verified !== true) throw new AccountError('INTERNAL');
      show('signIn', { email: given.email, told: 'account.setup.done' });
    },
  });
}
