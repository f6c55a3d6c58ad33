// Draws at the pace of the screen: whatever changed since the last frame is drawn once.

const dirty = new Set();
let requested = false;

/** Asks that `draw` be called once in the next animation frame. */
export function request(draw) {
  dirty.add(draw);
  if (!requested) {
    requested = true;
    requestAnimationFrame(run);
  }
}

function run(now) {
  requested = false;
  const draws = [...dirty];
  dirty.clear();
  for (const draw of draws) {
    try {
      draw(now);
    } catch (error) {
      // One panel that fails must not stop the others; the console and the tests still see it.
      reportError(error);
    }
  }
}

/** Writes text only where it differs: the commonest case costs no layout. */
export function setText(node, text) {
  if (node.shownText === text) return;
  node.shownText = text;
  node.textContent = text;
}

/** The same for a data attribute or any other attribute. */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** An element with class, text and attributes. */
export function element(tag, className = '', text = '', attributes = {}) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
}
