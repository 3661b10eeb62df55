// The bar on top: state, filter, pause, trust, and how the page looks.
import { useEffect, useRef, useState } from "../vendor/hooks.mjs";
import { cls, html } from "../dom.js";
import { copy, curlCommand, watchCommand } from "../commands.js";
import { Icon } from "../icons.js";
import { faultOf } from "../filter.js";
import { go, view } from "../link.js";
import { applyFilter, model, togglePause, useModel } from "../model.js";
import { nextTheme, theme } from "../themes.js";
import { Trust } from "./trust.js";

const SETTLE_MS = 600;
const EXAMPLES = [
  ["severity=error", "no answer, or 5xx"], ["status>=400", ""], ["latency>250ms", "slow"], ["read_delay>20ms", "a busy event loop"],
  ["attempt>1", "retries"], ["outcome=timeout,reset", "given up, cut off"], ["role=client method=POST", ""],
];
export const WINDOWS = { "": 300, "1m": 60, "15m": 900 };

export function Topbar() {
  useModel();
  return html`<header class="topbar">
    <h1 class="brand"><img src="/static/icon.svg" alt="" width="26" height="26" />NetScope</h1>
    <${State} />
    <${Filter} />
    <label class="field"><span class="sr">Time window of the charts</span>
      <select value=${view.window} onChange=${(event) => go({ window: event.target.value })}>
        <option value="1m">1 min</option><option value="">5 min</option><option value="15m">15 min</option>
      </select></label>
    <button class=${cls("wide", model.paused && "primary")} aria-pressed=${Boolean(model.paused)} onClick=${togglePause} title="space">
      <${Icon} name=${model.paused ? "play" : "pause"} /> ${model.paused ? "Resume" : "Pause"}</button>
    <${Trust} />
    <span class="tools">
      <button class="icon" onClick=${() => go({ wall: view.wall ? "" : "1" })} aria-pressed=${view.wall === "1"} title="wall mode (w)" aria-label="Wall mode"><${Icon} name="wall" /></button>
      <button class="icon" onClick=${() => { nextTheme(); }} title="theme (t)" aria-label=${`Theme: ${theme() || "as the system"}`}><${Icon} name="theme" /></button>
      <button class="icon" onClick=${() => go({ panel: "help" })} title="help (?)" aria-label="Help"><${Icon} name="help" /></button>
    </span>
  </header>`;
}

const STATES = {
  live: ["●", "Live", "good"], connecting: ["◌", "Connecting", "dim"], waiting: ["✕", "Stale", "bad"], polling: ["◔", "Polling", "warn"],
};

function State() {
  const [mark, word, tone] = model.paused ? ["■", "Paused", "warn"] : STATES[model.connection.kind];
  return html`<span class=${`state ${tone}`} id="state"><span aria-hidden="true">${mark}</span> ${word}</span>`;
}

function Filter() {
  const [draft, setDraft] = useState(view.filter);
  const timer = useRef(0);
  const fault = faultOf(draft);
  const told = fault?.message ?? (model.filterProblem && draft === model.filter ? model.filterProblem : "");
  useEffect(() => setDraft(view.filter), [view.filter]);
  const apply = (text) => {
    clearTimeout(timer.current);
    if (!faultOf(text) && text.trim() !== view.filter) applyFilter(text.trim());
  };
  const typed = (event) => {
    const text = event.target.value;
    setDraft(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => apply(text), SETTLE_MS);
  };
  return html`<form class=${cls("filter", told && "faulty")} role="search" onSubmit=${(event) => { event.preventDefault(); apply(draft); }}>
    <label class="sr" for="filter">Filter exchanges</label>
    <input id="filter" type="text" list="examples" autocomplete="off" autocapitalize="off" spellcheck=${false} maxlength="2048"
      placeholder="filter, as status>=500 latency>250ms" value=${draft} onInput=${typed} onBlur=${() => apply(draft)}
      aria-invalid=${Boolean(told)} aria-describedby="filter-fault" />
    <datalist id="examples">${EXAMPLES.map(([text, why]) => html`<option value=${text}>${why}</option>`)}</datalist>
    ${draft && html`<button type="button" class="icon" aria-label="Clear the filter" onClick=${() => { setDraft(""); apply(""); }}><${Icon} name="close" /></button>`}
    <${CopyMenu} />
    <div id="filter-fault" class="fault" role="status">${told && html`${marked(draft, fault)}<span>${told}</span>`}</div>
  </form>`;
}

function marked(text, fault) {
  if (!fault) return null;
  const { at, length } = fault;
  return html`<code>${text.slice(0, at)}<mark>${text.slice(at, at + length) || " "}</mark>${text.slice(at + length)}</code>`;
}

function CopyMenu() {
  const [open, setOpen] = useState(false);
  const [said, setSaid] = useState("");
  const box = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const away = (event) => {
      if (event.key === "Escape" || (event.type === "pointerdown" && !box.current?.contains(event.target))) setOpen(false);
    };
    addEventListener("pointerdown", away);
    addEventListener("keydown", away);
    return () => {
      removeEventListener("pointerdown", away);
      removeEventListener("keydown", away);
    };
  }, [open]);
  const take = async (text) => setSaid((await copy(text)) ? "copied" : "select the text and copy it");
  const lines = [["In a terminal", watchCommand(view.filter)], ["From the API", curlCommand(view.filter)], ["This view", location.href]];
  return html`<span class="menu" ref=${box}>
    <button type="button" class="icon" aria-expanded=${open} aria-label="Copy as command" title="copy as command" onClick=${() => { setOpen(!open); setSaid(""); }}><${Icon} name="copy" /></button>
    ${open && html`<div class="popover" role="group" aria-label="Copy as command">
      ${lines.map(([name, text]) => html`<div class="copyline"><span>${name}</span><code tabindex="0">${text}</code>
        <button type="button" onClick=${() => take(text)}>Copy</button></div>`)}
      <span class="dim" role="status">${said}</span></div>`}
  </span>`;
}
