// Dark, light, or what the system says.

const ORDER = ["", "dark", "light"];
const KEY = "netscope.theme";
const listeners = new Set();

export function theme() {
  return document.documentElement.dataset.theme ?? "";
}

export function nextTheme() {
  const next = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  try {
    if (next) localStorage.setItem(KEY, next);
    else localStorage.removeItem(KEY);
  } catch {
    // a browser that keeps nothing
  }
  told();
}

export function onTheme(act) {
  listeners.add(act);
  return () => listeners.delete(act);
}

function told() {
  for (const act of listeners) act();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", told);

// A colour of the stylesheet, for canvases.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
