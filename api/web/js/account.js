// The person at the page: the button in the head, the profile, and the language, theme and watchlists that follow a sign-in.
// Puts client, dialog, preferences and lists together; draws only the button.

import { AccountClient } from './account-client.js';
import { AccountDialog } from './account-dialog.js';
import { linkOf } from './account-enter.js';
import { setText } from './frames.js';
import * as i18n from './i18n.js';
import { Lists } from './lists.js';
import { Preferences } from './preferences.js';
import { load, store } from './storage.js';
import * as theme from './theme.js';

export class Account {
  client = new AccountClient({ onSession: (change) => this.#onSession(change) });
  lists = new Lists(this.client, () => this.#listener.onLists());

  #listener;
  #me = null;
  #button = document.getElementById('account');
  #name = document.getElementById('account-name');
  #preferences = new Preferences(this.client, {
    read: () => ({ language: i18n.current(), theme: theme.chosen() }),
    show: ({ language, theme: shade }) => {
      if (language !== null) i18n.show(language);
      if (shade !== null) theme.show(shade);
    },
  });
  #dialog = new AccountDialog({
    client: this.client,
    retry: () => this.open(),
    options: () => this.client.open('GET', 'auth/options'),
    me: () => this.#me,
    setMe: (me) => this.#setMe(me),
    signOut: () => this.client.logout(),
    onDeleted: () => this.#onDeleted(),
    offer: () => this.#offer(),
  });

  /** `onLists()` after watchlists changed, `onToken(change)` as of AccountClient, `announce(text)` for people who listen. */
  constructor(listener) {
    this.#listener = listener;
    this.#button.addEventListener('click', () => this.open());
    i18n.onChange(() => {
      this.#preferences.changed();
      this.languageChanged();
    });
    theme.onChange(() => this.#preferences.changed());
    this.languageChanged();
  }

  /** Goes on with the session of before a reload. */
  async start() {
    if (!this.client.isSignedIn) return;
    this.languageChanged();
    try {
      if (await this.client.restore()) await this.#signedIn();
    } catch {
      // OK because: the session has ended and the button says so, or the next call asks again.
    }
  }

  /** Opens the dialog: the account, or the way into it. */
  async open() {
    if (!this.client.isSignedIn) {
      this.#dialog.show('signIn');
      return;
    }
    try {
      if (this.#me === null) await this.#signedIn();
      this.#dialog.showAccount(this.#me);
    } catch (error) {
      if (!this.client.isSignedIn || error.status === 401) this.#dialog.show('signIn');
      else this.#dialog.show('trouble', { error });
    }
  }

  /** Opens the view that a mail's link names. Gives whether `hash` was one. */
  follow(hash) {
    const link = linkOf(hash);
    if (link === null) return false;
    this.#dialog.show(link.view, { token: link.token });
    return true;
  }

  languageChanged() {
    const text = this.#me !== null ? this.#me.full_name : i18n.t(this.client.isSignedIn ? 'account.title' : 'account.sign_in');
    setText(this.#name, text);
    this.#button.title = text;
    this.#button.setAttribute('aria-label', this.#me === null ? text : i18n.t('account.of', { name: text }));
    this.#button.dataset.in = String(this.client.isSignedIn);
  }

  #setMe(me) {
    this.#me = me;
    this.languageChanged();
  }

  #onSession(change) {
    if (change === 'signed-in') this.#signedIn().then(() => this.#welcome(), (error) => this.#dialog.show('trouble', { error }));
    if (change === 'ended') this.#signedOut();
    this.#listener.onToken(change);
  }

  /** Reads the profile; lists and preferences follow, and their failure is no failure of signing in. */
  async #signedIn() {
    this.#setMe(await this.client.get('users/me'));
    await Promise.allSettled([this.lists.take(), this.#preferences.take()]);
  }

  #welcome() {
    if (this.#me === null) return;
    this.#listener.announce(i18n.t('account.welcome', { name: this.#me.full_name }));
    if (!this.#dialog.isOpen) return;
    if (this.#offer().count > 0) this.#dialog.showAccount(this.#me);
    else this.#dialog.close();
  }

  #signedOut() {
    const wasKnown = this.#me !== null;
    this.#me = null;
    this.#preferences.forget();
    this.lists.forget();
    this.languageChanged();
    this.#listener.announce(i18n.t('account.signed_out'));
    if (this.#dialog.isOpen) this.#dialog.show('signIn', { told: wasKnown ? 'account.signed_out' : 'error.session_ended' });
  }

  #onDeleted() {
    this.client.forget();
    this.#dialog.show('signIn', { told: 'data.deleted' });
  }

  #offer() {
    const local = this.lists.isRemote && load('lists-kept', '') !== this.#me?.id ? this.lists.local.filter(({ symbols }) => symbols.length > 0) : [];
    return { count: local.length, accept: () => this.lists.upload(), refuse: () => store('lists-kept', this.#me?.id ?? '') };
  }
}
