// The five invariants: holds, violated, or not measured, and why.
import { useState } from "../vendor/hooks.mjs";
import { cls, html } from "../dom.js";
import { count, shown } from "../format.js";
import { model, useModel } from "../model.js";

const NAMES = { I1: "Idempotence", I2: "Timeouts", I3: "Coherence", I4: "Traceability", I5: "Isolation" };
const MEANINGS = {
  I1: "Every unsafe request carries an idempotency key, and its retries the same one.", I2: "Every attempt ends.",
  I3: "The kernel, the exchanges and the metrics count the same.", I4: "Every attempt has a trace ID, and is archived.",
  I5: "No internal address is visible outside.",
};
const STATES = { holds: ["✔", "holds", "good"], violated: ["✕", "violated", "bad"], not_measured: ["○", "not measured", "dim"] };

export function Invariants() {
  useModel();
  const [open, setOpen] = useState("");
  const answer = model.answers.invariants;
  const found = answer?.value?.invariants ?? [];
  const shownOne = found.find((one) => one.id === open);
  return html`<section class="panel invariants" aria-labelledby="invariants-title">
    <h2 id="invariants-title" class="sr">Invariants</h2>
    <div class="strip">${Object.keys(NAMES).map((id) => cell(id, found.find((one) => one.id === id), open, setOpen))}</div>
    ${shownOne && html`<div class="why" id="invariant-why"><p><b>${open} ${NAMES[open]}.</b> ${MEANINGS[open]}</p>
      ${shownOne.detail && html`<p>${shown(shownOne.detail)}.</p>`}
      ${shownOne.evidence.length > 0 && html`<p>Broken by, among others: ${shownOne.evidence.map((one) => html`<code>${shown(one)}</code> `)}</p>`}
      ${shownOne.not_measured.length > 0 && html`<p class="dim">Not measured: ${shownOne.not_measured.map(shown).join("; ")}.</p>`}</div>`}
    ${answer?.problem && html`<p class="dim">${answer.problem.title}</p>`}
  </section>`;
}

function cell(id, found, open, setOpen) {
  const [mark, word, tone] = STATES[found?.status] ?? ["○", "not known yet", "dim"];
  const note = !found ? "" : found.status === "violated" ? `${count(found.violations)} of ${count(found.checked)}` : found.status === "holds" ? `${count(found.checked)} checked` : "";
  const partly = found?.status === "holds" && found.not_measured.length ? ", in part" : "";
  return html`<button class=${cls("invariant", tone)} aria-expanded=${open === id} disabled=${!found} onClick=${() => setOpen(open === id ? "" : id)}>
    <span class="id">${id}</span><span class="title">${NAMES[id]}</span><span class=${tone}><span aria-hidden="true">${mark}</span> ${word}${partly}</span><span class="dim note">${note}</span></button>`;
}
