// The live tail: a virtual list of exchanges, newest, slowest or failed first. It stands still while somebody points at it.
import { useEffect, useRef, useState } from "../vendor/hooks.mjs";
import { cls, html } from "../dom.js";
import { clock, count, ms, shown, zone } from "../format.js";
import { go, view } from "../link.js";
import { model, useBeat } from "../model.js";
import { endOf } from "../store.js";
import { matches, parseBrush, sayBrush } from "../brush.js";
import { Parts } from "./parts.js";
import { statusOf } from "./status.js";
import { WINDOWS } from "./topbar.js";
import { nowOf } from "./tiles.js";

const SLOWEST = 500;
const MEANINGFUL = "netscope-meaningful"; // the first exchanges are on the screen
const ORDERS = { "": "Newest", slowest: "Slowest", errors: "Errors" };
const state = { held: null, rows: [], active: null, store: null, hover: false, focus: false };
const list = { scroller: null, again: () => {} };

// What is listed now: `length`, and `at(index)`.
function listed(store) {
  const brush = parseBrush(view.brush);
  let events = store.events;
  if (brush) events = events.filter((event) => matches(brush, event));
  if (view.order === "errors") events = events.filter((event) => event.severity === "error");
  if (view.order === "slowest") {
    const since = (nowOf(store) - WINDOWS[view.window]) * 1000;
    const known = events.filter((event) => event.elapsed_ms !== null && endOf(event) >= since);
    events = known.sort((a, b) => b.elapsed_ms - a.elapsed_ms).slice(0, SLOWEST);
    return { length: events.length, at: (index) => events[index], seq: store.events.at(-1)?.seq ?? 0 };
  }
  const last = events.length - 1;
  if (events === store.events) events = events.slice(0);
  return { length: events.length, at: (index) => events[last - index], seq: store.events.at(-1)?.seq ?? 0 };
}

const standing = () => state.hover || state.focus || (list.scroller?.scrollTop ?? 0) > 0;

export const tailKeys = {
  move(step) {
    const rows = state.rows;
    if (!rows.length) return;
    list.scroller?.focus({ preventScroll: true });
    const now = indexOf(state.active);
    const next = now < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, now + step));
    state.active = rows.at(next).seq;
    show(next);
    if (view.x) openRow(rows.at(next), { step: false });
    list.again();
  },
  open() {
    const at = indexOf(state.active);
    if (at >= 0) openRow(state.rows.at(at));
  },
  focus() {
    list.scroller?.focus({ preventScroll: true });
  },
};

function indexOf(seq) {
  if (seq === null) return -1;
  for (let at = 0; at < state.rows.length; at++) if (state.rows.at(at).seq === seq) return at;
  return -1;
}

const rowHeight = () => Number.parseFloat(getComputedStyle(list.scroller).getPropertyValue("--row")) || 28;

function show(index) {
  const box = list.scroller;
  const height = rowHeight();
  if (index * height < box.scrollTop) box.scrollTop = index * height;
  else if ((index + 1) * height > box.scrollTop + box.clientHeight) box.scrollTop = (index + 1) * height - box.clientHeight;
}

export function openRow(event, { step = true } = {}) {
  state.active = event.seq;
  go({ x: `${model.paused?.epoch || model.epoch || ""}.${event.seq}`, trace: "" }, { step });
}

export function Tail() {
  const store = useBeat("tail");
  const [, again] = useState(0);
  const scroller = useRef(null);
  const [top, setTop] = useState(0);
  list.again = () => again((n) => n + 1);
  const key = `${view.order}|${view.brush}|${view.filter}|${view.window}`;
  const old = state.held;
  const stays = old && old.key === key && old.store === store && old.version === store.version && standing() && !store.frozenAt;
  const rows = stays ? old.rows : listed(store);
  state.held = { key, rows, store, version: store.version };
  state.rows = rows;
  useEffect(() => {
    list.scroller = scroller.current;
  }, []);
  useEffect(() => {
    if (scroller.current) scroller.current.scrollTop = 0;
  }, [key, store]);
  useEffect(() => {
    if (rows.length && !performance.getEntriesByName(MEANINGFUL).length) performance.mark(MEANINGFUL);
  });
  const newer = stays ? (store.events.at(-1)?.seq ?? 0) - rows.seq : 0;
  return html`<section class="panel tail" aria-labelledby="tail-title">
    <div class="head"><h2 id="tail-title">Exchanges</h2>
      <div class="tabs" role="group" aria-label="Order">${Object.entries(ORDERS).map(([order, name]) =>
        html`<button aria-pressed=${view.order === order} onClick=${() => go({ order })}>${name}</button>`)}</div>
      ${view.brush && html`<span class="chip">${sayBrush(view.brush)}<button class="icon" aria-label="Clear the selection" onClick=${() => go({ brush: "" })}>×</button></span>`}
      <span class="dim push">${count(rows.length)} listed${newer > 0 ? html` · <span class="held">held, ${count(newer)} newer</span>` : ""}${gaps(store)}</span>
    </div>
    <div class="grid" id="exchanges" role="grid" tabindex="0" aria-label="Exchanges" aria-rowcount=${rows.length + 1}
      aria-activedescendant=${state.active !== null ? `row-${state.active}` : undefined} ref=${scroller}
      onScroll=${(event) => setTop(event.target.scrollTop)} onKeyDown=${arrows}
      onPointerEnter=${() => (state.hover = true)} onPointerLeave=${() => (state.hover = false)}
      onFocus=${() => (state.focus = true)} onBlur=${() => (state.focus = false)}>
      <div class="row headings" role="row" aria-rowindex="1">
        ${COLUMNS.map(([name, , title]) => html`<span role="columnheader" class=${`c-${name}`} title=${name === "time" ? `time zone: ${zone()}` : title}>${TITLES[name] ?? name}</span>`)}
      </div>
      <${Rows} rows=${rows} top=${top} box=${scroller.current} />
    </div>
  </section>`;
}

function gaps(store) {
  if (!store.missed && !store.missedUnknown) return "";
  return html` · <span class="warn">▲ ${store.missed ? count(store.missed) : "some"} missed</span>`;
}

function arrows(event) {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
  if (step) {
    tailKeys.move(step);
    event.preventDefault();
  }
}

function Rows({ rows, top, box }) {
  const height = box ? rowHeight() : 28;
  const first = Math.max(0, Math.floor(top / height) - 6);
  const last = Math.min(rows.length, first + Math.ceil((box?.clientHeight ?? 420) / height) + 14);
  const visible = [];
  for (let at = first; at < last; at++) visible.push(html`<${Row} key=${rows.at(at).seq} event=${rows.at(at)} index=${at} height=${height} />`);
  return html`<div class="canvas" role="rowgroup" ref=${(one) => one && (one.style.height = `${rows.length * height}px`)}>
    ${visible}${!rows.length && html`<div role="row" class="empty"><span role="gridcell">${nothing()}</span></div>`}</div>`;
}

function nothing() {
  if (view.brush) return "No exchange of the ones in memory lies in the selection.";
  if (view.order === "errors") return "No errors. That is good news.";
  if (model.filter) return "Nothing matches the filter yet.";
  return "No HTTP exchange has been seen yet. As soon as a process sends a request, it stands here.";
}

const SEVERITIES = { error: ["✕", "error"], warning: ["▲", "warning"], info: ["", ""] };

const COLUMNS = [
  ["time", (e) => clock(e.begin), "when it began"],
  ["sev", (e) => html`<span aria-hidden="true">${SEVERITIES[e.severity][0]}</span><span class="sr">${SEVERITIES[e.severity][1]}</span>`, "severity"],
  ["service", (e) => html`${shown(e.service ?? e.comm ?? "?")}`, "the observed process"],
  ["role", (e) => (e.role === "client" ? html`<span title="asks: it is the client">→</span><span class="sr">asks</span>` : html`<span title="answers: it is the server">←</span><span class="sr">answers</span>`), "asks → or answers ←"],
  ["method", (e) => shown(e.method ?? "?"), ""],
  ["target", (e) => shown(e.target ?? e.route ?? "?"), "query values are hidden"],
  ["status", statusOf, "status, or what became of it"],
  ["took", (e) => ms(e.elapsed_ms), "from the first byte to the last"],
  ["parts", (e) => html`<${Parts} event=${e} />`, "send, wait, read delay, receive"],
  ["try", (e) => (e.attempt > 1 ? `${e.attempt}.` : ""), "attempt"],
  ["peer", (e) => shown(e.host ?? `${e.peer_ip}:${e.peer_port}`), "host asked for, else address"],
  ["trace", (e) => shown((e.trace_id ?? "").slice(0, 8)), "trace ID, its beginning"],
];
const TITLES = { sev: html`<span class="sr">severity</span>`, role: html`<span class="sr">side</span>`, parts: "where the time went", took: "took" };

function Row({ event, index, height }) {
  const chosen = view.x.endsWith(`.${event.seq}`);
  return html`<div role="row" id=${`row-${event.seq}`} aria-rowindex=${index + 2} aria-selected=${chosen}
    class=${cls("row", event.severity, state.active === event.seq && "active", chosen && "chosen")}
    ref=${(one) => one && (one.style.transform = `translateY(${index * height}px)`)} onClick=${() => openRow(event)}>
    ${COLUMNS.map(([name, cell]) => html`<span role="gridcell" class=${`c-${name}`} title=${name === "time" ? `${event.started_at} (UTC)` : undefined}>${cell(event)}</span>`)}
  </div>`;
}
