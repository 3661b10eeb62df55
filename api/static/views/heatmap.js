// Latency over time as a field of shades: how many exchanges took how long. Marking a part lists its exchanges.
import { useEffect, useRef, useState } from "../vendor/hooks.mjs";
import { html } from "../dom.js";
import { brushText, parseBrush } from "../brush.js";
import { clock, count, ms } from "../format.js";
import { PER_DECADE, edgeOf } from "../histogram.js";
import { go, view } from "../link.js";
import { colour, onTheme } from "../themes.js";
import { nowOf } from "./tiles.js";

const BINS_A_ROW = PER_DECADE / 8;
const LOWEST = 1 * PER_DECADE; // 10 µs
const HIGHEST = 7 * PER_DECADE + PER_DECADE / 2; // 30 s
const COLUMNS = 75;
const SHADES = ["heat1", "heat2", "heat3", "heat4"];
const LABELS = [0.01, 0.1, 1, 10, 100, 1000, 10_000];

function cells(store, role, span) {
  const step = Math.max(1, Math.round(span / COLUMNS));
  const end = Math.floor((nowOf(store) - 1) / step) * step;
  const columns = Math.round(span / step);
  let low = HIGHEST;
  let high = LOWEST;
  const sums = [];
  for (let column = 0; column < columns; column++) {
    const at = end - (columns - 1 - column) * step;
    const sum = new Uint32Array(HIGHEST);
    for (let second = at - step + 1; second <= at; second++) {
      const bins = store.seconds.get(second)?.[role].bins;
      if (!bins) continue;
      for (let bin = 0; bin < HIGHEST; bin++) {
        if (!bins[bin]) continue;
        sum[bin] += bins[bin];
        if (bin < low) low = bin;
        if (bin > high) high = bin;
      }
    }
    sums.push(sum);
  }
  low = Math.max(0, Math.floor(Math.min(low, 3 * PER_DECADE) / BINS_A_ROW) * BINS_A_ROW);
  high = Math.min(HIGHEST, Math.ceil((Math.max(high, 5 * PER_DECADE) + 1) / BINS_A_ROW) * BINS_A_ROW);
  const rows = (high - low) / BINS_A_ROW;
  const counts = sums.map((sum) => Array.from({ length: rows }, (_, row) => {
    let total = 0;
    for (let bin = low + row * BINS_A_ROW; bin < low + (row + 1) * BINS_A_ROW; bin++) total += sum[bin];
    return total;
  }));
  return { step, end, columns, rows, low, counts, most: Math.max(1, ...counts.flat()), times: (column) => (end - (columns - 1 - column) * step - step + 1) * 1000 };
}

export function Heatmap({ store, role, span }) {
  const canvas = useRef(null);
  const [cursor, setCursor] = useState(null); // {column, row}: by keys
  const [drag, setDrag] = useState(null);
  const field = cells(store, role, span);
  const draw = () => paint(canvas.current, field, drag, cursor);
  useEffect(draw);
  useEffect(() => onTheme(draw), [draw]);
  const select = ({ column: a, row: b }, { column: c, row: d } = { column: a, row: b }) => {
    const [left, right, bottom, top] = [Math.min(a, c), Math.max(a, c), Math.min(b, d), Math.max(b, d)];
    go({ brush: brushText({ from: field.times(left), to: field.times(right) + field.step * 1000, low: edgeOf(field.low + bottom * BINS_A_ROW), high: edgeOf(field.low + (top + 1) * BINS_A_ROW) }), order: "" }, { step: true });
  };
  const spot = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const clamp = (value, top) => Math.max(0, Math.min(top - 1, value));
    return { column: clamp(Math.floor(((event.clientX - box.left) / box.width) * field.columns), field.columns), row: clamp(Math.floor((1 - (event.clientY - box.top) / box.height) * field.rows), field.rows) };
  };
  const down = (event) => {
    canvas.current.setPointerCapture(event.pointerId);
    setDrag({ from: spot(event), to: spot(event) });
  };
  const move = (event) => drag && setDrag({ ...drag, to: spot(event) });
  const up = (event) => {
    if (drag) select(drag.from, spot(event));
    setDrag(null);
  };
  const key = (event) => {
    const now = cursor ?? { column: field.columns - 1, row: Math.floor(field.rows / 2) };
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
    if (dx || dy) setCursor({ column: Math.max(0, Math.min(field.columns - 1, now.column + dx)), row: Math.max(0, Math.min(field.rows - 1, now.row + dy)) });
    else if (event.key === "Enter" && cursor) select(cursor);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const said = cursor ? `${clock(field.times(cursor.column), { millis: false })}, ${ms(edgeOf(field.low + cursor.row * BINS_A_ROW))} and more: ${field.counts[cursor.column]?.[cursor.row] ?? 0} exchanges` : "";
  const place = (value) => (Math.log10(value) + 3) * PER_DECADE - field.low;
  return html`<section class="panel" aria-labelledby="heat-title"><div class="head"><h2 id="heat-title">Latency heatmap</h2><span class="dim push">mark a part to list it</span></div>
    <div class="heat"><div class="scale" aria-hidden="true">${LABELS.filter((one) => place(one) >= 0 && place(one) <= field.rows * BINS_A_ROW).map((one) => html`<span style=${{ bottom: `${(place(one) / (field.rows * BINS_A_ROW)) * 100}%` }}>${ms(one)}</span>`)}</div>
      <canvas id="heatmap" role="application" tabindex="0" data-keys aria-label="Latency heatmap: arrow keys move, Enter lists the exchanges of a cell" aria-describedby="heat-said" ref=${canvas}
        onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${() => setDrag(null)} onKeyDown=${key} onBlur=${() => setCursor(null)}></canvas></div>
    <div class="heatfoot"><span class="dim">${clock(field.times(0), { millis: false })}</span><span class="legend2 dim" aria-hidden="true">1 ${SHADES.map((one) => html`<i class=${`s-${one}`}></i>`)} ${count(field.most)}</span><span class="dim">now</span></div>
    <span class="sr" id="heat-said" role="status">${said}</span></section>`;
}

function paint(canvas, field, drag, cursor) {
  if (!canvas) return;
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour("heat0");
  pen.fillRect(0, 0, width, height);
  const shades = SHADES.map(colour);
  const [w, h] = [width / field.columns, height / field.rows];
  const scale = Math.log(field.most + 1);
  field.counts.forEach((rows, column) => rows.forEach((value, row) => {
    if (!value) return;
    pen.fillStyle = shades[Math.min(3, Math.floor((Math.log(value) / scale) * 4))];
    pen.fillRect(Math.round(column * w), Math.round(height - (row + 1) * h), Math.ceil(w - 0.5), Math.ceil(h - 0.5));
  }));
  pen.lineWidth = 2 * ratio;
  const frame = (left, right, bottom, top) => pen.strokeRect(left * w, height - (top + 1) * h, (right - left + 1) * w, (top - bottom + 1) * h);
  const brush = parseBrush(view.brush);
  if (brush) {
    pen.strokeStyle = colour("accent");
    const x = (at) => ((at - field.times(0)) / 1000 / field.step) * w;
    const y = (value) => height - (((Math.log10(value) + 3) * PER_DECADE - field.low) / BINS_A_ROW) * h;
    pen.strokeRect(x(brush.from), y(brush.high), x(brush.to) - x(brush.from), y(brush.low) - y(brush.high));
  }
  pen.strokeStyle = colour("text");
  if (drag) frame(Math.min(drag.from.column, drag.to.column), Math.max(drag.from.column, drag.to.column), Math.min(drag.from.row, drag.to.row), Math.max(drag.from.row, drag.to.row));
  if (cursor) frame(cursor.column, cursor.column, cursor.row, cursor.row);
}
