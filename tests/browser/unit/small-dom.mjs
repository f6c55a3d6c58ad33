// A document as small as the forms of the dialogs need, for unit tests of views: elements, events, texts. No layout, no selectors
// but a tag or a class.

class Node {
  children = [];
  parent = null;
  attributes = new Map();
  dataset = {};
  style = {};
  hidden = false;
  disabled = false;
  value = '';
  className = '';
  listeners = {};
  #text = '';

  constructor(tag) {
    this.tag = tag;
  }

  get textContent() {
    return this.children.length > 0 ? this.children.map((child) => child.textContent).join(' ') : this.#text;
  }

  set textContent(text) {
    this.replaceChildren();
    this.#text = text;
  }

  get firstChild() {
    return this.children[0] ?? null;
  }

  get isConnected() {
    return this === document.body || (this.parent?.isConnected ?? false);
  }

  append(...nodes) {
    for (const node of nodes) {
      node.remove();
      node.parent = this;
      this.children.push(node);
    }
  }

  remove() {
    if (this.parent !== null) this.parent.children = this.parent.children.filter((child) => child !== this);
    this.parent = null;
  }

  replaceChildren(...nodes) {
    for (const child of [...this.children]) child.remove();
    this.append(...nodes);
  }

  contains(node) {
    return node === this || this.children.some((child) => child.contains(node));
  }

  *all() {
    for (const child of this.children) {
      yield child;
      yield* child.all();
    }
  }

  querySelectorAll(selector) {
    const isIt = selector.startsWith('.') ? (node) => node.className.split(' ').includes(selector.slice(1)) : (node) => node.tag === selector;
    return [...this.all()].filter(isIt);
  }

  querySelector(selector) {
    return this.querySelectorAll(selector)[0] ?? null;
  }

  setAttribute(name, value) {
    this.attributes.set(name, value);
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  removeAttribute(name) {
    this.attributes.delete(name);
  }

  addEventListener(type, work) {
    (this.listeners[type] ??= []).push(work);
  }

  /** Gives the event, whose `isPrevented` says whether its default was stopped. */
  async fire(type, fields = {}) {
    const event = { type, target: this, isPrevented: false, preventDefault: () => (event.isPrevented = true), ...fields };
    await Promise.all((this.listeners[type] ?? []).map((work) => work(event)));
    return event;
  }

  focus() {
    document.activeElement = this;
  }

  select() {}

  reset() {}
}

/** What is seen: texts of everything that is not hidden. */
export function seen(node) {
  if (node.hidden) return '';
  return node.children.length === 0 ? node.textContent : node.children.map(seen).filter((text) => text !== '').join(' | ');
}

/** The button of that text. */
export function buttonOf(root, text) {
  return root.querySelectorAll('button').find((node) => node.textContent === text);
}

/** Lets everything that waits for a kept promise happen. */
export const settled = () => new Promise((done) => setTimeout(done, 1));

export function openDocument() {
  globalThis.document = { createElement: (tag) => new Node(tag), documentElement: {}, activeElement: null, querySelectorAll: () => [], getElementById: () => new Node('div') };
  document.body = new Node('body');
  return document;
}
