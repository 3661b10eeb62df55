// The one state of the page: store, feed, polls, pause, selection. Views read it and call its methods.
import { useEffect, useState } from "./vendor/hooks.mjs";
import { Feed, pagesSince } from "./feed.js";
import { go, onView, view } from "./link.js";
import { Problem, getJson, getText } from "./rest.js";
import { Store, instant } from "./store.js";
import { parseExposition } from "./exposition.js";

const POLLS = {
  losses: { path: "/v1/losses", every: 2000 },
  network: { path: "/v1/metrics/network?window=10s", every: 2000 },
  resilience: { path: "/v1/resilience/state", every: 2000 },
  invariants: { path: "/v1/invariants", every: 4000 },
  streams: { path: "/v1/connections?limit=1", every: 3000 },
  health: { path: "/health/ready", every: 3000, also: [503] },
  exposition: { path: "/metrics", every: 5000, text: true },
};
const HIDDEN_FACTOR = 5;
const UNTRACED_EVERY_MS = 1500;
const STAGGER_MS = 60; // between the first polls: the exchanges come first

export const live = new Store();
const listeners = new Set();

export const model = {
  store: live, // what the views show: `live`, or a copy that stands still
  paused: null, // {at: ms, seq, epoch}
  connection: { kind: "connecting", since: Date.now() },
  answers: {}, // by poll: {value, at, problem}
  problems: [], // shown until dismissed: {id, title, detail, requestId}
  filter: view.filter,
  started: performance.now(),
};

let version = 0;

export function changed() {
  version += 1;
  for (const tell of listeners) tell();
}

export function useModel() {
  const [drawn, again] = useState(version);
  useEffect(() => {
    const tell = () => again(version);
    listeners.add(tell);
    if (version !== drawn) tell(); // changed since it was drawn, when nobody listened yet
    return () => listeners.delete(tell);
  }, []);
  return model;
}

// Draw again on each beat of the live store; what a paused page shows stands still, but for what is `always` drawn.
export function useBeat(name, { always = false } = {}) {
  const [, again] = useState(0);
  useEffect(() => live.on(name, () => (model.paused && !always ? null : again((n) => n + 1))), [name]);
  useModel();
  return model.store;
}

let problemId = 0;
export function report(problem) {
  const known = model.problems.find((one) => one.title === problem.title && one.detail === problem.detail);
  if (known) {
    known.requestId = problem.requestId;
    return;
  }
  problemId += 1;
  const { title, detail, requestId, status } = problem;
  model.problems = [...model.problems.slice(-2), { id: problemId, title, detail, requestId, status }];
  changed();
}

export function dismiss(id) {
  model.problems = model.problems.filter((one) => one.id !== id);
  changed();
}

// -- the feed ---------------------------------------------------------------------------------------------------------

const feed = new Feed({
  take: (frame) => live.offer(frame),
  hello: (frame, { restarted }) => {
    if (restarted) live.reset();
    model.epoch = frame.epoch;
    if (model.greeted && !frame.resumed) void backfill(model.filter);
    model.greeted = true;
    changed();
  },
  told: (state) => {
    model.connection = state;
    changed();
  },
});
live.reached = (seq) => feed.reached(seq);

export function retryNow() {
  feed.retryNow();
}

async function backfill(filter) {
  try {
    const found = await pagesSince(filter, null, { pages: 1 });
    if (filter !== model.filter) return;
    for (const item of found.items) live.offer(item);
    if (found.epoch) model.epoch ??= found.epoch;
    for (const item of found.items) item.begin = instant(item.started_at);
    live.knows(found.items, { all: found.all });
    if (!found.all) void older(filter);
  } catch (problem) {
    if (filter !== model.filter) return;
    if (problem.status === 401) model.locked = true;
    else if (problem.status === 400) model.filterProblem = problem.detail || problem.title;
    else report(problem);
    if (problem.status === 400 || problem.status === 401) feed.stop();
    changed();
  }
}

// A few more pages behind the first, so that charts do not begin empty.
async function older(filter, pages = 6) {
  let cursor = null;
  for (let page = 0; page < pages && filter === model.filter; page++) {
    const found = await getJson("/v1/exchanges", { filter, limit: 500, cursor });
    const past = found.items.reverse();
    if (filter === model.filter) addOlder(past, { all: !found.next });
    cursor = found.next;
    if (!cursor) return;
  }
}

function addOlder(items, { all }) {
  const known = new Set(live.events.map((one) => one.seq));
  const fresh = items.filter((one) => !known.has(one.seq));
  for (const one of items) one.begin = instant(one.started_at);
  for (const one of fresh) live._count(one);
  live.knows(items, { all });
  live.received += fresh.length;
  live.events = [...live.events, ...fresh].sort((a, b) => a.seq - b.seq);
  live.dirty = true;
}

export function applyFilter(filter, { step = true } = {}) {
  go({ filter, at: "", brush: "" }, { step });
}

function refilter() {
  model.filter = view.filter;
  model.filterProblem = null;
  live.clear();
  feed.start(model.filter);
  void backfill(model.filter);
}

// The feed tells only what has a trace ID; what has none is asked for.
async function untraced() {
  const losses = model.answers.losses?.value;
  const total = losses?.untraced.exchanges ?? 0;
  if (total > (model.untracedSeen ?? 0) && model.connection.kind === "live" && !/trace_id/.test(model.filter)) {
    const before = model.untracedSeq ?? live.events[0]?.seq ?? 0;
    const filter = `${model.filter} trace_id=null`.trim();
    const found = await pagesSince(filter, before, { pages: 2 });
    for (const item of found.items) live.offer(item);
    if (found.gap) live.offer({ kind: "gap", missed: null, from: before + 1, to: found.items[0].seq - 1 });
    if (found.seq !== null) model.untracedSeq = found.seq;
    model.untracedSeen = total;
  }
}

// -- pause ------------------------------------------------------------------------------------------------------------

export function pause() {
  const store = live.freeze();
  const seq = store.events.at(-1)?.seq ?? 0;
  model.store = store;
  model.paused = { at: Date.now(), seq, epoch: model.epoch ?? "", received: live.received, missed: live.missed };
  go({ at: `${model.epoch ?? ""}.${seq}.${model.paused.at}` });
  changed();
}

export function resume() {
  model.store = live;
  model.paused = null;
  go({ at: "" });
  live.dirty = true;
  changed();
}

export function togglePause() {
  if (model.paused) resume();
  else pause();
}

// A link to a moment: the exchanges up to then, as the collector still keeps them.
async function openMoment(at, filter) {
  const [epoch, seqText, time] = at.split(".");
  const seq = Number(seqText);
  const store = new Store();
  store.frozenAt = Number(time);
  model.paused = { at: Number(time), seq, epoch, linked: true, received: 0, missed: 0 };
  model.store = store;
  changed();
  try {
    let cursor = `${epoch}.${seq + 1}`;
    const items = [];
    for (let page = 0; page < 8 && cursor; page++) {
      const found = await getJson("/v1/exchanges", { filter, limit: 500, cursor });
      items.push(...found.items);
      cursor = found.next;
    }
    for (const item of items.reverse()) store.add(item);
    store.knows(store.events, { all: !cursor });
  } catch (problem) {
    report(new Problem({ ...problem, title: problem.title, detail: `the linked moment cannot be shown: ${problem.detail}` }));
    resume();
  }
  changed();
}

// -- polls ------------------------------------------------------------------------------------------------------------

async function poll(name) {
  const { path, also, text } = POLLS[name];
  const before = model.answers[name];
  try {
    const value = text ? parseExposition(await getText(path)) : await getJson(path, {}, { also });
    model.answers[name] = { value, before: before?.value ?? null, beforeAt: before?.at ?? 0, at: Date.now(), problem: null };
  } catch (problem) {
    model.answers[name] = { value: before?.value ?? null, at: before?.at ?? 0, problem };
    if (problem.status === 401) model.locked = true;
    else if (problem.status && problem.status !== 503 && problem.status !== 404) report(problem);
  }
  if (!model.paused) changed();
}

// Open connections that are not HTTP, with bytes a second between the last two answers.
export function streams() {
  const answer = model.answers.streams;
  const seconds = answer ? (answer.at - answer.beforeAt) / 1000 : 0;
  const total = (one) => one.bytes_sent + one.bytes_received;
  return (answer?.value?.streams ?? []).map((one) => {
    const old = answer.before?.streams?.find((other) => other.service === one.service && other.peer_ip === one.peer_ip && other.peer_port === one.peer_port && other.local_port === one.local_port);
    return { ...one, bytes_per_s: old && seconds > 0 && seconds < 60 ? Math.max(0, total(one) - total(old)) / seconds : null };
  });
}

function repeat(act, every) {
  const round = async () => {
    try {
      if (!model.locked) await act(); // without the token there is nothing to ask
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    } finally {
      setTimeout(round, document.hidden ? every * HIDDEN_FACTOR : every);
    }
  };
  void round();
}

// -- life -------------------------------------------------------------------------------------------------------------

function frames() {
  const step = (now) => {
    live.run(now);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
  setInterval(() => document.hidden && live.run(performance.now(), { hidden: true }), 500);
}

export function begin() {
  frames();
  feed.start(model.filter);
  void backfill(model.filter);
  if (view.at) void openMoment(view.at, view.filter);
  Object.entries(POLLS).forEach(([name, { every }], at) => setTimeout(() => repeat(() => poll(name), every), at * STAGGER_MS));
  setTimeout(() => repeat(untraced, UNTRACED_EVERY_MS), UNTRACED_EVERY_MS);
  onView(() => {
    if (view.filter !== model.filter) refilter();
    if (!view.at && model.paused) resume();
    else if (view.at && !model.paused) void openMoment(view.at, view.filter);
    changed();
  });
}

export function unlock() {
  model.locked = false;
  feed.start(model.filter);
  void backfill(model.filter);
  Object.keys(POLLS).forEach((name) => void poll(name));
  changed();
}
