// The first glance: how much, how many errors, how slow. Big enough for four metres.
import { cls, html } from "../dom.js";
import { count, ms, percent, rate } from "../format.js";
import { BINS, quantiles } from "../histogram.js";
import { go, view } from "../link.js";
import { model, useBeat } from "../model.js";

const SPAN = 10;
const TREND = 60;

export function nowOf(store) {
  return Math.floor((store.frozenAt ?? Date.now()) / 1000);
}

// Exact, from the metrics engine, where no filter narrows the page; else from what the page received (within 3%).
export function headline(store) {
  const found = model.answers.network?.value;
  if (found && !model.filter && !model.paused && !model.answers.network.problem) {
    const role = found.client.exchanges ? "client" : found.server.exchanges ? "server" : "client";
    const traffic = found[role];
    return {
      role, exact: true, perSecond: traffic.per_second, errorRatio: traffic.error_ratio, errors: traffic.errors, retries: traffic.retries,
      timeouts: traffic.timeouts, exchanges: traffic.exchanges, p50: traffic.elapsed?.p50_ms ?? null, p95: traffic.elapsed?.p95_ms ?? null,
      p99: traffic.elapsed?.p99_ms ?? null, span: found.covered_s,
    };
  }
  const until = nowOf(store) - 1;
  const role = store.side(until);
  const total = { exchanges: 0, errors: 0, retries: 0, timeouts: 0 };
  const bins = new Float64Array(BINS);
  for (const second of store.range(until, SPAN)) {
    if (!second) continue;
    const side = second[role];
    total.exchanges += side.count;
    total.errors += side.errors;
    total.retries += side.retries;
    total.timeouts += side.timeouts;
    for (let at = 0; at < BINS; at++) bins[at] += side.bins[at];
  }
  const [p50, p95, p99] = quantiles(bins, [0.5, 0.95, 0.99]);
  return {
    ...total, role, exact: false, perSecond: total.exchanges / SPAN, errorRatio: total.exchanges ? total.errors / total.exchanges : null,
    p50, p95, p99, span: SPAN,
  };
}

export function Tiles() {
  const store = useBeat("figures");
  const now = headline(store);
  const until = nowOf(store) - 1;
  const trend = store.range(until, TREND).map((one) => one?.[now.role] ?? null);
  const counts = (name) => trend.map((side, at) => (side ? side[name] : until - TREND + 1 + at < store.knownFrom ? null : 0));
  const slow = trend.map((side) => (side ? quantiles(side.bins, [0.5, 0.95, 0.99]) : [null, null, null]));
  const seen = now.role === "client" ? "as the asking side saw it" : "as the answering side saw it";
  return html`<section class="tiles" aria-label=${`Now: the last ${Math.round(now.span)} seconds, ${seen}`}>
    <${Tile} name="requests" unit="/s" value=${rate(now.perSecond)} trend=${counts("count")} note=${seen} />
    <${Tile} name="errors" value=${percent(now.errorRatio ?? (now.exchanges ? 0 : null))} tone=${now.errors ? "bad" : ""} mark=${now.errors ? "✕" : ""}
      trend=${counts("errors")} note=${`${count(now.errors)} of ${count(now.exchanges)}`}
      act=${() => show("errors")} label="Show errors" />
    <${Tile} name="p50" value=${ms(now.p50)} trend=${slow.map((one) => one[0])} note="half are faster" />
    <${Tile} name="p95" value=${ms(now.p95)} trend=${slow.map((one) => one[1])} note="1 in 20 is slower" />
    <${Tile} name="p99" value=${ms(now.p99)} trend=${slow.map((one) => one[2])} note="show the slowest" act=${() => show("slowest")} label="Show the slowest exchanges" />
    <${Tile} name="retries" unit="/s" value=${rate(now.retries / Math.max(1, now.span))} tone=${now.retries ? "warn" : ""} mark=${now.retries ? "▲" : ""}
      trend=${counts("retries")} note=${`${count(now.timeouts)} timeouts`} />
  </section>`;
}

function show(order) {
  go({ order }, { step: true });
  const target = document.getElementById("exchanges");
  target?.closest("section").scrollIntoView({ block: "start" });
  target?.focus({ preventScroll: true });
}

function Tile({ name, value, unit = "", tone = "", mark = "", trend, note, act, label }) {
  const inside = html`<span class="name">${name}</span>
    <span class="value"><span aria-hidden="true" class="mark">${mark}</span>${value}<span class="unit">${unit}</span></span>
    <span class="note">${note}</span><${Trend} values=${trend} />`;
  const classes = cls("tile", tone, view.order && label?.toLowerCase().includes(view.order) && "chosen");
  return act ? html`<button class=${classes} onClick=${act} title=${label}>${inside}</button>` : html`<div class=${classes}>${inside}</div>`;
}

function Trend({ values }) {
  const known = values.filter((one) => one !== null);
  const top = Math.max(...known, 1e-9);
  const parts = [];
  let line = "";
  values.forEach((value, at) => {
    if (value === null) {
      if (line) parts.push(line);
      line = "";
    } else {
      line += `${line ? "L" : "M"}${at} ${(29 - (value / top) * 27).toFixed(1)}`;
    }
  });
  if (line) parts.push(line);
  return html`<svg class="trend" viewBox=${`0 0 ${values.length - 1} 30`} preserveAspectRatio="none" aria-hidden="true"><path d=${parts.join("")} /></svg>`;
}
