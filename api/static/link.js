// The address holds the view, behind the # so that no filter reaches a log: reading, writing, going back.

const NAMES = ["filter", "at", "x", "trace", "order", "window", "brush", "wall", "panel"];
const listeners = new Set();

export let view = read();

function read() {
  const found = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(NAMES.map((name) => [name, found.get(name) ?? ""]));
}

export function hashOf(values) {
  const found = new URLSearchParams();
  for (const name of NAMES) if (values[name]) found.set(name, values[name]);
  return `#${found}`;
}

// Change part of the view; `step` makes it a step that the browser's Back undoes.
export function go(change, { step = false } = {}) {
  const next = { ...view, ...change };
  if (NAMES.every((name) => next[name] === view[name])) return;
  view = next;
  history[step ? "pushState" : "replaceState"](null, "", hashOf(view));
  for (const tell of listeners) tell();
}

export function onView(tell) {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

window.addEventListener("popstate", () => {
  view = read();
  for (const tell of listeners) tell();
});
