// What stands above everything: connection lost, paused, API problems with their request ID.
import { html } from "../dom.js";
import { ago, clock } from "../format.js";
import { dismiss, live, model, resume, retryNow, useBeat } from "../model.js";

export function Banners() {
  useBeat("map", { always: true });
  return html`<div class="banners">
    <div role="status" aria-live="polite">${connection()}${paused()}${restarted()}</div>
    <div role="alert">${model.problems.map((one) => problem(one))}</div>
  </div>`;
}

function connection() {
  const { kind, since, retryAt, why } = model.connection;
  if (kind === "waiting") {
    const wait = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    const stale = live.events.length ? `What you see is of ${clock(since, { millis: false })}.` : "";
    return html`<div class="banner stale"><b>Stale.</b> The connection to the collector is lost${why ? ` (${why})` : ""}. ${stale}
      Trying again ${wait ? `in ${wait} s` : "now"}. <button onClick=${retryNow}>Try now</button></div>`;
  }
  if (kind === "polling") {
    return html`<div class="banner"><b>Polling.</b> Live updates are not possible: ${why}. The page asks once a second instead.
      <button onClick=${retryNow}>Try the WebSocket again</button></div>`;
  }
  return null;
}

function paused() {
  if (!model.paused) return null;
  const { at, linked } = model.paused;
  const since = live.received - model.paused.received;
  const lost = live.missed - model.paused.missed;
  return html`<div class="banner paused"><b>Paused</b> at ${clock(at, { millis: false })} (${ago((Date.now() - at) / 1000)}).
    ${linked ? "This is the moment of the link." : `${since} newer exchanges wait${lost ? `, ${lost} were missed` : ""}.`}
    <button onClick=${resume}>Resume</button></div>`;
}

function restarted() {
  if (!live.restartedAt || Date.now() - live.restartedAt > 60_000) return null;
  return html`<div class="banner"><b>New run.</b> The collector was restarted; exchanges are shown from
    ${clock(live.restartedAt, { millis: false })} on.</div>`;
}

function problem({ id, title, detail, requestId }) {
  return html`<div class="banner problem" key=${id}><b>${title}.</b> ${detail}
    ${requestId && html`<span class="dim"> request ${requestId}</span>`}
    <button onClick=${() => dismiss(id)}>Dismiss</button></div>`;
}
