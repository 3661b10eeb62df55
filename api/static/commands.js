// The current filter as a command to paste into a terminal.
import { pathOf } from "./rest.js";

// Words for a POSIX shell: in single quotes, where anything but plain letters is in them.
export function quoted(word) {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export function watchCommand(filter) {
  const words = filter.match(/(?:"[^"]*"|[^\s"])+/g) ?? [];
  return ["sudo collector watch", ...words.map(quoted)].join(" ");
}

export function curlCommand(filter) {
  return `curl -s ${quoted(location.origin + pathOf("/v1/exchanges", { filter, limit: 100 }))}`;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not a secure context: the page shows the text to be copied by hand
  }
}
