// Light and dark: the system's preference until the person switches.

import { store } from './storage.js';

const dark = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set();

/** `light` or `dark`, as shown now. */
export function shade() {
  return document.documentElement.dataset.theme ?? (dark.matches ? 'dark' : 'light');
}

/** `light`, `dark`, or `system` while the person has not switched. */
export function chosen() {
  return document.documentElement.dataset.theme ?? 'system';
}

export function toggle() {
  show(shade() === 'dark' ? 'light' : 'dark');
}

/** Shows the page in `light`, `dark`, or as the system prefers (`system`). */
export function show(wanted) {
  if (wanted === chosen() || !['light', 'dark', 'system'].includes(wanted)) return;
  if (wanted === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  store('theme', wanted);
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
