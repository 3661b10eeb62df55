// One line that says where the time went and what went wrong; only from what was seen.
import { ms, percent, shown } from "./format.js";
import { partsOf } from "./views/parts.js";

export const nameOf = (event) => shown(event.service ?? event.comm ?? (event.pid ? `process ${event.pid}` : "an unknown process"));
export const peerOf = (event) => shown(event.host ?? `${event.peer_ip}:${event.peer_port}`);

// `other`: the same exchange as the other end saw it, where that end is observed, too.
export function verdictOf(event, other) {
  const peer = other ? nameOf(other) : event.role === "client" ? peerOf(event) : "the client";
  const lines = [endingOf(event, peer), biggestOf(event, peer)].filter(Boolean);
  const facts = [];
  if (event.retransmits !== null) facts.push(`${event.retransmits} retransmit${event.retransmits === 1 ? "" : "s"}`);
  if (event.read_delay_ms !== null) facts.push(`${ms(event.read_delay_ms)} read delay`);
  if (event.attempt > 1) facts.push(`attempt ${event.attempt}, after ${shown(event.retry_reason ?? "an earlier one")}`);
  if (event.quality.gap) facts.push("bytes were lost in between");
  return [...lines, facts.join(", ")].filter(Boolean).join(" · ");
}

function biggestOf(event, peer) {
  const parts = partsOf(event);
  const total = parts.reduce((all, one) => all + one.value, 0);
  if (!total) return "";
  const top = parts.reduce((best, one) => (one.value > best.value ? one : best));
  return `${percent(top.value / total)} ${phrase(top.name, event, peer)}`;
}

function phrase(name, event, peer) {
  const self = nameOf(event);
  const asks = event.role === "client";
  return {
    connect: `connecting to ${peer}`,
    send: asks ? "sending the request" : "sending the answer",
    wait: asks ? `waiting for ${peer}` : `${self}’s own work`,
    read: asks ? `unread: the answer was there, but ${self} was busy` : `unread: the request was there, but ${self} was busy`,
    receive: asks ? "receiving the answer" : "receiving the request",
  }[name];
}

function endingOf(event, peer) {
  const took = ms(event.elapsed_ms);
  switch (event.outcome) {
    case "ok":
      return "";
    case "http_error":
      return event.role === "client" ? `${peer} answered ${event.status_code}` : `answered ${event.status_code}`;
    case "timeout":
      return `gave up after ${took} without a byte of an answer`;
    case "reset":
      return `${peer} reset the connection after ${took}`;
    case "closed_by_peer":
      return `${peer} closed the connection before the answer was complete`;
    case "closed_by_local":
      return `${nameOf(event)} closed the connection before the answer was complete`;
    case null:
      return event.elapsed_ms === null ? "not ended, or its end cannot be known" : "its end cannot be known";
    default:
      return event.outcome.replaceAll("_", " ");
  }
}

// What the two ends together tell: the other end's own time, and the way between them.
export function between(event, other) {
  if (!other || event.role !== "client" || event.wait_ms === null || other.elapsed_ms === null) return "";
  const own = other.wait_ms ?? 0;
  const unread = other.read_delay_ms ?? 0;
  const parts = [`${nameOf(other)} itself worked ${ms(own)}`];
  if (unread > 1) parts.push(`the request lay there unread for ${ms(unread)}`);
  const way = event.wait_ms - own - unread - (other.receive_ms ?? 0);
  if (way >= 0) parts.push(`the way between them took ${ms(way)}`);
  return parts.join(", ");
}
