// Language and theme in the account of the person who is signed in: taken from there after signing in, written there when changed.
// Pure of the page: language and theme are handed in as functions.

/** Changes of a moment are one request. */
const WRITE_AFTER_MS = 600;

export class Preferences {
  #client;
  #shown;
  #data = {};
  #version = null;
  #timer = null;
  #isTaking = false;

  /** `shown`: `read()` gives `{language, theme}`, `show({language, theme})` shows them. */
  constructor(client, shown) {
    this.#client = client;
    this.#shown = shown;
  }

  /** Shows the account's language and theme; a missing one is written to the account. */
  async take() {
    const stored = await this.#client.get('users/me/preferences');
    this.#keep(stored);
    this.#isTaking = true;
    try {
      this.#shown.show({ language: stored.language, theme: stored.theme });
    } finally {
      this.#isTaking = false;
    }
    if (stored.language === null || stored.theme === null) await this.#write();
  }

  /** The person has chosen another language or theme. */
  changed() {
    if (this.#isTaking || this.#version === null || !this.#client.isSignedIn) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // OK because: the browser keeps the choice, too; the account gets it with the next change.
      this.#write().catch(() => {});
    }, WRITE_AFTER_MS);
  }

  /** The session has ended. */
  forget() {
    clearTimeout(this.#timer);
    this.#version = null;
    this.#data = {};
  }

  #keep({ data, version }) {
    this.#data = data ?? {};
    this.#version = version;
  }

  async #write() {
    const put = () => this.#client.put('users/me/preferences', { ...this.#shown.read(), data: this.#data, version: this.#version });
    try {
      this.#keep(await put());
    } catch (error) {
      if (error.code !== 'VERSION_CONFLICT') throw error;
      // Another device wrote meanwhile: its data stay, the language and theme chosen here replace its own.
      this.#keep(await this.#client.get('users/me/preferences'));
      this.#keep(await put());
    }
  }
}
