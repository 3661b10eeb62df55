// The keyboard: / filter, space pause, ? help, j k Enter, Esc, w wall, t theme, 1 2 3 order.
import { go, view } from "./link.js";
import { togglePause } from "./model.js";
import { nextTheme } from "./themes.js";
import { tailKeys } from "./views/tail.js";

const ORDERS = { 1: "", 2: "slowest", 3: "errors" };

function typing(target) {
  return target instanceof HTMLElement && (target.matches("input, select, textarea") || target.isContentEditable);
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return escape(event);
  if (typing(event.target)) return;
  const onControl = event.target instanceof HTMLElement && event.target.closest("button, a, summary, [data-keys]");
  if (event.key === " " && onControl) return;
  const act = {
    "/": () => document.getElementById("filter")?.focus(),
    " ": togglePause,
    "?": () => go({ panel: view.panel === "help" ? "" : "help" }),
    w: () => go({ wall: view.wall ? "" : "1" }),
    t: nextTheme,
    j: () => tailKeys.move(1),
    k: () => tailKeys.move(-1),
  }[event.key];
  if (event.key === "Enter" && !onControl) tailKeys.open();
  else if (act) act();
  else if (event.key in ORDERS) go({ order: ORDERS[event.key] });
  else return;
  event.preventDefault();
}

function escape(event) {
  if (typing(event.target)) event.target.blur();
  else if (view.panel) go({ panel: "" });
  else if (view.x || view.trace) {
    go({ x: "", trace: "" });
    tailKeys.focus();
  } else if (view.brush) go({ brush: "" });
  else if (view.wall) go({ wall: "" });
}

export function keys(target) {
  target.addEventListener("keydown", press);
  return () => target.removeEventListener("keydown", press);
}
