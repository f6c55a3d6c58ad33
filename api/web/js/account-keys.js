// The tab with keys for programs: making one, its text shown once, ending one.

import { element } from './frames.js';
import { button, field, form, guarded, momentOf, notice, secret, text } from './forms.js';
import * as i18n from './i18n.js';

export const SCOPES = ['market:read', 'orders:read', 'portfolio:read', 'trading:read', 'trading:place', 'trading:modify', 'trading:cancel'];
const SCOPES_FIRST = new Set(['market:read']);
const ADDRESSES_MAX = 20;
const DAY_MS = 86_400_000;

/** Addresses of a text field, apart by commas, spaces or lines; null where one can be none. */
export function addressesOf(text) {
  const parts = text.split(/[\s,;]+/).filter((part) => part !== '');
  const isAddress = (part) => /^(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(?:\/\d{1,3})?$/.test(part);
  return parts.length <= ADDRESSES_MAX && parts.every(isAddress) ? parts : null;
}

/** The end of an Istanbul day given as `2027-01-31`, as the server takes it. */
export function endOfDay(day) {
  return new Date(Date.parse(`${day}T00:00:00+03:00`) + DAY_MS - 1_000).toISOString().replace('.000Z', 'Z');
}

function scopeBoxes() {
  const root = element('fieldset', 'boxes');
  root.append(text('legend', '', 'keys.scopes'));
  const boxes = SCOPES.map((scope) => {
    const box = element('input', '', '', { type: 'checkbox', value: scope });
    box.checked = SCOPES_FIRST.has(scope);
    const label = element('label', 'box');
    label.append(box, element('code', '', scope), text('span', 'quiet', `scope.${scope.replace(':', '.')}`));
    root.append(label);
    return box;
  });
  return { root, chosen: () => boxes.filter((box) => box.checked).map((box) => box.value), focus: () => boxes[0].focus() };
}

function environmentBoxes(isLiveAllowed) {
  const root = element('fieldset', 'boxes row');
  root.append(text('legend', '', 'keys.environment'));
  const boxes = ['paper', 'live'].map((environment) => {
    const box = element('input', '', '', { type: 'radio', name: 'environment', value: environment });
    box.checked = environment === 'paper';
    box.disabled = environment === 'live' && !isLiveAllowed;
    const label = element('label', 'box');
    label.append(box, text('span', '', `keys.${environment}`));
    root.append(label);
    return box;
  });
  if (!isLiveAllowed) root.append(text('p', 'hint', 'keys.live.hint'));
  return { root, chosen: () => boxes.find((box) => box.checked).value };
}

/** The form of a new key; `onMade(key)` gets the server's answer with the key's text. */
function newKey({ client, me }, onMade, onCancel) {
  const [scopes, environment] = [scopeBoxes(), environmentBoxes(me.live_allowed)];
  const today = new Date(Date.now() + DAY_MS / 8).toISOString().slice(0, 10);
  const view = form({
    parts: [
      field({ name: 'name', label: 'keys.name', maxlength: '50', hint: 'keys.name.hint' }), environment, scopes,
      field({ name: 'addresses', label: 'keys.addresses', isRequired: false, hint: 'keys.addresses.hint', check: (given) => (addressesOf(given) === null ? 'keys.addresses.wrong' : null) }),
      field({ name: 'expires', label: 'keys.expires', type: 'date', min: today, isRequired: false, hint: 'keys.expires.hint' }),
    ],
    submit: 'keys.make', fieldOf: { INVALID_NAME: 'name', INVALID_ADDRESS: 'addresses', INVALID_EXPIRY: 'expires' }, links: [button('form.cancel', onCancel)],
    onSubmit: async ({ name, addresses, expires }, said) => {
      if (scopes.chosen().length === 0) {
        said.fail('keys.scopes.none');
        scopes.focus();
        return;
      }
      const wish = { name, environment: environment.chosen(), scopes: scopes.chosen() };
      if (addresses !== '') wish.addresses = addressesOf(addresses);
      if (expires !== '') wish.expires_at = endOfDay(expires);
      onMade(await client.post('users/me/keys', wish));
    },
  });
  return view;
}

function item(key, onRevoke) {
  const language = i18n.current();
  const root = element('li', '', '', { 'data-key': key.prefix });
  const about = element('div', 'about');
  about.append(element('strong', '', key.name), text('span', `badge ${key.environment}`, `keys.${key.environment === 'live' ? 'live' : 'paper'}`), element('code', '', `${key.prefix}_…`));
  about.append(element('span', 'quiet', key.scopes.join(', ')));
  if (key.addresses?.length > 0) about.append(element('span', 'quiet', key.addresses.join(', ')));
  const used = key.last_used_at === null ? i18n.t('keys.never') : momentOf(key.last_used_at, language);
  const until = key.expires_at === null ? i18n.t('keys.no_end') : momentOf(key.expires_at, language);
  about.append(text('span', 'quiet', 'keys.line', { made: momentOf(key.created_at, language), used, until }));
  root.append(about, guarded('keys.revoke', 'keys.revoke.ask', onRevoke, { values: { name: key.name } }));
  return root;
}

export function keysTab(context) {
  const { client } = context;
  const root = element('div', 'tab');
  const [place, list, said] = [element('div'), element('ul', 'items'), notice()];
  const refresh = async () => {
    try {
      const { items } = await client.get('users/me/keys');
      list.replaceChildren(...(items.length === 0 ? [text('li', 'quiet', 'keys.none')] : items.map((key) => item(key, () => revoke(key)))));
    } catch (error) {
      said.refuse(error);
    }
  };
  const revoke = async (key) => {
    try {
      await client.delete(`users/me/keys/${encodeURIComponent(key.id)}`);
      said.tell('keys.revoked', { name: key.name });
    } catch (error) {
      said.refuse(error);
    }
    await refresh();
    root.parentElement?.focus();
  };
  const rest = () => place.replaceChildren(button('keys.new', open, { className: 'act main' }));
  const open = () => {
    said.clear();
    const view = newKey(context, made, () => {
      rest();
      place.firstChild.focus();
    });
    place.replaceChildren(view.root);
    view.focus();
  };
  const made = ({ key }) => {
    const box = secret('keys.once', key);
    const close = button('keys.kept', () => {
      rest();
      place.firstChild.focus();
    }, { className: 'act main' });
    box.querySelector('.foot').append(close);
    place.replaceChildren(box);
    box.querySelector('textarea').focus();
    refresh();
  };
  rest();
  list.append(text('li', 'quiet', 'form.loading'));
  root.append(text('p', 'lead', 'keys.lead'), said.root, place, list);
  refresh();
  return { root };
}
