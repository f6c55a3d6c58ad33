// Which symbols there are, and what the day has brought each: read page by page from REST, again and again. The socket is asked
// only for what is shown, so that a market of 10,000 symbols costs a connection no more than one of 50.

const SYMBOLS_A_PAGE = 1_000;
const QUOTES_A_PAGE = 500;
/** While symbols are missing or still come: from the first to the last wait; then one look at each of these. */
const GROWING_FIRST_MS = 500;
const GROWING_LAST_MS = 8_000;
const SETTLED_MS = 30_000;
/** Numbers of rows out of view: often while the list is sorted by them, seldom otherwise. */
const QUOTES_SORTED_MS = 10_000;
const QUOTES_IDLE_MS = 60_000;
const PAGES_MAX = 200;

export class Directory {
  /** Whether two looks in a row found the same symbols. */
  settled = false;
  total = 0;
  /** Whether the last answer was 401. */
  isDenied = false;
  /** Whether the list is sorted by numbers that move. */
  sortedByNumbers = false;

  #listener;
  #generation = 0;
  #timer = null;
  #quotesTimer = null;
  #quotesAt = -Infinity;
  #wait = GROWING_FIRST_MS;
  #active = false;

  /**
   * `listener.onSymbols(items, isWhole)` and `listener.onQuotes(items)` get each page; `onInfo(feed)` what `/actuator/info` says;
   * `onAccess(isAllowed)` whether the server gives its market to us. `listener.token()` is an access token, null for none.
   */
  constructor(listener) {
    this.#listener = listener;
  }

  /** Another market or connection: what was read counts no more. */
  restart() {
    this.stop();
    this.#active = true;
    this.settled = false;
    this.total = 0;
    this.#wait = GROWING_FIRST_MS;
    this.#quotesAt = -Infinity;
    this.#look(this.#generation);
    this.#lookAtInfo(this.#generation);
  }

  stop() {
    this.#active = false;
    this.#generation++;
    clearTimeout(this.#timer);
    clearTimeout(this.#quotesTimer);
  }

  /** The list is ordered by numbers now, or no more. */
  setSorted(byNumbers) {
    if (byNumbers === this.sortedByNumbers) return;
    this.sortedByNumbers = byNumbers;
    if (this.#active && byNumbers && this.total > 0) this.#planQuotes(this.#generation, 0);
  }

  async #look(generation) {
    let total = null;
    try {
      const items = await this.#pages('/api/v1/market-data/symbols', SYMBOLS_A_PAGE, generation);
      if (generation !== this.#generation) return;
      total = items.length;
      const symbols = new Set(items.map(({ symbol }) => symbol));
      const isSame = total > 0 && total === this.total;
      this.settled = isSame;
      this.#listener.onSymbols(items, symbols);
      if (total !== this.total && total > 0) this.#planQuotes(generation, 0);
      this.total = total;
    } catch {
      // OK because: the server may be starting or busy; it is asked again below, and the status line says what it is.
    }
    if (generation !== this.#generation) return;
    this.#wait = this.settled || this.isDenied ? SETTLED_MS : Math.min(GROWING_LAST_MS, this.#wait * 2);
    this.#timer = setTimeout(() => {
      this.#look(generation);
      this.#lookAtInfo(generation);
    }, this.#wait);
  }

  async #lookAtInfo(generation) {
    try {
      const answer = await fetch('/actuator/info', { cache: 'no-store' });
      const info = answer.ok ? await answer.json() : null;
      if (generation === this.#generation && info !== null) this.#listener.onInfo(info.feed ?? null);
    } catch {
      // OK because: the hello frame says the same; without both the source is called unknown.
    }
  }

  #planQuotes(generation, waitMs) {
    clearTimeout(this.#quotesTimer);
    this.#quotesTimer = setTimeout(() => this.#lookAtQuotes(generation), waitMs);
  }

  async #lookAtQuotes(generation) {
    if (document.visibilityState !== 'hidden') {
      try {
        await this.#pages('/api/v1/market-data/quotes', QUOTES_A_PAGE, generation, (items) => this.#listener.onQuotes(items));
      } catch {
        // OK because: rows in view come from the socket; those out of view keep what they had and are read again.
      }
    }
    if (generation === this.#generation) this.#planQuotes(generation, this.sortedByNumbers ? QUOTES_SORTED_MS : QUOTES_IDLE_MS);
  }

  /** Asks once whether the market may be read at all: where no socket could be opened, or the session has ended. */
  async probe() {
    try {
      await this.#ask('/api/v1/market-data/symbols?limit=1');
    } catch {
      // OK because: the connection's state says already that the server is away.
    }
  }

  #pages(path, limit, generation, onPage = null) {
    return pages((address) => this.#ask(address), path, limit, () => generation === this.#generation, onPage);
  }

  async #ask(address) {
    const token = this.#listener.token?.() ?? null;
    const answer = await fetch(address, { cache: 'no-store', ...(token === null ? {} : { headers: { authorization: `Bearer ${token}` } }) });
    // An answer to a token of before says nothing of now.
    if (token !== (this.#listener.token?.() ?? null)) return answer;
    if (answer.ok || answer.status === 401) {
      this.isDenied = !answer.ok;
      this.#listener.onAccess?.(answer.ok);
    }
    return answer;
  }
}

/** All items of a paged list, `onPage` getting each page at once. Pages go by cursor where the server gives one, else by offset. */
async function pages(ask, path, limit, isWanted, onPage = null) {
  const all = [];
  let place = 'offset=0';
  for (let page = 0; page < PAGES_MAX && isWanted(); page++) {
    const answer = await ask(`${path}?${place}&limit=${limit}`);
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const { data } = await answer.json();
    if (!isWanted()) break;
    onPage?.(data.items);
    all.push(...data.items);
    if (data.next_cursor === null || (data.next_cursor === undefined && data.items.length < limit)) break;
    place = data.next_cursor === undefined ? `offset=${all.length}` : `cursor=${encodeURIComponent(data.next_cursor)}`;
  }
  return all;
}
