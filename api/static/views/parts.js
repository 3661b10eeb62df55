// Where an exchange's time went, as one small bar.
import { html } from "../dom.js";
import { ms } from "../format.js";

export const PARTS = [
  ["connect", "connect_ms", "connecting"],
  ["send", "send_ms", "sending"],
  ["wait", "wait_ms", "waiting for the other end"],
  ["read", "read_delay_ms", "in the kernel, unread"],
  ["receive", "receive_ms", "receiving"],
];

export function partsOf(event) {
  return PARTS.map(([name, field, words]) => ({ name, words, value: event[field] })).filter((one) => one.value !== null && one.value > 0);
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
