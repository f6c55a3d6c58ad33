// The frame of the account's dialog: one view at a time, and the tabs of a person who is signed in. The browser keeps the focus inside.

import { dataTab } from './account-data.js';
import { forgotView, offView, registerView, resetView, sentView, setupView, signInView, troubleView, verifyView } from './account-enter.js';
import { keysTab } from './account-keys.js';
import { profileTab } from './account-profile.js';
import { securityTab } from './account-security.js';
import { sessionsTab } from './account-sessions.js';
import { element } from './frames.js';
import { button, notice, text } from './forms.js';
import { say } from './i18n.js';

const VIEWS = {
  signIn: signInView, register: registerView, sent: sentView, forgot: forgotView, reset: resetView, verify: verifyView, setup: setupView, off: offView,
  trouble: troubleView,
};
export const TABS = { profile: profileTab, security: securityTab, sessions: sessionsTab, keys: keysTab, data: dataTab };

/** Closes a dialog by its button, by Escape and by a press beside it; a secret that is shown once does not go without a question. */
export function closable(dialog, close) {
  const leave = () => leaving(dialog, () => dialog.close());
  close.addEventListener('click', leave);
  dialog.addEventListener('mousedown', (event) => {
    // Only where the press began outside: marking a text must not close its dialog.
    if (event.target === dialog) leave();
  });
  const stop = (event) => {
    if (dialog.querySelector('.secret') === null) return;
    event.preventDefault();
    leave();
  };
  // Browsers let a second `cancel` in a row through, whatever the page says: the key itself is stopped, too.
  dialog.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') stop(event);
  });
  dialog.addEventListener('cancel', stop);
}

/** Does what takes the content of `root` away: at once, or after a yes where a secret is shown in it. */
export function leaving(root, work) {
  const box = root.querySelector('.secret');
  if (box === null) {
    work();
    return;
  }
  box.querySelector('.leave')?.remove();
  const ask = element('div', 'leave', '', { role: 'alert' });
  const stay = button('secret.stay', () => {
    ask.remove();
    box.querySelector('textarea').focus();
  });
  const foot = element('div', 'foot');
  foot.append(stay, button('secret.leave', work, { className: 'act danger' }));
  ask.append(text('p', '', 'secret.leave.ask'), foot);
  box.append(ask);
  stay.focus();
}

export class AccountDialog {
  #dialog = document.getElementById('account-dialog');
  #title = document.getElementById('account-title');
  #body = document.getElementById('account-body');
  #out = document.getElementById('account-out');
  #context;

  /** `context` is handed to the views together with `show`: `client`, `options()`, `signOut()`, `onDeleted()`, `me()`, `setMe(me)`, `offer()`. */
  constructor(context) {
    this.#context = { ...context, show: (view, options) => this.show(view, options) };
    closable(this.#dialog, document.getElementById('account-close'));
    this.#out.addEventListener('click', () => leaving(this.#dialog, () => this.#context.signOut()));
    // Passwords, secrets and keys that were shown once leave the document with the dialog.
    this.#dialog.addEventListener('close', () => this.#body.replaceChildren());
  }

  get isOpen() {
    return this.#dialog.open;
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  /** Shows a way into an account: a name of `VIEWS` and that view's options. */
  show(view, options = {}) {
    const { title, root, focus } = VIEWS[view](this.#context, options);
    this.#fill(title, view, root);
    focus();
  }

  /** Shows the account of `me`, at one of its tabs; `told` is said above it. */
  showAccount(me, { tab = 'profile', told = null, focus = true } = {}) {
    const root = element('div', 'account-view');
    const said = notice();
    if (told !== null) said.tell(told);
    const panel = element('div', 'tab-panel', '', { role: 'tabpanel', id: 'account-panel', tabindex: '0' });
    const tabs = this.#tabs(me, tab, panel, said);
    root.append(tabs, this.#offer(), said.root, panel);
    this.#fill('account.title', `account-${tab}`, root);
    if (focus) tabs.querySelector('[aria-selected="true"]').focus();
  }

  #fill(title, view, root) {
    say(this.#title, title);
    this.#dialog.dataset.view = view;
    this.#out.hidden = !view.startsWith('account-');
    this.#body.replaceChildren(root);
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #tabs(me, first, panel, said) {
    const list = element('div', 'account-tabs', '', { role: 'tablist', 'aria-labelledby': 'account-title' });
    const buttons = Object.keys(TABS).map((name) => text('button', '', `account.tab.${name}`));
    const show = (name) => {
      for (const [at, tab] of Object.keys(TABS).entries()) {
        buttons[at].setAttribute('aria-selected', String(tab === name));
        buttons[at].tabIndex = tab === name ? 0 : -1;
      }
      panel.setAttribute('aria-labelledby', `account-tab-${name}`);
      this.#dialog.dataset.view = `account-${name}`;
      panel.replaceChildren(TABS[name]({ ...this.#context, me: this.#context.me() ?? me, setMe: (next, tab, told) => this.#took(next, tab, told) }).root);
    };
    for (const [at, name] of Object.keys(TABS).entries()) {
      const attributes = { type: 'button', role: 'tab', id: `account-tab-${name}`, 'aria-controls': 'account-panel', 'data-tab': name };
      for (const key in attributes) buttons[at].setAttribute(key, attributes[key]);
      buttons[at].addEventListener('click', () => leaving(panel, () => {
        said.clear();
        show(name);
      }));
    }
    list.addEventListener('keydown', (event) => walk(event, buttons));
    list.append(...buttons);
    show(first);
    return list;
  }

  /** Takes a changed profile; where `tab` is given the tab is drawn anew and `told` is said. */
  #took(me, tab = null, told = null) {
    this.#context.setMe(me);
    if (tab !== null) this.showAccount(me, { tab, told });
  }

  /** Lists of this browser may come into the account: asked once for as long as there are any. */
  #offer() {
    const root = element('div', 'offer');
    const { count, accept, refuse } = this.#context.offer();
    root.hidden = count === 0;
    const said = notice();
    const foot = element('div', 'foot');
    const done = async (work) => {
      try {
        const left = await work();
        if (left?.length > 0) said.fail('lists.offer.left', { names: left.join(', ') });
        else root.hidden = true;
      } catch (error) {
        said.refuse(error);
      }
    };
    foot.append(button('lists.offer.yes', () => done(accept), { className: 'act main' }), button('lists.offer.no', () => done(refuse)));
    root.append(text('p', '', 'lists.offer', { count: String(count) }), said.root, foot);
    return root;
  }
}

/** Arrow keys, Home and End in a list of tabs. */
function walk(event, buttons) {
  const at = buttons.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  const next = buttons[(to + buttons.length) % buttons.length];
  next.click();
  next.focus();
}
