// One tab at a time: the browser's lock where it has one (https and localhost), a short lease in localStorage elsewhere.
// Knows nothing of the work done under it.

/** A tab that holds the lease longer than this has died with it. */
const LEASE_MS = 20_000;
/** Two tabs that took the lease at once see each other's after this. */
const SETTLE_MS = 40;
const POLL_MS = 120;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Runs `work` while no other tab of this origin runs work of that name; gives its result. */
export async function oneTabAtATime(name, work, { locks = globalThis.navigator?.locks, storage = storageOrNull(), now = Date.now } = {}) {
  if (locks) return locks.request(name, work);
  if (storage === null) return work();
  const key = `bist.lock.${name}`;
  const mine = `${Math.random().toString(36).slice(2)}`;
  await take(storage, key, mine, now);
  try {
    return await work();
  } finally {
    if (holderOf(storage, key)?.id === mine) storage.removeItem(key);
  }
}

async function take(storage, key, mine, now) {
  // A lease that never ends is given up on: a session that must be begun anew is better than a page that waits for ever.
  const until = now() + 2 * LEASE_MS;
  while (now() < until) {
    const holder = holderOf(storage, key);
    if (holder === null || holder.until < now() || holder.until > now() + LEASE_MS) {
      try {
        storage.setItem(key, JSON.stringify({ id: mine, until: now() + LEASE_MS }));
      } catch {
        // OK because: tabs that cannot write to the storage share no lease in it.
        return;
      }
      await pause(SETTLE_MS);
      if (holderOf(storage, key)?.id === mine) return;
    }
    await pause(POLL_MS * (0.5 + Math.random() / 2));
  }
}

function holderOf(storage, key) {
  try {
    const holder = JSON.parse(storage.getItem(key));
    return typeof holder?.until === 'number' ? holder : null;
  } catch {
    return null;
  }
}

function storageOrNull() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
