// How elements are written: htm templates bound to preact. Text that is put in is always text, never markup.
import { h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export const html = htm.bind(h);

// Class names from a list with holes.
export const cls = (...names) => names.filter(Boolean).join(" ");
