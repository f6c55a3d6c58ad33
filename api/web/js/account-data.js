// The tab with a person's own data: taking it along, deleting the account.

import { codeField, passwordField } from './account-enter.js';
import { element } from './frames.js';
import { button, form, notice, text } from './forms.js';

/** Hands a file to the browser's downloads. */
function save(name, content) {
  const address = URL.createObjectURL(new Blob([content], { type: 'application/json' }));
  const link = element('a', '', '', { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function exportPart({ client }) {
  const root = element('section', 'part');
  const said = notice();
  const take = button('data.export', async () => {
    said.clear();
    try {
      save('bist-account.json', JSON.stringify(await client.get('users/me/export'), null, 2));
      said.tell('data.exported');
    } catch (error) {
      said.refuse(error);
    }
  });
  root.append(text('h3', '', 'data.export.title'), text('p', 'lead', 'data.export.lead'), said.root, take);
  return root;
}

function deletePart({ client, me, onDeleted }) {
  const root = element('section', 'part');
  const begin = button('data.delete', () => {
    const parts = [text('p', 'lead bad', 'data.delete.lead'), passwordField()];
    if (me.totp_enabled) parts.push(codeField());
    const view = form({
      parts, submit: 'data.delete.yes', isDangerous: true, links: [button('form.cancel', rest)], fieldOf: { LOGIN_FAILED: 'password' },
      onSubmit: async ({ password, totp }) => {
        await client.delete('users/me', totp === undefined ? { password } : { password, totp: totp.replace(/\s/g, '') }, { isSlow: true });
        onDeleted();
      },
    });
    place.replaceChildren(view.root);
    view.focus();
  });
  const place = element('div');
  const rest = () => {
    place.replaceChildren(begin);
    begin.focus();
  };
  place.append(begin);
  root.append(text('h3', '', 'data.delete.title'), place);
  return root;
}

export function dataTab(context) {
  const root = element('div', 'tab');
  root.append(exportPart(context), deletePart(context));
  return { root };
}
