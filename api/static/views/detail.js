// One exchange, and why it took what it took: verdict, waterfall with its other attempts and ends, every field. Or a trace.
import { useEffect, useRef, useState } from "../vendor/hooks.mjs";
import { html } from "../dom.js";
import { term } from "../filter.js";
import { bytes, clock, ms, shown } from "../format.js";
import { Icon } from "../icons.js";
import { go, view } from "../link.js";
import { applyFilter, live, model, useModel } from "../model.js";
import { getJson } from "../rest.js";
import { instant } from "../store.js";
import { between, nameOf, peerOf, verdictOf } from "../verdict.js";
import { PARTS_SHOWN } from "./fields.js";
import { openRow } from "./tail.js";
import { statusOf } from "./status.js";
import { Waterfall } from "./waterfall.js";

const withBegin = (event) => Object.assign(event, { begin: instant(event.started_at) });

async function exchangeAt(place) {
  const [epoch, text] = place.split(".");
  const seq = Number(text);
  const known = [model.store, live].map((store) => store.events.find((one) => one.seq === seq)).find(Boolean);
  if (known && (!model.epoch || epoch === model.epoch)) return known;
  const found = await getJson("/v1/exchanges", { cursor: `${epoch}.${seq + 1}`, limit: 1 });
  return found.items[0]?.seq === seq ? withBegin(found.items[0]) : null;
}

async function traceOf(id) {
  const found = await getJson(`/v1/traces/${encodeURIComponent(id)}`);
  return { ...found, exchanges: found.exchanges.map(withBegin) };
}

// The same exchange at the other end: the same two endpoints, the other way round; of several on one connection the nearest.
export function otherEnd(event, among) {
  const away = (one) => Math.abs(one.begin - event.begin);
  const mirrors = among.filter((one) => one.role !== event.role && one.local_port === event.peer_port && one.peer_port === event.local_port
    && one.span_id === event.span_id && one.method === event.method && away(one) < Math.max(1000, event.elapsed_ms ?? 0));
  return mirrors.reduce((best, one) => (best === null || away(one) < away(best) ? one : best), null);
}

// All attempts of the request that this one belongs to, first one first.
export function attemptsOf(event, among) {
  const sides = among.filter((one) => one.role === event.role);
  const group = new Map([[event.id, event]]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const one of sides) {
      const joins = group.has(one.retry_of) || [...group.values()].some((other) => other.retry_of === one.id);
      if (joins && !group.has(one.id)) {
        group.set(one.id, one);
        grew = true;
      }
    }
  }
  return [...group.values()].sort((a, b) => a.begin - b.begin);
}

export function Detail() {
  useModel();
  const [found, setFound] = useState({ key: "" });
  const box = useRef(null);
  const key = `${view.x}|${view.trace}`;
  useEffect(() => {
    let gone = false;
    const load = async () => {
      try {
        const event = view.x ? await exchangeAt(view.x) : null;
        if (view.x && !event) throw new Error("This exchange is not kept any more. Older ones may be in the archive.");
        if (!gone && event) setFound({ key, event, trace: null });
        const id = view.trace || event?.trace_id;
        const trace = id ? await traceOf(id) : null;
        if (!gone) setFound({ key, event, trace });
      } catch (problem) {
        if (!gone) setFound((before) => ({ key, event: before.key === key ? before.event : null, problem }));
      }
    };
    void load();
    return () => (gone = true);
  }, [key]);
  useEffect(() => {
    if (found.key === key) box.current?.focus({ preventScroll: true });
  }, [found.key === key]);
  const close = () => go({ x: "", trace: "" });
  const stale = found.key !== key;
  return html`<aside class="detail" role="dialog" aria-label=${view.trace ? "Trace" : "Exchange"} tabindex="-1" ref=${box} data-keys>
    <button class="icon close" aria-label="Close" title="Esc" onClick=${close}><${Icon} name="close" /></button>
    ${stale && html`<p class="dim">Looking it up …</p>`}
    ${!stale && found.problem && html`<p class="bad">${found.problem.title ?? found.problem.message}${found.problem.detail ? `: ${found.problem.detail}` : ""}
      ${found.problem.requestId ? html` <span class="dim">request ${found.problem.requestId}</span>` : ""}</p>`}
    ${!stale && view.trace && found.trace && html`<${TraceView} trace=${found.trace} />`}
    ${!stale && !view.trace && found.event && html`<${One} event=${found.event} trace=${found.trace} />`}
  </aside>`;
}

function One({ event, trace }) {
  const among = trace?.exchanges ?? live.events.filter((one) => one.connection_id === event.connection_id || one.peer_port === event.local_port);
  const other = otherEnd(event, among);
  const rows = attemptsOf(event, among).map((one) => ({ event: one, inner: otherEnd(one, among), chosen: one.seq === event.seq }));
  const way = event.role === "client" ? between(event, other) : other ? between(other, event) : "";
  const filters = [["service", event.service], ["route", event.route], ["host", event.host]].filter(([, value]) => value).map(([name, value]) => term(name, value));
  const similar = filters.filter(Boolean).join(" ");
  return html`<h2 class="what"><span class="dim">${nameOf(event)} ${event.role === "client" ? "→" : "←"} ${event.role === "client" ? peerOf(event) : `${event.peer_ip}:${event.peer_port}`}</span>
      <span>${shown(event.method ?? "?")} ${shown(event.target ?? "?")}</span></h2>
    <p class="figures"><b class=${event.severity === "error" ? "bad" : event.severity === "warning" ? "warn" : "good"}>${statusOf(event)}</b>
      <b>${ms(event.elapsed_ms)}</b><span class="dim" title=${`${event.started_at} (UTC)`}>${clock(event.begin)}</span></p>
    <p class="verdict" id="verdict">${verdictOf(event, other)}</p>
    ${way && html`<p class="dim">${way}.</p>`}
    <${Waterfall} rows=${rows} open=${(one) => openRow(one)} />
    <div class="actions">
      ${event.trace_id && html`<button onClick=${() => go({ trace: event.trace_id }, { step: true })}>Whole trace (${trace ? trace.exchanges.length : "…"})</button>`}
      ${similar && html`<button onClick=${() => applyFilter(similar)}>Only such requests</button>`}
    </div>
    <${Fields} event=${event} />`;
}

function TraceView({ trace }) {
  const servers = new Set();
  const rows = [];
  for (const event of trace.exchanges) {
    if (event.role !== "client") continue;
    const inner = otherEnd(event, trace.exchanges);
    if (inner) servers.add(inner.seq);
    rows.push({ event, inner });
  }
  for (const event of trace.exchanges) if (event.role === "server" && !servers.has(event.seq)) rows.push({ event, inner: null });
  rows.sort((a, b) => a.event.begin - b.event.begin);
  const from = Math.min(...rows.map(({ event }) => event.begin));
  const to = Math.max(...rows.map(({ event }) => event.begin + (event.elapsed_ms ?? 0)));
  const failed = rows.filter(({ event }) => event.severity === "error").length;
  return html`<h2 class="what"><span class="dim">Trace</span><span>${shown(trace.trace_id)}</span></h2>
    <p class="verdict">${rows.length} exchange${rows.length === 1 ? "" : "s"} in ${ms(to - from)}, ${failed ? `${failed} failed` : "none failed"} · ${trace.services.map(shown).join(", ")}${trace.complete ? "" : " · more are kept than are shown"}</p>
    <${Waterfall} rows=${rows} open=${(one) => openRow(one)} />
    <div class="actions"><button onClick=${() => applyFilter(term("trace_id", trace.trace_id) ?? "")}>Only this trace</button>
      ${view.x && html`<button onClick=${() => go({ trace: "" }, { step: true })}>Back to the exchange</button>`}</div>`;
}

function Fields({ event }) {
  const inferred = new Set(event.quality.inferred);
  const invalid = event.quality.invalid;
  return html`<details><summary>All fields</summary><table class="fields"><tbody>${PARTS_SHOWN.map(([field, words, kind]) => {
    const value = event[field];
    const text = value === null || value === undefined ? "–" : kind === "ms" ? ms(value) : kind === "bytes" ? bytes(value) : kind === "us" ? ms(value / 1000) : shown(value);
    return html`<tr><th scope="row" title=${field}>${words}</th><td>${text}${inferred.has(field) ? html` <span class="dim">(concluded)</span>` : ""}</td></tr>`;
  })}
  <tr><th scope="row">marks</th><td>${["joined_mid", "truncated", "gap"].filter((name) => event.quality[name]).join(", ").replaceAll("_", " ") || "none"}${invalid.length ? ` · broke its specification: ${invalid.map(shown).join(", ")}` : ""}</td></tr>
  </tbody></table></details>`;
}
