// Over time: percentiles, throughput and errors (uPlot), and the latency heatmap.
import { useEffect, useRef } from "../vendor/hooks.mjs";
import { html } from "../dom.js";
import { count, ms, rate } from "../format.js";
import { quantiles } from "../histogram.js";
import { view } from "../link.js";
import { useBeat } from "../model.js";
import { colour, onTheme } from "../themes.js";
import { Heatmap } from "./heatmap.js";
import { nowOf } from "./tiles.js";
import { WINDOWS } from "./topbar.js";

const HEIGHT = 190;
let library = null;

// The one script that is no module; it is fetched when the first chart is drawn.
function uPlot() {
  library ??= new Promise((resolve) => {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/static/vendor/uPlot.min.css" });
    const script = Object.assign(document.createElement("script"), { src: "/static/vendor/uPlot.iife.min.js" });
    script.onload = () => resolve(window.uPlot);
    document.head.append(style, script);
  });
  return library;
}

// Points are of so many seconds that about 150 of them fill the window.
export function series(store, role, span) {
  const until = nowOf(store) - 1;
  const step = Math.max(1, Math.round(span / 150));
  const end = Math.floor(until / step) * step;
  const found = { times: [], p50: [], p95: [], p99: [], perSecond: [], errors: [], missed: [] };
  for (let at = end - span + step; at <= end; at += step) {
    let total = 0;
    let errors = 0;
    let missed = 0;
    let bins = null;
    for (let second = at - step + 1; second <= at; second++) {
      const one = store.seconds.get(second);
      if (!one) continue;
      const side = one[role];
      missed += one.missed;
      total += side.count;
      errors += side.errors;
      if (step === 1) bins = side.bins;
      else {
        bins ??= new Uint32Array(side.bins.length);
        for (let bin = 0; bin < bins.length; bin++) bins[bin] += side.bins[bin];
      }
    }
    const [p50, p95, p99] = bins ? quantiles(bins, [0.5, 0.95, 0.99]) : [null, null, null];
    found.times.push(at);
    found.p50.push(p50);
    found.p95.push(p95);
    found.p99.push(p99);
    const unknown = !total && (missed || at < store.knownFrom);
    found.perSecond.push(unknown ? null : total / step);
    found.errors.push(unknown ? null : errors / step);
    found.missed.push(missed);
  }
  return found;
}

export function Charts() {
  const store = useBeat("figures");
  const span = WINDOWS[view.window];
  const role = store.side(nowOf(store) - 1, span);
  const data = series(store, role, span);
  const last = (values) => values.findLast((one) => one !== null) ?? null;
  const missed = data.missed.reduce((all, one) => all + one, 0);
  const note = missed ? html`<span class="warn push">▲ from ${count(store.received)} of ${count(store.received + store.missed)}</span>` : "";
  return html`<div class="charts">
    <section class="panel" aria-labelledby="latency-title"><div class="head"><h2 id="latency-title">Latency</h2>
      <span class="key"><i class="k k50"></i>p50 <i class="k k95"></i>p95 <i class="k k99"></i>p99</span>${note}</div>
      <${Chart} data=${[data.times, data.p50, data.p95, data.p99]} options=${latency} label=${`Latency over ${span} seconds; now p50 ${ms(last(data.p50))}, p95 ${ms(last(data.p95))}, p99 ${ms(last(data.p99))}`} /></section>
    <section class="panel" aria-labelledby="rate-title"><div class="head"><h2 id="rate-title">Requests and errors a second</h2>
      <span class="key"><i class="k kok"></i>requests <i class="k kbad"></i>errors</span></div>
      <${Chart} data=${[data.times, data.perSecond, data.errors]} options=${throughput} label=${`Requests a second over ${span} seconds; now ${rate(last(data.perSecond))}, of these failed ${rate(last(data.errors))}`} /></section>
    <${Heatmap} store=${store} role=${role} span=${span} />
  </div>`;
}

const axes = (values, size, filter) => [
  { stroke: colour("dim"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: letters(), size: 36 * scale(), space: 90 * scale(), values: (_, all) => all.map((at) => time(at)) },
  { stroke: colour("dim"), grid: { stroke: colour("line"), width: 1, ...(filter && { filter }) }, ticks: { show: false }, font: letters(), size: size * scale(), space: 34, ...(filter && { filter }), values: (_, all) => all.map(values) },
];
const scale = () => Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 14;
const letters = () => `${Math.round(12 * scale())}px system-ui, sans-serif`;
const time = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");
const plain = { legend: { show: false }, cursor: { y: false, points: { size: 6 }, sync: { key: "netscope" } }, padding: [8, 30, 0, 0] };
const isDecade = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
const decades = (_, splits) => splits.map((value) => (isDecade(value) ? value : null));
const tenfold = (value) => (value !== null && isDecade(value) ? ms(value) : "");

function latency() {
  return {
    ...plain, scales: { x: { time: false }, y: { distr: 3 } }, axes: axes(tenfold, 62, decades),
    series: [{}, { stroke: colour("good"), width: 1.5 }, { stroke: colour("accent"), width: 1.5, dash: [7, 3] }, { stroke: colour("warn"), width: 2 }],
  };
}

function throughput() {
  return {
    ...plain, scales: { x: { time: false }, y: { range: (_, __, top) => [0, Math.max(1, (top ?? 1) * 1.1)] } }, axes: axes((value) => rate(value), 48),
    series: [{}, { stroke: colour("accent"), fill: `${colour("accent")}22`, width: 1.5 }, { stroke: colour("bad"), fill: `${colour("bad")}44`, width: 2, dash: [4, 3] }],
  };
}

function Chart({ data, options, label }) {
  const box = useRef(null);
  const plot = useRef(null);
  const newest = useRef(data);
  newest.current = data;
  useEffect(() => {
    let gone = false;
    let watcher = null;
    const build = async () => {
      const Plot = await uPlot();
      if (gone || !box.current) return;
      plot.current?.destroy();
      plot.current = new Plot({ ...options(), width: Math.max(200, box.current.clientWidth), height: box.current.clientHeight || HEIGHT }, newest.current, box.current);
    };
    void build().then(() => {
      if (gone || !box.current) return;
      watcher = new ResizeObserver(() => box.current && plot.current?.setSize({ width: Math.max(200, box.current.clientWidth), height: box.current.clientHeight || HEIGHT }));
      watcher.observe(box.current);
    });
    const off = onTheme(() => void build());
    return () => {
      gone = true;
      off();
      watcher?.disconnect();
      plot.current?.destroy();
    };
  }, [view.wall]);
  useEffect(() => plot.current?.setData(data));
  return html`<div class="chart" role="img" aria-label=${label} ref=${box}></div>`;
}
