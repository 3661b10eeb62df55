// What was marked in the heatmap: a span of time and one of latency, "from-to,low-high" in ms.
import { clock, ms } from "./format.js";
import { endOf } from "./store.js";

export function parseBrush(text) {
  const found = /^(\d+)-(\d+),([\d.e-]+)-([\d.e+]+)$/.exec(text);
  if (!found) return null;
  const [from, to, low, high] = found.slice(1).map(Number);
  return { from, to, low, high };
}

export function brushText({ from, to, low, high }) {
  return `${Math.round(from)}-${Math.round(to)},${low.toPrecision(4)}-${high.toPrecision(4)}`;
}

export function matches(brush, event) {
  const end = endOf(event);
  return end >= brush.from && end < brush.to && event.elapsed_ms !== null && event.elapsed_ms >= brush.low && event.elapsed_ms < brush.high
    && (!brush.role || event.role === brush.role);
}

export function sayBrush(text) {
  const brush = parseBrush(text);
  if (!brush) return "";
  return `${clock(brush.from, { millis: false })}–${clock(brush.to, { millis: false })}, ${ms(brush.low)} to ${ms(brush.high)}`;
}
