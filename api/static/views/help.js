// The help: keys, words, marks.
import { useEffect, useRef } from "../vendor/hooks.mjs";
import { html } from "../dom.js";
import { FIELDS } from "../filter.js";

const KEYS = [
  ["/", "filter"], ["space", "pause, resume"], ["j k", "down, up in the list"], ["Enter", "open the exchange"], ["Esc", "close, clear"],
  ["1 2 3", "newest, slowest, errors"], ["w", "wall mode"], ["t", "dark, light, as the system"], ["?", "this help"],
];
const PARTS = [
  ["connect", "TCP handshake"], ["send", "first to last byte of the request"], ["wait", "last byte out to first byte in the kernel: the other end and the way"],
  ["read", "in the kernel, but the process had not read it: its own event loop was busy"], ["receive", "first to last byte of the answer"],
];

export function Help({ close }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog class="help" aria-labelledby="help-title" ref=${box} onClose=${close} onClick=${(event) => event.target === box.current && close()}>
    <div><h2 id="help-title">How to read this page</h2>
    <h3>Keys</h3><dl class="keys">${KEYS.map(([key, does]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${does}</dd></div>`)}</dl>
    <h3>Where the time went</h3><dl class="legend">${PARTS.map(([name, does]) => html`<div><dt><i class=${`swatch b-${name}`}></i>${name === "read" ? "read delay" : name}</dt><dd>${does}</dd></div>`)}</dl>
    <h3>Filter</h3><p>Terms that must all hold, as on the command line: <code>field=value</code>, <code>status>=500</code>, <code>latency>250ms</code>,
      <code>outcome=timeout,reset</code>, <code>route=/orders/*</code>. Fields: ${FIELDS.join(" ")}.</p>
    <h3>Marks</h3><p>✕ error: no complete answer, or 5xx. ▲ warning: 4xx, a retry, retransmits, a long read delay. A dashed box in the map is not observed itself.
      “–” is not known; it is never a guess.</p>
    <button class="primary" autofocus onClick=${close}>Close</button></div>
  </dialog>`;
}
