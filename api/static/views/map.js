// The service map: who asks whom, how often, how slow, how wrong. Width, dashes and marks say it besides the colour.
import { useEffect, useRef, useState } from "../vendor/hooks.mjs";
import { cls, html } from "../dom.js";
import { bytes, ms, percent, rate, shown } from "../format.js";
import { term } from "../filter.js";
import { applyFilter, streams, useBeat } from "../model.js";
import { topology } from "../topology.js";

const BOX = { width: 168, height: 50, gap: 34 };
const MARGIN = 10;
const WALL = 1.25;

// Everything grows with the page's letters; on the wall a little more.
function size() {
  const root = document.documentElement;
  return (Number.parseFloat(getComputedStyle(root).fontSize) / 14) * (root.classList.contains("wall") ? WALL : 1);
}

export function useWidth(fallback) {
  const box = useRef(null);
  const [width, setWidth] = useState(fallback);
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => setWidth(Math.max(200, Math.round(entry.contentRect.width))));
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  return [box, width];
}

export function ServiceMap() {
  const store = useBeat("map");
  const [box, width] = useWidth(700);
  const { layers, edges, seconds } = topology(store.events, store.frozenAt ?? Date.now(), streams());
  return html`<section class="panel map" aria-labelledby="map-title">
    <div class="head"><h2 id="map-title">Who talks to whom</h2><span class="dim push">the last ${seconds > 59 ? "minute" : `${Math.round(seconds)} s`}</span></div>
    <div class="drawing" ref=${box}>${layers.length ? html`<${Drawing} layers=${layers} edges=${edges} width=${width} />` : html`<p class="dim empty">No exchange in the last minute.</p>`}</div>
    ${edges.length > 0 && html`<table class="sr"><caption>Flows of the last ${Math.round(seconds)} seconds</caption><thead><tr><th>from</th><th>to</th><th>a second</th><th>errors</th><th>p95</th></tr></thead>
      <tbody>${edges.map((edge) => html`<tr><td>${shown(edge.from.name)}</td><td>${shown(edge.to.name)}</td><td>${edge.other ? "not HTTP" : rate(edge.perSecond)}</td><td>${percent(edge.errorRatio)}</td><td>${ms(edge.p95)}</td></tr>`)}</tbody></table>`}
  </section>`;
}

function Drawing({ layers, edges, width }) {
  const upright = width < 520;
  const k = size();
  const spots = upright ? stacked(layers, width) : sideBySide(layers, width, k);
  const all = [...spots.values()];
  const height = Math.max(...all.map((spot) => spot.y + spot.height)) + Math.min(...all.map((spot) => spot.y));
  return html`<svg width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="group" aria-label="Service map">
    <defs>${["fine", "warn", "bad"].map((tone) => html`<marker id=${`tip-${tone}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path class=${`tip ${tone}`} d="M0 0L8 4L0 8z" /></marker>`)}</defs>
    ${edges.map((edge) => html`<${Edge} key=${edge.key} edge=${edge} spots=${spots} upright=${upright} />`)}
    ${edges.map((edge) => html`<${Label} key=${edge.key} edge=${edge} spots=${spots} upright=${upright} k=${k} />`)}
    ${layers.flat().map((node) => html`<${Node} key=${node.key} node=${node} spot=${spots.get(node.key)} k=${k} />`)}
  </svg>`;
}

function sideBySide(layers, width, k) {
  const boxHeight = BOX.height * k;
  const boxWidth = Math.min(BOX.width * k, (width - MARGIN * 2) / layers.length - 90);
  const tallest = Math.max(...layers.map((layer) => layer.length));
  const whole = Math.max(180, tallest * (boxHeight + BOX.gap));
  const spots = new Map();
  layers.forEach((layer, column) => {
    const x = layers.length === 1 ? (width - boxWidth) / 2 : MARGIN + (column * (width - MARGIN * 2 - boxWidth)) / (layers.length - 1);
    layer.forEach((node, at) => {
      const y = MARGIN + ((at + 0.5) * whole) / layer.length - boxHeight / 2;
      spots.set(node.key, { x, y, width: boxWidth, height: boxHeight });
    });
  });
  return spots;
}

function stacked(layers, width) {
  const spots = new Map();
  let y = MARGIN;
  for (const layer of layers) {
    const room = (width - MARGIN) / layer.length;
    const boxWidth = Math.min(BOX.width, room - 8);
    layer.forEach((node, at) => spots.set(node.key, { x: MARGIN / 2 + at * room + (room - boxWidth) / 2, y, width: boxWidth, height: BOX.height }));
    y += BOX.height + 74;
  }
  return spots;
}

const toneOf = (edge) => (edge.errorRatio >= 0.05 ? "bad" : edge.errorRatio > 0 ? "warn" : "fine");

function curve(edge, spots, upright) {
  const [a, b] = [spots.get(edge.from.key), spots.get(edge.to.key)];
  if (edge.from === edge.to) {
    const [x, y] = [a.x + a.width / 2, a.y];
    return { path: `M${x - 24} ${y}C${x - 40} ${y - 40} ${x + 40} ${y - 40} ${x + 24} ${y - 2}`, x, y: y - 26 };
  }
  const from = upright ? [a.x + a.width / 2, a.y + a.height] : [a.x + a.width, a.y + a.height / 2];
  const to = upright ? [b.x + b.width / 2, b.y - 3] : [b.x - 3, b.y + b.height / 2];
  const middle = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
  const bends = upright ? [from, [from[0], middle[1]], [to[0], middle[1]], to] : [from, [middle[0], from[1]], [middle[0], to[1]], to];
  const [x, y] = along(bends, edge.labelAt ?? 0.5);
  const path = upright
    ? `M${from}C${from[0]} ${middle[1]} ${to[0]} ${middle[1]} ${to}`
    : `M${from}C${middle[0]} ${from[1]} ${middle[0]} ${to[1]} ${to}`;
  return { path, x, y };
}

// The point of a cubic curve at `t`.
function along(points, t) {
  const weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3];
  return [0, 1].map((axis) => points.reduce((sum, point, at) => sum + point[axis] * weights[at], 0));
}

function Edge({ edge, spots, upright }) {
  const tone = toneOf(edge);
  const width = edge.other ? 2 : Math.min(10, 1.5 + 2 * Math.log10(1 + edge.perSecond));
  return html`<path class=${cls("edge", tone, edge.other && "other")} d=${curve(edge, spots, upright).path} stroke-width=${width} marker-end=${`url(#tip-${tone})`} />`;
}

function Label({ edge, spots, upright, k }) {
  const { x, y } = curve(edge, spots, upright);
  const tone = toneOf(edge);
  if (edge.other) {
    return html`<g class="flow"><text x=${x} y=${y - 8 * k}>not HTTP</text>${edge.bytes ? html`<text class="dim" x=${x} y=${y + 14 * k}>${bytes(Math.round(edge.bytes))}/s</text>` : null}</g>`;
  }
  const errors = edge.errors ? ` ${tone === "bad" ? "✕" : "▲"} ${percent(edge.errorRatio)}` : "";
  return html`<g class="flow"><text x=${x} y=${y - 8 * k}><tspan class="much">${rate(edge.perSecond)}/s</tspan>${errors && html`<tspan class=${tone}>${errors}</tspan>`}</text>
    <text class="dim" x=${x} y=${y + 16 * k}>p95 ${ms(edge.p95)}</text></g>`;
}

const KINDS = { watched: "observed", outside: "not observed itself", callers: "not observed itself", kafka: "Kafka, by its port", stream: "not HTTP" };

function Node({ node, spot, k }) {
  const { x, y, width, height } = spot;
  const name = node.kind === "callers" ? "callers" : shown(node.name);
  const room = Math.max(6, Math.floor((width - 20) / (8.2 * k)));
  const short = name.length > room ? `${name.slice(0, room - 1)}…` : name;
  const filter = node.kind === "watched" ? term("service", node.name) : node.kind === "outside" ? term("host", node.name) : null;
  const act = filter && (() => applyFilter(filter));
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  const more = act ? { role: "button", tabindex: 0, onClick: act, onKeyDown: press, "data-keys": true } : { role: "img" };
  return html`<g class=${cls("node", node.kind)} aria-label=${`${name}, ${KINDS[node.kind]}${act ? ": show only this" : ""}`} ...${more}>
    <title>${`${name} (${KINDS[node.kind]})`}</title>
    ${node.kind === "kafka" ? html`<path d=${`M${x} ${y + 8}a${width / 2} 8 0 0 1 ${width} 0v${height - 16}a${width / 2} 8 0 0 1 ${-width} 0z`} />` : html`<rect x=${x} y=${y} width=${width} height=${height} rx=${node.kind === "watched" ? 10 : height / 2} />`}
    <text x=${x + width / 2} y=${y + height / 2 - 3 * k}>${short}</text><text class="kind" x=${x + width / 2} y=${y + height / 2 + 14 * k}>${KINDS[node.kind]}</text></g>`;
}
