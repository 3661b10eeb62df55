// Where an exchange's time went: its parts in the order they happened, as one small bar.
import { html } from "../dom.js";
import { ms } from "../format.js";

const CLIENT = [
  ["send", "send_ms", "sending the request"], ["wait", "wait_ms", "waiting for the other end"],
  ["read", "read_delay_ms", "the answer lay unread in the kernel"], ["receive", "receive_ms", "receiving the answer"],
];
const SERVER = [
  ["read", "read_delay_ms", "the request lay unread in the kernel"], ["receive", "receive_ms", "receiving the request"],
  ["wait", "wait_ms", "its own work"], ["send", "send_ms", "sending the answer"],
];

// [{name, words, value, from}] in ms from the exchange's beginning; connecting stands before it.
export function partsOf(event) {
  const found = [];
  if (event.connect_ms > 0) found.push({ name: "connect", words: "connecting", value: event.connect_ms, from: -event.connect_ms });
  let from = 0;
  for (const [name, field, words] of event.role === "server" ? SERVER : CLIENT) {
    const value = event[field];
    if (value > 0) found.push({ name, words, value, from });
    from += value ?? 0;
  }
  return found;
}

export function Parts({ event }) {
  const found = partsOf(event);
  const total = found.reduce((all, one) => all + one.value, 0);
  if (!total) return html`<span class="parts none"></span>`;
  let at = 0;
  const rects = found.map((one) => {
    const width = (one.value / total) * 100;
    const rect = html`<rect class=${`p-${one.name}`} x=${at} width=${Math.max(width, 0.5)} y="0" height="10" />`;
    at += width;
    return rect;
  });
  const text = found.map((one) => `${one.words} ${ms(one.value)}`).join(", ");
  return html`<svg class="parts" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${text}><title>${text}</title>${rects}</svg>`;
}
