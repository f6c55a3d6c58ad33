// The tab with name, telephone and T.C. identity number, and the rights that follow from them. Masked numbers stay as the server masks them.

import { element } from './frames.js';
import { field, form, momentOf, text } from './forms.js';
import * as i18n from './i18n.js';
import { isTckn, phoneOf } from './tckn.js';

/** Facts of an account that its person reads and does not change. */
function facts(me) {
  const list = element('dl', 'pairs');
  const row = (key, value) => list.append(text('dt', '', key), value);
  const plain = (value) => element('dd', '', value);
  row('account.email', plain(me.email));
  row('account.roles', plain(me.roles.map((role) => (i18n.has(`role.${role}`) ? i18n.t(`role.${role}`) : role)).join(', ')));
  row('account.kyc', text('dd', '', `kyc.${[0, 1, 2].includes(me.kyc_level) ? me.kyc_level : 0}`));
  row('account.live', text('dd', '', me.live_allowed ? 'account.live.yes' : 'account.live.no'));
  row('account.since', plain(momentOf(me.created_at, i18n.current())));
  return list;
}

/** Only changed fields go to the server; an empty number leaves the number that is kept there. */
export function changesOf(me, { full_name: name, phone, tckn }) {
  const changes = {};
  if (name !== me.full_name) changes.full_name = name;
  if (phone !== '') changes.phone = phoneOf(phone);
  if (tckn !== '') changes.tckn = tckn;
  return changes;
}

export function profileTab({ client, me, setMe }) {
  const root = element('div', 'tab');
  const name = field({ name: 'full_name', label: 'account.full_name', autocomplete: 'name', maxlength: '100', value: me.full_name });
  const phone = field({
    name: 'phone', label: 'account.phone', type: 'tel', autocomplete: 'tel', maxlength: '24', isRequired: false, placeholder: me.phone ?? '+90 5xx xxx xx xx',
    hint: me.phone === null ? 'account.phone.hint' : 'account.kept', check: (given) => (phoneOf(given) === null ? 'error.invalid_phone' : null),
  });
  const tckn = field({
    name: 'tckn', label: 'account.tckn', inputmode: 'numeric', maxlength: '11', isRequired: false, placeholder: me.tckn ?? '',
    hint: me.tckn === null ? 'account.tckn.hint' : 'account.kept', check: (given) => (isTckn(given.trim()) ? null : 'error.invalid_tckn'),
  });
  const view = form({
    parts: [name, phone, tckn], submit: 'form.save', fieldOf: { INVALID_PHONE: 'phone' },
    onSubmit: async (given, said) => {
      const changes = changesOf(me, given);
      if (Object.keys(changes).length > 0) setMe(await client.patch('users/me', changes), 'profile', 'form.saved');
      else said.tell('form.unchanged');
    },
  });
  root.append(facts(me), view.root);
  return { root, said: view.said };
}
