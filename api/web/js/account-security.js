// The tab with the password and the second step. Secrets are shown once and kept nowhere.

import { codeField, codeOrRecovery, newPasswordField, passwordField, recoveryField } from './account-enter.js';
import { element } from './frames.js';
import { button, form, secret, text } from './forms.js';

function section(title, ...nodes) {
  const root = element('section', 'part');
  root.append(text('h3', '', title), ...nodes);
  return root;
}

function passwordForm({ client }) {
  const fresh = newPasswordField('new_password', 'account.password.new');
  const view = form({
    parts: [passwordField('current_password', 'account.password.current'), fresh], submit: 'account.password.change',
    fieldOf: { WEAK_PASSWORD: 'new_password' },
    onSubmit: async (given, said) => {
      await client.post('auth/password/change', given, { isSlow: true });
      view.root.reset();
      said.tell('account.password.changed');
    },
  });
  return view.root;
}

/** The way to a second step: password, the secret for the authenticator, the first code, the recovery codes. */
function totpSetup({ client, me, setMe }) {
  const root = element('div', 'stack');
  const askCode = ({ secret: key, otpauth_url: url }) => {
    const link = text('a', 'link', 'account.totp.open');
    // Only this scheme: the address comes from outside the page.
    if (url.startsWith('otpauth://')) link.href = url;
    else link.hidden = true;
    const view = form({
      parts: [text('p', 'lead', 'account.totp.scan'), secret('account.totp.secret', key), secret('account.totp.url', url), link, codeField('code')], submit: 'account.totp.enable',
      fieldOf: { TOTP_INVALID: 'code' },
      onSubmit: async ({ code }) => {
        const { recovery_codes: codes } = await client.post('auth/totp/enable', { code: code.replace(/\s/g, '') });
        setMe({ ...me, totp_enabled: true });
        showCodes(codes);
      },
    });
    root.replaceChildren(view.root);
    view.focus();
  };
  const showCodes = (codes) => {
    const box = secret('account.recovery.codes', codes.join('\n'));
    const kept = button('account.recovery.kept', () => setMe({ ...me, totp_enabled: true }, 'security', 'account.totp.enabled'), { className: 'act main' });
    box.querySelector('.foot').append(kept);
    root.replaceChildren(text('p', 'lead good', 'account.totp.enabled'), text('p', 'lead', 'account.recovery.lead'), box);
    box.querySelector('textarea').focus();
  };
  const view = form({
    parts: [text('p', 'lead', 'account.totp.why'), passwordField()], submit: 'account.totp.setup', fieldOf: { LOGIN_FAILED: 'password' },
    onSubmit: async ({ password }) => askCode(await client.post('auth/totp/setup', { password }, { isSlow: true })),
  });
  root.append(view.root);
  return root;
}

function totpOff({ client, me, setMe }) {
  const [code, recovery] = [codeField('code'), recoveryField()];
  const view = form({
    parts: [text('p', 'lead good', 'account.totp.is_on'), passwordField(), code, recovery, codeOrRecovery(code, recovery)], submit: 'account.totp.disable', isDangerous: true,
    fieldOf: { TOTP_INVALID: 'code', LOGIN_FAILED: 'password' },
    onSubmit: async (given) => {
      if (given.code !== undefined) given.code = given.code.replace(/\s/g, '');
      await client.post('auth/totp/disable', given, { isSlow: true });
      setMe({ ...me, totp_enabled: false }, 'security', 'account.totp.disabled');
    },
  });
  return view.root;
}

export function securityTab(context) {
  const root = element('div', 'tab');
  root.append(
    section('account.totp.title', context.me.totp_enabled ? totpOff(context) : totpSetup(context)),
    section('account.password.title', passwordForm(context)),
  );
  return { root };
}
