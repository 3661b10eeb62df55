// The trust badge: can the figures be believed? Lost, coverage, overhead, drain lag; the whole account behind it.
import { useEffect, useRef } from "../vendor/hooks.mjs";
import { html } from "../dom.js";
import { sum } from "../exposition.js";
import { count, percent, short } from "../format.js";
import { go, view } from "../link.js";
import { live, model, useModel } from "../model.js";

const STALE_MS = 10_000;
const costs = [];

// Share of one core that the observer takes, over the last minute.
export function overhead() {
  const found = model.answers.exposition?.value;
  if (!found) return null;
  if (costs.at(-1)?.at !== found.at) {
    const own = sum(found, "netscope_cpu_seconds_total");
    const probes = sum(found, "netscope_probe_seconds_total");
    if (own === null && probes === null) return null;
    costs.push({ at: found.at, own: own ?? 0, probes: probes ?? 0 });
    if (costs.length > 13) costs.shift();
  }
  const [first, last] = [costs[0], costs.at(-1)];
  const seconds = (last.at - first.at) / 1000;
  if (seconds < 1) return null;
  return { own: Math.max(0, last.own - first.own) / seconds, probes: Math.max(0, last.probes - first.probes) / seconds };
}

export function trusted() {
  const losses = model.answers.losses;
  const health = model.answers.health?.value;
  if (!losses?.value) return { tone: "dim", mark: "○", word: "not known yet" };
  if (Date.now() - losses.at > STALE_MS) return { tone: "bad", mark: "✕", word: "stale" };
  if (health?.status === "fail") return { tone: "bad", mark: "✕", word: "not ready" };
  const lost = losses.value.total - (losses.value.stages.feed?.slow_client ?? 0);
  if (lost) return { tone: "warn", mark: "▲", word: `${short(lost)} lost` };
  return { tone: "good", mark: "✔", word: "nothing lost" };
}

export function Trust() {
  useModel();
  const { tone, mark, word } = trusted();
  const coverage = model.answers.network?.value?.coverage?.ratio;
  const cost = overhead();
  const lag = lagOf();
  const open = view.panel === "trust";
  return html`<span class="menu">
    <button id="trust" class=${`trust ${tone}`} aria-expanded=${open} onClick=${() => go({ panel: open ? "" : "trust" })}>
      <b><span aria-hidden="true">${mark}</span> ${word}</b>
      <span class="more">${coverage !== null && coverage !== undefined ? html`<span>coverage ${percent(Math.min(1, coverage))}</span>` : null}
      ${cost && html`<span>overhead ${percent(cost.own + cost.probes)} of a core</span>`}
      ${lag !== null && html`<span>lag ${lag}</span>`}</span>
    </button>
    ${open && html`<${Account} />`}
  </span>`;
}

function lagOf() {
  const seconds = sum(model.answers.exposition?.value, "netscope_drain_lag_seconds");
  if (seconds === null || Number.isNaN(seconds)) return null;
  return seconds < 0.001 ? "<1 ms" : `${Math.round(seconds * 1000)} ms`;
}

const STAGES = {
  kernel: "in the kernel", "ring": "between kernel and collector", bus: "inside the collector", feed: "subscribers that read too slowly",
};

function Account() {
  const box = useRef(null);
  useEffect(() => box.current?.focus(), []);
  const { losses, network, health } = model.answers;
  const found = losses?.value;
  const cost = overhead();
  const coverage = network?.value?.coverage;
  const records = found?.records ?? {};
  return html`<div class="popover account" role="dialog" aria-label="Can the figures be trusted?" tabindex="-1" ref=${box}>
    <h2>Can the figures be trusted?</h2>
    ${!found && html`<p>${losses?.problem?.title ?? "The account has not come yet."}</p>`}
    ${found && html`<table><tbody>
      ${line("Records from the kernel", `${count(records.captured ?? 0)}, of these read ${count(records.decoded ?? 0)}, lost ${count(records.lost ?? 0)}`)}
      ${line("Exchanges told", Object.entries(found.exchanges).map(([role, n]) => `${count(n)} ${role}`).join(" · ") || "0")}
      ${line("Coverage", coverage ? `${count(coverage.recorded)} measured of ${coverage.kernel === null ? "an unknown number" : count(coverage.kernel)} that the kernel counted` : reason(network))}
      ${line("Lost", lostText(found.stages))}
      ${line("Without a trace ID", `${count(found.untraced.exchanges)} exchanges; the page asks for them, as the feed does not tell them`)}
      ${line("Overhead", cost ? `${percent(cost.own)} of a core in the collector, ${percent(cost.probes)} in the kernel` : reason(model.answers.exposition))}
      ${line("Drain lag", lagOf() ?? reason(model.answers.exposition))}
      ${line("This page", `${count(live.received)} exchanges received, ${count(live.missed)} missed${live.missedUnknown ? `, ${live.missedUnknown} gaps of unknown size` : ""}, ${count(live.forgotten)} forgotten again, ${count(live.waiting)} waiting`)}
      ${line("Ready", health?.value ? `${health.value.status}${health.value.output ? `: ${health.value.output}` : `, ${health.value.description}`}` : reason(health))}
      ${found.balance.map((one) => line(one.equation, one.difference ? `${count(one.left)} and ${count(one.right)}: ${count(Math.abs(one.difference))} under way` : `${count(one.left)}, balanced`))}
    </tbody></table>`}
    <button onClick=${() => go({ panel: "" })}>Close</button>
  </div>`;
}

const reason = (answer) => answer?.problem?.title ?? "not known yet";
const line = (name, value) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`;

function lostText(stages) {
  const lines = Object.entries(stages).map(([stage, reasons]) =>
    `${STAGES[stage] ?? stage}: ${Object.entries(reasons).map(([why, n]) => `${count(n)} ${why.replaceAll("_", " ")}`).join(", ")}`);
  return lines.join(" · ") || "nothing, at any stage";
}
