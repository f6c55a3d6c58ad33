// Runs before the first paint so that a stored theme does not flash in late. The rest is theme.js.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('bist.theme');
  } catch {
    // OK because: storage may be forbidden; the system's preference then decides.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
