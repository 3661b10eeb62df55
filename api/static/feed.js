// The feed: one WebSocket, resumed where it broke off, with back-off; polling where WebSockets do not get through.
import { getJson, token } from "./rest.js";

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 10_000;
const POLL_MS = 1_000;
const POLL_PAGES = 8;
const PAGE = 500;
const FAILURES_BEFORE_POLLING = 2;
const SILENCE = 1.8; // heartbeats

export class Feed {
  // take(frames: string[]|object[]), told(state): state = {kind, since, retryAt?, why?}
  constructor({ take, hello, told }) {
    this.take = take;
    this.hello = hello;
    this.told = told;
    this.filter = "";
    this.epoch = "";
    this.seq = null;
    this.failures = 0;
    this.heartbeatMs = 20_000;
    this.state = { kind: "connecting", since: Date.now() };
    this.socket = null;
    this.timers = {};
  }

  // Begin, or begin again with another filter.
  start(filter, { fresh = true } = {}) {
    this.stop();
    this.filter = filter;
    if (fresh) this.seq = null;
    this.failures = 0;
    this.run = {};
    this._connect(this.run);
  }

  stop() {
    this.run = null;
    for (const name of Object.keys(this.timers)) this._clear(name);
    this._drop();
  }

  retryNow() {
    if (!this.run || this.socket) return;
    this._clear("retry");
    this._connect(this.run);
  }

  _drop() {
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    try {
      socket.close();
    } catch {
      // it was never open
    }
  }

  _say(kind, more = {}) {
    if (this.state.kind === kind && this.state.retryAt === more.retryAt && this.state.why === more.why) return;
    const since = this.state.kind === kind ? this.state.since : Date.now();
    this.state = { kind, since, ...more };
    this.told(this.state);
  }

  _later(name, wait, act) {
    this._clear(name);
    this.timers[name] = setTimeout(act, wait);
  }

  _clear(name) {
    clearTimeout(this.timers[name]);
    delete this.timers[name];
  }

  _connect(run) {
    if (typeof WebSocket !== "function") {
      this._poll(run, "this browser has no WebSocket");
      return;
    }
    const query = new URLSearchParams();
    if (this.filter) query.set("filter", this.filter);
    if (this.seq !== null) {
      query.set("after", this.seq);
      query.set("epoch", this.epoch);
    }
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const offered = token() ? ["netscope.feed.v1", `bearer.${token()}`] : ["netscope.feed.v1"];
    if (this.state.kind !== "polling" && this.state.kind !== "waiting") this._say("connecting");
    let socket;
    try {
      socket = new WebSocket(`${scheme}://${location.host}/v1/feed?${query}`, offered);
    } catch {
      this._failed(run);
      return;
    }
    this.socket = socket;
    socket.onmessage = (message) => this._frame(run, message.data);
    socket.onclose = () => {
      this.socket = null;
      if (this.run === run) this._failed(run);
    };
    this._later("silence", this.heartbeatMs * SILENCE, () => this._silent(run));
  }

  _silent(run) {
    this._drop();
    if (this.run === run) this._failed(run, "nothing came for a while");
  }

  _frame(run, text) {
    if (this.run !== run) return;
    this._heard(run);
    if (text.startsWith('{"kind":"exchange"')) {
      this.take(text);
      return;
    }
    const frame = JSON.parse(text);
    if (frame.kind === "hello") {
      this._clear("poll");
      this.failures = 0;
      this.heartbeatMs = frame.heartbeat_s * 1000;
      const restarted = this.epoch !== "" && this.epoch !== frame.epoch;
      this.epoch = frame.epoch;
      if (!frame.resumed) this.seq = frame.seq;
      this._say("live");
      this.hello(frame, { restarted });
    } else if (frame.kind === "heartbeat") {
      this.seq = Math.max(this.seq ?? 0, frame.seq);
    } else {
      this.take(text);
    }
  }

  _heard(run) {
    const now = Date.now();
    if (now - (this.heardAt ?? 0) < 1000) return;
    this.heardAt = now;
    this._later("silence", this.heartbeatMs * SILENCE, () => this._silent(run));
  }

  // The store tells how far it has read, so that a resume begins there.
  reached(seq) {
    if (seq > (this.seq ?? 0)) this.seq = seq;
  }

  async _failed(run, why = "") {
    this._clear("silence");
    this.failures += 1;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.failures - 1)) * (0.75 + Math.random() / 2);
    if (this.state.kind !== "polling") this._say("waiting", { retryAt: Date.now() + pause, why });
    this._later("retry", pause, () => this._connect(run));
    if (this.failures >= FAILURES_BEFORE_POLLING && this.state.kind !== "polling") {
      this._poll(run, "the WebSocket does not get through");
    }
  }

  // Newest pages, back to what is known; a hole that is too large is told as a gap.
  async _poll(run, why) {
    try {
      const found = await pagesSince(this.filter, this.state.kind === "polling" || this.seq !== null ? this.seq : null);
      if (this.run !== run || this.state.kind === "live") return;
      const restarted = (found.epoch && this.epoch && this.epoch !== found.epoch) || (found.seq ?? Infinity) < (this.seq ?? 0);
      if (found.epoch || restarted) this.epoch = found.epoch;
      if (restarted) this.hello({ seq: found.seq, epoch: this.epoch, resumed: false }, { restarted });
      this._say("polling", { why });
      if (found.gap && !restarted) this.take({ kind: "gap", missed: null, from: (this.seq ?? 0) + 1, to: found.items[0].seq - 1 });
      for (const item of found.items) this.take(item);
      if (found.seq !== null) this.seq = restarted ? found.seq : Math.max(this.seq ?? 0, found.seq);
    } catch (problem) {
      if (this.run !== run) return;
      if (this.state.kind === "polling") this._say("waiting", { retryAt: Date.now() + POLL_MS, why: problem.title });
      if (typeof WebSocket === "function") return; // the retry of the WebSocket goes on
    }
    this._later("poll", POLL_MS, () => this._poll(run, why));
  }
}

// Exchanges above `seq`, oldest first. `gap`: there were more than were asked for.
export async function pagesSince(filter, seq, { pages = POLL_PAGES } = {}) {
  const items = [];
  let cursor = null;
  let epoch = "";
  let newest = null;
  for (let page = 0; page < pages; page++) {
    const found = await getJson("/v1/exchanges", { filter, limit: seq === null ? 200 : PAGE, cursor });
    if (found.next) epoch = found.next.slice(0, 16);
    if (newest === null) newest = found.items[0]?.seq ?? null;
    for (const item of found.items) {
      if (seq !== null && item.seq <= seq && newest >= seq) return { items: items.reverse(), gap: false, epoch, seq: newest };
      items.push(item);
    }
    cursor = found.next;
    if (!cursor || seq === null) return { items: items.reverse(), gap: false, epoch, seq: newest, all: !cursor };
  }
  return { items: items.reverse(), gap: true, epoch, seq: newest };
}
