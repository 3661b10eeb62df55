// Resilience as the wire shows it, beside what the workers say of themselves: circuits, retries, timeouts, pools, in flight.
import { cls, html } from "../dom.js";
import { clock, count, ms, percent, shown } from "../format.js";
import { model, useModel } from "../model.js";

const CIRCUITS = { closed: ["●", "closed", "good"], half_open: ["◐", "half-open", "warn"], open: ["○", "open", "bad"], unknown: ["?", "unknown", "dim"] };
const TIMELINE_MS = 15 * 60_000;
const SHOWN = 6;

export function Resilience() {
  useModel();
  const answer = model.answers.resilience;
  const pools = model.answers.network?.value?.pools ?? [];
  const all = answer?.value?.destinations ?? [];
  const urgency = (one) => (one.circuit.state === "open" ? 2e9 : one.circuit.state === "half_open" ? 1e9 : 0) + one.attempts_total;
  const found = [...all].sort((a, b) => urgency(b) - urgency(a)).slice(0, SHOWN);
  const { compared = 0, disagreed = 0 } = answer?.value ?? {};
  return html`<section class="panel resilience" aria-labelledby="resilience-title">
    <div class="head"><h2 id="resilience-title">Resilience</h2><span class="dim push">${compared ? html`${count(compared)} figures compared with the workers’ own, <b class=${disagreed ? "warn" : ""}>${count(disagreed)} differ</b>` : "as the wire shows it"}</span></div>
    ${answer?.problem && !answer.value && html`<p class="dim">Not measured: ${answer.problem.title}.</p>`}
    ${answer?.value && !found.length && html`<p class="dim empty">No observed process has asked anybody yet.</p>`}
    <div class="destinations">${found.map((one) => html`<${Destination} key=${`${one.service} ${one.destination}`} one=${one} pool=${pools.find((p) => p.role === "client" && p.service === one.service && p.peer === one.destination)} />`)}</div>
    ${all.length > SHOWN && html`<p class="dim">and ${all.length - SHOWN} more destinations</p>`}
  </section>`;
}

function Destination({ one, pool }) {
  const [mark, word, tone] = CIRCUITS[one.circuit.state] ?? CIRCUITS.unknown;
  const told = one.reported;
  const evidence = one.circuit.evidence.at(-1)?.seen;
  return html`<div class="destination">
    <div class="who2"><b>${shown(one.service)} → ${shown(one.destination)}</b>
      <span class=${`pill ${tone}`} title=${evidence ?? ""}><span aria-hidden="true">${mark}</span> circuit ${word}${one.circuit.state === "unknown" ? "" : html` <span class="dim">${percent(one.circuit.confidence)} sure</span>`}</span></div>
    <${Timeline} circuit=${one.circuit} />
    <div class="scroll" tabindex="0" role="region" aria-label=${`Figures of ${shown(one.service)} to ${shown(one.destination)}`}><table><thead><tr><td></td><th scope="col">retries</th><th scope="col">timeouts</th><th scope="col">in flight</th><th scope="col">saturation</th><th scope="col">circuit</th></tr></thead><tbody>
      <tr><th scope="row">observed</th><td>${count(one.retries_total)} <span class="dim">of ${count(one.attempts_total)}</span></td><td>${count(one.timeouts_total)}${one.timeout ? html` <span class="dim">at ≈${ms(one.timeout.timeout_ms)}</span>` : ""}</td>
        <td>${count(one.in_flight)} <span class="dim">peak ${count(one.in_flight_peak)}</span></td><td><${Gauge} ratio=${pool?.saturation_ratio ?? one.saturation_ratio} pool=${pool} /></td><td>${word}</td></tr>
      ${told && html`<tr class="told"><th scope="row">reported</th><td>${count(told.retries_total)}</td><td>${count(told.timeouts_total)}</td><td>${count(told.in_flight)}</td><td>${percent(told.saturation)}</td><td>${shown(told.circuit ?? "–")}</td></tr>`}
    </tbody></table></div>
    ${!told && html`<p class="dim small">The worker’s own figures are not asked for${one.backoff && one.backoff.form !== "unknown" ? html` · retries come ${shape(one.backoff)}` : ""}.</p>`}
    ${one.disagreements.map((d) => html`<p class="warn small">▲ ${shown(d.figure)}: observed ${shown(d.observed)}, reported ${shown(d.reported)}</p>`)}
  </div>`;
}

function shape(backoff) {
  const base = backoff.base_ms === null ? "" : ` ${ms(backoff.base_ms)}`;
  return { constant: `after a constant${base}`, exponential: `after${base}, each time ${backoff.factor?.toFixed(1) ?? "?"} times longer`, jittered: `after up to${base}, jittered` }[backoff.form];
}

function Gauge({ ratio, pool }) {
  if (ratio === null || ratio === undefined) return "–";
  const text = pool ? `${pool.busy} busy of ${pool.open} open, most ever ${pool.limit}` : "";
  return html`<span class="gauge" title=${text}><svg viewBox="0 0 60 8" preserveAspectRatio="none" aria-hidden="true"><rect class="rail" width="60" height="8" rx="2" /><rect class=${cls("fill", ratio >= 0.95 && "bad")} width=${Math.min(1, ratio) * 60} height="8" rx="2" /></svg>${percent(ratio)}</span>`;
}

function Timeline({ circuit }) {
  const now = Date.now();
  const from = now - TIMELINE_MS;
  const steps = circuit.transitions.map((one) => ({ ...one, time: Date.parse(one.at) }));
  const spans = [];
  let state = steps[0]?.before ?? circuit.state;
  let start = Math.max(from, circuit.since && !steps.length ? Date.parse(circuit.since) : from);
  for (const step of steps) {
    if (step.time > from) spans.push({ state, start, end: step.time });
    state = step.after;
    start = Math.max(from, step.time);
  }
  spans.push({ state, start, end: now });
  const text = steps.length ? steps.map((one) => `${clock(one.time, { millis: false })} ${one.before} to ${one.after}`).join(", ") : `no change seen; opened ${circuit.opened_total} times`;
  return html`<svg class="timeline" viewBox="0 0 900 10" preserveAspectRatio="none" role="img" aria-label=${`Circuit over 15 minutes: ${text}`}><title>${text}</title><rect class="rail" width="900" height="10" />
    ${spans.map((one) => html`<rect class=${`circuit-${one.state}`} x=${((one.start - from) / TIMELINE_MS) * 900} width=${Math.max(2, ((one.end - one.start) / TIMELINE_MS) * 900)} y=${one.state === "open" ? 0 : one.state === "half_open" ? 3 : 6} height=${one.state === "open" ? 10 : one.state === "half_open" ? 7 : 4} />`)}</svg>`;
}
