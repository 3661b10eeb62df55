// GET requests to the collector: JSON, problem documents as errors with their request ID, the bearer token.

const TOKEN = "netscope.token";
const TIMEOUT_MS = 12_000;
const FIRST = "/v1/exchanges?limit=200";

export class Problem extends Error {
  constructor({ title, status = 0, detail = "", requestId = "" }) {
    super(title);
    this.title = title;
    this.status = status;
    this.detail = detail;
    this.requestId = requestId;
  }
}

let given = ""; // for a browser that keeps nothing: good until the page is left

export function token() {
  try {
    return sessionStorage.getItem(TOKEN) ?? given;
  } catch {
    return given;
  }
}

export function keepToken(text) {
  given = text;
  try {
    sessionStorage.setItem(TOKEN, text);
  } catch {
    // `given` has to do
  }
}

export function headers() {
  return token() ? { authorization: `Bearer ${token()}` } : {};
}

async function answer(path) {
  const sent = token();
  const found = await ask(path);
  return found.status === 401 && token() !== sent ? ask(path) : found; // asked before the token was given
}

async function ask(path) {
  try {
    const first = window.netscopeFirst;
    delete window.netscopeFirst; // asked by theme.js; good for the very first question only
    if (first && path === FIRST) return await first;
    return await fetch(path, { headers: headers(), signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
  } catch (error) {
    const title = error.name === "TimeoutError" ? "The collector did not answer in time" : "The collector does not answer";
    throw new Problem({ title, detail: path.split("?")[0] });
  }
}

async function problemOf(found, path) {
  const requestId = found.headers.get("x-request-id") ?? "";
  let said = {};
  try {
    said = await found.json();
  } catch {
    // no problem document: the status has to do
  }
  const title = typeof said.title === "string" ? said.title : `${path.split("?")[0]} answered ${found.status}`;
  const detail = said.detail ?? said.output ?? "";
  return new Problem({ title, status: found.status, detail: String(detail), requestId });
}

export function pathOf(path, query = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== "" && value !== null && value !== undefined) found.set(name, value);
  return String(found) ? `${path}?${found}` : path;
}

export async function getText(path, query) {
  const found = await answer(pathOf(path, query));
  if (!found.ok) throw await problemOf(found, path);
  return found.text();
}

// `also`: statuses besides 2xx whose body is an answer (health says 503 with reasons).
export async function getJson(path, query, { also = [] } = {}) {
  const found = await answer(pathOf(path, query));
  if (!found.ok && !also.includes(found.status)) throw await problemOf(found, path);
  try {
    return await found.json();
  } catch {
    throw new Problem({ title: `${path} answered something else than JSON`, status: found.status });
  }
}
