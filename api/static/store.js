// What the page knows: recent exchanges (bounded), figures by the second, and how much of it is missing.
// Frames are queued as text and taken apart a few milliseconds a frame, so that a flood never holds up the screen.
import { BINS, binOf } from "./histogram.js";

export const EVENTS_KEPT = 20_000;
export const SECONDS_KEPT = 900;
const QUEUE_LIMIT = 40_000;
const BUDGET_MS = 7;
const HIDDEN_BUDGET_MS = 40;
const BEATS = { tail: 120, figures: 500, map: 1000 };

class Side {
  constructor() {
    this.count = 0;
    this.errors = 0;
    this.retries = 0;
    this.timeouts = 0;
    this.bins = new Uint16Array(BINS);
  }
}

export class Second {
  constructor(at) {
    this.at = at;
    this.client = new Side();
    this.server = new Side();
    this.missed = 0;
  }
}

// RFC 3339 with nanoseconds as milliseconds since 1970, to the microsecond.
const parsed = { text: "", at: 0 };
export function instant(text) {
  const second = text.slice(0, 19);
  if (second !== parsed.text) {
    parsed.text = second;
    parsed.at = Date.parse(`${second}Z`);
  }
  return parsed.at + Number(`0${text.slice(19, -1)}`) * 1000;
}

// When the exchange ended (or began, where that is not known), in milliseconds.
export function endOf(event) {
  return event.begin + (event.elapsed_ms ?? 0);
}

export class Store {
  constructor() {
    this.beats = new Map(Object.keys(BEATS).map((name) => [name, new Set()]));
    this.beatAt = {};
    this.reset();
    this.clear();
  }

  // Another filter: everything that was under the old one goes.
  clear() {
    this.events = [];
    this.seconds = new Map();
    this.queue = [];
    this.queueAt = 0;
    this.received = 0;
    this.missed = 0; // told by the collector, or dropped here
    this.missedUnknown = 0; // gaps whose size is not known
    this.dropped = 0; // of these, dropped here
    this.forgotten = 0;
    this.gaps = [];
    this.knownFrom = Date.now() / 1000; // what came earlier is unknown, which is not the same as nothing
    this.dirty = true;
    this.version = (this.version ?? 0) + 1;
  }

  // Another run of the collector: sequence numbers begin again; the figures by the second stay.
  reset() {
    this.events = [];
    this.gaps = [];
    this.restartedAt = this.version === undefined ? null : Date.now();
    this.dirty = true;
  }

  on(beat, act) {
    this.beats.get(beat).add(act);
    return () => this.beats.get(beat).delete(act);
  }

  offer(frame) {
    if (this.queue.length - this.queueAt >= QUEUE_LIMIT) {
      this._dropOldest();
    }
    this.queue.push(frame);
  }

  _dropOldest() {
    const gone = Math.floor(QUEUE_LIMIT / 4);
    this.queueAt += gone;
    this.missed += gone;
    this.dropped += gone;
    this._second(Date.now()).missed += gone;
  }

  get waiting() {
    return this.queue.length - this.queueAt;
  }

  // Called once a frame of the screen (or by a timer while the page is hidden).
  run(now, { hidden = false } = {}) {
    const until = performance.now() + (hidden ? HIDDEN_BUDGET_MS : BUDGET_MS);
    while (this.queueAt < this.queue.length) {
      this._take(this.queue[this.queueAt++]);
      if (this.queueAt % 32 === 0 && performance.now() > until) break;
    }
    if (this.queueAt === this.queue.length && this.queueAt) {
      this.queue = [];
      this.queueAt = 0;
    } else if (this.queueAt > 4096) {
      this.queue.splice(0, this.queueAt);
      this.queueAt = 0;
    }
    for (const [name, pause] of Object.entries(BEATS)) {
      if (now - (this.beatAt[name] ?? 0) >= pause && (this.dirty || name !== "tail")) {
        this.beatAt[name] = now;
        if (name === "tail") this.dirty = false;
        for (const act of this.beats.get(name)) act();
        break; // one beat a frame: together they would be a long task
      }
    }
  }

  _take(frame) {
    const event = typeof frame === "string" ? JSON.parse(frame) : frame;
    if (event.kind === "exchange") this.add(event);
    else if (event.kind === "gap") this.miss(event);
  }

  miss(gap) {
    this.gaps.push({ ...gap, at: Date.now() });
    if (this.gaps.length > 100) this.gaps.shift();
    if (gap.missed === null) this.missedUnknown += 1;
    else this.missed += gap.missed;
    this._second(Date.now()).missed += gap.missed ?? 1;
    this.dirty = true;
  }

  add(event) {
    const events = this.events;
    let at = events.length;
    while (at > 0 && events[at - 1].seq > event.seq) at -= 1;
    if (at > 0 && events[at - 1].seq === event.seq) return;
    event.begin = instant(event.started_at);
    if (at === events.length) events.push(event);
    else events.splice(at, 0, event);
    this.received += 1;
    this.dirty = true;
    if (events.length > EVENTS_KEPT + 2000) {
      this.forgotten += events.length - EVENTS_KEPT;
      this.events = events.slice(-EVENTS_KEPT);
    }
    this._count(event);
    if (event.trace_id !== null) this.reached?.(event.seq);
  }

  _count(event) {
    const side = this._second(endOf(event))[event.role];
    if (!side) return;
    side.count += 1;
    if (event.severity === "error") side.errors += 1;
    if (event.attempt > 1) side.retries += 1;
    if (event.outcome === "timeout") side.timeouts += 1;
    if (event.elapsed_ms !== null) side.bins[binOf(event.elapsed_ms)] += 1;
  }

  _second(at) {
    const key = Math.floor(at / 1000);
    let found = this.seconds.get(key);
    if (!found) {
      found = new Second(key);
      this.seconds.set(key, found);
      if (this.seconds.size > SECONDS_KEPT) this._forgetSeconds();
    }
    return found;
  }

  _forgetSeconds() {
    const keys = [...this.seconds.keys()].sort((a, b) => a - b);
    for (const key of keys.slice(0, keys.length - SECONDS_KEPT)) this.seconds.delete(key);
  }

  // A view that stands still: what is known now, whatever comes.
  freeze() {
    const frozen = Object.create(Store.prototype);
    Object.assign(frozen, this);
    frozen.events = this.events.slice();
    frozen.seconds = new Map([...this.seconds].map(([key, one]) => [key, structuredCopy(one)]));
    frozen.gaps = this.gaps.slice();
    frozen.frozenAt = Date.now();
    return frozen;
  }

  // The newest `span` seconds up to `until` (both in seconds), absent ones as null.
  range(until, span) {
    const found = [];
    for (let at = until - span + 1; at <= until; at++) found.push(this.seconds.get(at) ?? null);
    return found;
  }

  // Nothing is older than these, of all that the collector has; or `all` of it is here.
  knows(events, { all = false } = {}) {
    const oldest = events.length ? Math.min(...events.map(endOf)) / 1000 : Infinity;
    this.knownFrom = all ? 0 : Math.min(this.knownFrom, oldest);
  }

  // The side whose figures are shown: what the asking ends saw, where any was watched.
  side(until, span = 60) {
    let servers = 0;
    for (let at = until - span; at <= until; at++) {
      const one = this.seconds.get(at);
      if (one?.client.count) return "client";
      servers += one?.server.count ?? 0;
    }
    return servers ? "server" : "client";
  }
}

function structuredCopy(second) {
  const copy = new Second(second.at);
  copy.missed = second.missed;
  for (const role of ["client", "server"]) {
    Object.assign(copy[role], second[role], { bins: second[role].bins.slice() });
  }
  return copy;
}
