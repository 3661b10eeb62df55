// Who talks to whom, from the exchanges of the last minute, or of as much of it as is in memory. Both ends of one exchange make one edge, not two.
import { BINS, binOf, quantiles } from "./histogram.js";
import { endOf } from "./store.js";

export const SPAN_S = 60;
const OUTSIDE_LIMIT = 8;
const EDGES_LIMIT = 24;
const KAFKA_PORTS = new Set([9092, 9093, 9094, 19092, 29092]);

const LOCAL = "this host";
const place = (ip, port) => `${ip}:${port}`;
const named = (event) => event.service ?? event.comm ?? "unknown process";

// others: [{service, role, peer_ip, peer_port, bytes_per_s}] open connections whose bytes are not HTTP.
export function topology(events, untilMs, others = []) {
  const since = untilMs - SPAN_S * 1000;
  let first = events.length;
  while (first > 0 && endOf(events[first - 1]) >= since - 5000) first -= 1;
  const recent = events.slice(first).filter((event) => endOf(event) >= since && endOf(event) <= untilMs);
  const servers = new Map();
  const clients = new Set();
  for (const event of recent) {
    if (event.role === "server") servers.set(place(event.local_ip, event.local_port), named(event));
    else clients.add(place(event.local_ip, event.local_port));
  }
  const nodes = new Map();
  const edges = new Map();
  for (const event of recent) {
    if (event.role === "client") {
      const own = servers.get(place(event.peer_ip, event.peer_port));
      const to = own ? node(nodes, own, "watched") : node(nodes, event.host ?? place(event.peer_ip, event.peer_port), "outside");
      count(edges, node(nodes, named(event), "watched"), to, event);
    } else if (!clients.has(place(event.peer_ip, event.peer_port))) {
      count(edges, node(nodes, "callers", "callers"), node(nodes, named(event), "watched"), event);
    }
  }
  for (const one of directed(others)) stream(nodes, edges, one);
  const oldest = events.length ? Math.max(since, endOf(events[0])) : since;
  const seconds = Math.max(1, Math.min(SPAN_S, (untilMs - oldest) / 1000));
  return { ...laidOut(nodes, folded(nodes, [...edges.values()]), seconds), seconds };
}

// Streams from who was connected to (a broker) to who connected (its worker). Where nobody knows who connected, the end that
// several connections share is the one they were made to.
function directed(others) {
  const ends = new Map();
  const tell = (ip, port) => ends.set(place(ip, port), (ends.get(place(ip, port)) ?? 0) + 1);
  for (const one of others) {
    if (one.peer_port !== null) tell(one.peer_ip, one.peer_port);
    if (one.role === null) tell(LOCAL, one.local_port);
  }
  const takers = new Map(others.filter((one) => one.local_port !== null).map((one) => [one.local_port, one.service]));
  return others.filter((one) => {
    if (one.role !== null) return one.role === "client";
    if (KAFKA_PORTS.has(one.peer_port)) return true;
    const [theirs, ours] = [ends.get(place(one.peer_ip, one.peer_port)), ends.get(place(LOCAL, one.local_port))];
    return theirs > ours || (theirs === ours && one.peer_port < one.local_port);
  }).map((one) => ({ ...one, taker: takers.get(one.peer_port) }));
}

function stream(nodes, edges, other) {
  const address = place(other.peer_ip, other.peer_port);
  const kafka = KAFKA_PORTS.has(other.peer_port);
  if (other.taker === other.service) return;
  const from = other.taker ? node(nodes, other.taker, "watched") : node(nodes, kafka ? `Kafka ${address}` : address, kafka ? "kafka" : "stream");
  const edge = edgeOf(edges, from, node(nodes, other.service, "watched"));
  edge.other = true;
  edge.bytes = (edge.bytes ?? 0) + (other.bytes_per_s ?? 0);
}

function node(nodes, name, kind) {
  const key = `${kind === "watched" ? "w" : "o"} ${name}`;
  if (!nodes.has(key)) nodes.set(key, { key, name, kind, in: 0, out: 0 });
  return nodes.get(key);
}

function edgeOf(edges, from, to) {
  const key = `${from.key}\n${to.key}`;
  if (!edges.has(key)) edges.set(key, { key, from, to, count: 0, errors: 0, retries: 0, bins: new Uint32Array(BINS) });
  return edges.get(key);
}

function count(edges, from, to, event) {
  const edge = edgeOf(edges, from, to);
  edge.count += 1;
  if (event.severity === "error") edge.errors += 1;
  if (event.attempt > 1) edge.retries += 1;
  if (event.elapsed_ms !== null) edge.bins[binOf(event.elapsed_ms)] += 1;
}

// Few enough to be read: the rest of what is outside becomes one box.
function folded(nodes, edges) {
  const outside = edges.filter((edge) => edge.to.kind === "outside").sort((a, b) => b.count - a.count);
  const rest = new Set(outside.slice(OUTSIDE_LIMIT).map((edge) => edge.to));
  const merged = new Map();
  for (const edge of edges) {
    const to = rest.has(edge.to) ? node(nodes, `${rest.size} more`, "outside") : edge.to;
    const one = edgeOf(merged, edge.from, to);
    one.count += edge.count;
    one.errors += edge.errors;
    one.retries += edge.retries;
    one.other = edge.other;
    one.bytes = edge.bytes;
    for (let at = 0; at < BINS; at++) one.bins[at] += edge.bins[at];
  }
  return [...merged.values()].sort((a, b) => b.count - a.count).slice(0, EDGES_LIMIT);
}

function laidOut(nodes, edges, seconds) {
  const used = new Set(edges.flatMap((edge) => [edge.from, edge.to]));
  for (const one of used) one.layer = 0;
  for (let round = 0; round < used.size; round++) {
    let moved = false;
    for (const { from, to } of edges) {
      if (from !== to && to.layer < from.layer + 1 && from.layer + 1 < used.size) {
        to.layer = from.layer + 1;
        moved = true;
      }
    }
    if (!moved || round > 6) break;
  }
  const layers = [];
  for (const one of [...used].sort((a, b) => a.name.localeCompare(b.name))) (layers[one.layer] ??= []).push(one);
  // Where several flows meet, each is labelled near its other end.
  const shares = (end, edge) => edges.filter((one) => one[end] === edge[end]).length;
  for (const edge of edges) {
    edge.labelAt = shares("to", edge) > shares("from", edge) ? 0.3 : shares("from", edge) > shares("to", edge) ? 0.7 : 0.5;
    const [p50, p95] = quantiles(edge.bins, [0.5, 0.95]);
    Object.assign(edge, { perSecond: edge.count / seconds, errorRatio: edge.count ? edge.errors / edge.count : 0, p50, p95 });
  }
  return { layers: layers.filter(Boolean), edges };
}
