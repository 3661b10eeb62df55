// A status, or what became of the exchange, in words.
export function statusOf(event) {
  if (event.outcome === "ok" || event.outcome === "http_error") return String(event.status_code);
  const word = event.outcome === null ? "open" : event.outcome.replaceAll("_", " ");
  return event.status_code ? `${event.status_code} ${word}` : word;
}
