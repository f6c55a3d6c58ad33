// Light and dark: the system's preference until the person switches.

import { store } from './storage.js';

const dark = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set();

/** `light` or `dark`, as shown now. */
export function shade() {
  return document.documentElement.dataset.theme ?? (dark.matches ? 'dark' : 'light');
}

export function toggle() {
  const next = shade() === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  store('theme', next);
  tell();
}

export function onChange(listener) {
  listeners.add(listener);
}

/** The value of a colour of theme.css as the browser computes it, for drawing on a canvas. */
export function color(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

const probe = document.createElement('span');
probe.hidden = true;
document.body.append(probe);

function tell() {
  document.documentElement.dataset.shade = shade();
  for (const listener of listeners) listener();
}

dark.addEventListener('change', tell);
document.documentElement.dataset.shade = shade();
