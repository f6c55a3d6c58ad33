// Small settings that outlive the visit. Never fails: a browser without storage forgets them.

const PREFIX = 'bist.';

export function load(key, fallback) {
  try {
    return localStorage.getItem(PREFIX + key) ?? fallback;
  } catch {
    return fallback;
  }
}

export function store(key, value) {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // OK because: the page works the same, it only starts with defaults next time.
  }
}
