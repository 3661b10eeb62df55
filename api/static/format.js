// How values look: durations, counts, times. No value from traffic is changed here but for control characters.

const NARROW = "\u202f";

export function ms(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value < 0.9995) return `${Math.round(value * 1000)}${NARROW}µs`;
  if (value < 9.95) return `${value.toFixed(2)}${NARROW}ms`;
  if (value < 99.95) return `${value.toFixed(1)}${NARROW}ms`;
  if (value < 999.5) return `${Math.round(value)}${NARROW}ms`;
  return `${(value / 1000).toFixed(value < 9995 ? 2 : 1)}${NARROW}s`;
}

export function count(value) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en-US").replaceAll(",", NARROW);
}

export function short(value) {
  if (value === null || value === undefined) return "–";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (value >= size) return `${(value / (unit === "k" ? 1e3 : size)).toFixed(1)}${NARROW}${unit}`;
  }
  return count(value);
}

export function rate(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value >= 1e4) return short(Math.round(value));
  return value >= 100 ? count(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(value ? 2 : 0);
}

export function percent(ratio) {
  if (ratio === null || ratio === undefined || Number.isNaN(ratio)) return "–";
  const value = ratio * 100;
  if (value === 0 || value >= 99.995) return `${Math.round(value)}%`;
  return value < 0.01 ? "<0.01%" : `${value.toFixed(value < 1 ? 2 : value < 10 ? 1 : 0)}%`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  for (const [size, unit] of [[1 << 30, "GiB"], [1 << 20, "MiB"], [1 << 10, "KiB"]]) {
    if (value >= size) return `${(value / size).toFixed(1)}${NARROW}${unit}`;
  }
  return `${value}${NARROW}B`;
}

const two = (value) => String(value).padStart(2, "0");

export function clock(at, { millis = true } = {}) {
  const date = new Date(at);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return millis ? `${time}.${String(date.getMilliseconds()).padStart(3, "0")}` : time;
}

export function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const sign = minutes < 0 ? "−" : "+";
  const size = Math.abs(minutes);
  return minutes ? `UTC${sign}${two(Math.floor(size / 60))}:${two(size % 60)}` : "UTC";
}

export function ago(seconds) {
  if (seconds < 1.5) return "now";
  if (seconds < 90) return `${Math.round(seconds)}${NARROW}s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)}${NARROW}min ago` : `${Math.round(seconds / 3600)}${NARROW}h ago`;
}

// Control and direction characters would let a hostile path disturb the line it stands in: they are shown as symbols.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
export function shown(text) {
  if (text === null || text === undefined) return "";
  return String(text).replace(HIDDEN, (found) => {
    const code = found.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : "\ufffd";
  });
}
