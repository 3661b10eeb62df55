// Exchanges under one another on one time axis: attempts of a request, or everything of a trace.
import { cls, html } from "../dom.js";
import { ms, shown } from "../format.js";
import { endOf } from "../store.js";
import { nameOf } from "../verdict.js";
import { partsOf } from "./parts.js";
import { statusOf } from "./status.js";

const startOf = (event) => event.begin - (event.connect_ms ?? 0);

// rows: [{event, inner: the other end's event or null, chosen}]
export function Waterfall({ rows, open }) {
  const all = rows.flatMap((row) => [row.event, row.inner].filter(Boolean));
  const from = Math.min(...all.map(startOf));
  const to = Math.max(...all.map((event) => Math.max(endOf(event), event.begin)), from + 0.001);
  const span = to - from;
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return html`<div class="waterfall">
    <div class="axis" aria-hidden="true">${ticks.map((at) => html`<span style=${{ left: `${at * 100}%` }}>${ms(at * span)}</span>`)}</div>
    <ol>${rows.map(({ event, inner, chosen }) => html`<li key=${event.seq} class=${cls(event.severity, chosen && "chosen")}>
      <div class="who"><button class="link" onClick=${() => open(event)} aria-current=${chosen ? "true" : undefined}>${label(event)}</button>
        <span class=${event.severity === "error" ? "bad" : event.severity === "warning" ? "warn" : "dim"}>${statusOf(event)}</span><span class="push">${ms(event.elapsed_ms)}</span></div>
      <${Track} event=${event} from=${from} span=${span} />
      ${inner && html`<div class="who inner"><span class="dim">${nameOf(inner)}, the same at the other end</span><span class="push dim">${ms(inner.elapsed_ms)}</span></div>
        <${Track} event=${inner} from=${from} span=${span} thin />`}
    </li>`)}</ol></div>`;
}

function label(event) {
  const attempt = event.attempt > 1 ? `${event.attempt}. attempt ` : "";
  return `${attempt}${nameOf(event)} ${event.role === "client" ? "→" : "←"} ${shown(event.method ?? "?")} ${shown(event.route ?? event.target ?? "?")}`;
}

function Track({ event, from, span, thin }) {
  const place = (start, length) => ({ left: `${((start - from) / span) * 100}%`, width: `${(length / span) * 100}%` });
  const parts = partsOf(event);
  const whole = event.elapsed_ms ?? 0;
  const text = parts.map((one) => `${one.words} ${ms(one.value)}`).join(", ");
  return html`<div class=${cls("track", thin && "thin")} role="img" aria-label=${text || `took ${ms(event.elapsed_ms)}`} title=${text}>
    <i class="whole" style=${place(event.begin, whole)}></i>
    ${parts.map((one) => html`<i class=${`b-${one.name}`} style=${place(event.begin + one.from, one.value)}></i>`)}</div>`;
}
