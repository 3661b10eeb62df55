// The filter grammar of collector.domain.filters, to mark a fault where it is while it is typed. The collector decides.

const TEXT = "service route outcome severity trace_id peer local method host role kind target comm request_id idempotency_key protocol cgroup retry_reason errno".split(" ");
const NUMBERS = "status pid attempt retransmits bytes_sent bytes_received port local_port peer_port connection_id exchange_no".split(" ");
const DURATIONS = "latency wait read_delay connect send receive".split(" ");
export const FIELDS = [...TEXT, ...NUMBERS, ...DURATIONS].sort();
const CHOICES = {
  outcome: "ok http_error timeout reset refused closed_by_peer closed_by_local truncated tunnel gap null".split(" "),
  severity: ["error", "warning", "info"],
  role: ["client", "server", "null"],
  kind: ["exchange", "connection"],
};

const fault = (at, length, message) => ({ at, length, message });

// The first fault of a filter: {at, length, message}, or null.
export function faultOf(text) {
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at])) {
      at += 1;
      continue;
    }
    const word = /^(?:"[^"]*"|[^\s"])+/.exec(text.slice(at))?.[0] ?? "";
    const end = at + word.length;
    if (end < text.length && !/\s/.test(text[end])) return fault(end, text.length - end, 'a " has no partner');
    const found = termFault(word, at);
    if (found) return found;
    at = end;
  }
  return null;
}

function termFault(word, at) {
  const parts = /^([a-z_]+)(!=|>=|<=|=|>|<)([\s\S]*)$/.exec(word);
  if (!parts) return fault(at, word.length, "write field=value, status>=500 or latency>250ms");
  const [, name, sign, text] = parts;
  if (!FIELDS.includes(name)) return fault(at, name.length, `unknown field ${name}${near(name, FIELDS)}`);
  if (TEXT.includes(name) && !["=", "!="].includes(sign)) return fault(at + name.length, sign.length, `${name} is text: use = or !=`);
  let where = at + name.length + sign.length;
  const values = text.match(/(?:"[^"]*"|[^,"])+|(?<=^|,)(?=,|$)/g) ?? [""];
  for (const [index, value] of values.entries()) {
    const found = valueFault(name, sign, value, where, index);
    if (found) return found;
    where += value.length + 1;
  }
  return null;
}

function valueFault(name, sign, value, at, index) {
  if (value === "") return fault(at, 1, 'a value is missing; an empty text is ""');
  const plain = value.replaceAll('"', "");
  if (TEXT.includes(name)) {
    const choices = CHOICES[name];
    const known = !choices || plain.includes("*") || choices.includes(plain);
    return known ? null : fault(at, value.length, `${name} is never ${plain}${near(plain, choices)}`);
  }
  if (index && !["=", "!="].includes(sign)) return fault(at, value.length, `${sign} takes one value`);
  if (plain === "null" && ["=", "!="].includes(sign)) return null;
  const number = /^[0-9]{1,30}(?:\.[0-9]{1,30})?(us|ms|s|)$/.exec(plain);
  const lasts = DURATIONS.includes(name);
  if (!number || (number[1] && !lasts)) return fault(at, value.length, `${plain} is not ${lasts ? "a duration, as 250ms" : "a number"}`);
  return null;
}

function near(word, choices) {
  const scored = choices.map((one) => [distance(word, one), one]).sort((a, b) => a[0] - b[0]);
  const [score, best] = scored[0];
  return score <= Math.max(2, word.length / 2) ? `; did you mean ${best}?` : "";
}

function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1])));
    row = next;
  }
  return row[b.length];
}

// A term as the grammar wants it: quotes where the value holds spaces or commas. null: it cannot be written.
export function term(name, value, sign = "=") {
  if (value === null || value === undefined) return `${name}${sign}null`;
  const text = String(value);
  if (/["\u0000-\u001f]/.test(text)) return null;
  return `${name}${sign}${/[\s,]/.test(text) || text === "" ? `"${text}"` : text}`;
}
