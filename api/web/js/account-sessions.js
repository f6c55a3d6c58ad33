// The tab with the sessions of the account: which there are, ending one, ending all.

import { element } from './frames.js';
import { guarded, momentOf, notice, text } from './forms.js';
import * as i18n from './i18n.js';

/** A `User-Agent` in short: the browser's name and system where they can be told, else its first 60 characters. */
export function agentOf(text) {
  if (typeof text !== 'string' || text === '') return '–';
  const browser = [['Edg/', 'Edge'], ['OPR/', 'Opera'], ['Firefox/', 'Firefox'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari']].find(([mark]) => text.includes(mark))?.[1];
  const system = [['Android', 'Android'], ['iPhone', 'iOS'], ['iPad', 'iPadOS'], ['Windows', 'Windows'], ['Mac OS', 'macOS'], ['Linux', 'Linux']].find(([mark]) => text.includes(mark))?.[1];
  if (browser === undefined) return text.slice(0, 60);
  return system === undefined ? browser : `${browser}, ${system}`;
}

function item(session, context, onEnd) {
  const root = element('li');
  const about = element('div', 'about');
  about.append(element('strong', '', agentOf(session.user_agent)));
  if (session.current) about.append(text('span', 'badge', 'account.sessions.current'));
  const used = momentOf(session.last_used_at, i18n.current());
  about.append(text('span', 'quiet', 'account.sessions.line', { address: session.address ?? '–', begun: momentOf(session.created_at, i18n.current()), used }));
  root.append(about);
  if (!session.current) root.append(guarded('account.sessions.end', 'account.sessions.ask', onEnd));
  return root;
}

export function sessionsTab(context) {
  const { client } = context;
  const root = element('div', 'tab');
  const list = element('ul', 'items');
  const said = notice();
  const refresh = async () => {
    try {
      const { items } = await client.get('users/me/sessions');
      list.replaceChildren(...[...items].sort((a, b) => Number(b.current) - Number(a.current)).map((session) => item(session, context, () => end(session.id))));
    } catch (error) {
      said.refuse(error);
    }
  };
  const end = async (id) => {
    try {
      await client.delete(`users/me/sessions/${encodeURIComponent(id)}`);
      said.tell('account.sessions.ended');
    } catch (error) {
      said.refuse(error);
    }
    await refresh();
    root.parentElement?.focus();
  };
  const everywhere = guarded('account.sessions.all', 'account.sessions.all.ask', async () => {
    try {
      await client.logout(true);
    } catch (error) {
      said.refuse(error);
    }
  });
  list.append(text('li', 'quiet', 'form.loading'));
  root.append(said.root, list, everywhere);
  refresh();
  return { root };
}
