// The few figures that only the Prometheus exposition has: the observer's own cost and lag.

const WANTED = /^(netscope_(?:probe_seconds_total|cpu_seconds_total|drain_lag_seconds|memory_bytes|ring_fill_ratio|intake_reads_total)[a-z_]*)(?:\{([^}]*)\})? ([0-9.eE+-]+|NaN)/;

export function parseExposition(text) {
  const found = {};
  for (const line of text.split("\n")) {
    if (line.charCodeAt(0) === 35) continue;
    const parts = WANTED.exec(line);
    if (!parts) continue;
    (found[parts[1]] ??= []).push({ labels: parts[2] ?? "", value: Number(parts[3]) });
  }
  return { figures: found, at: Date.now() };
}

export function sum(exposition, name) {
  const found = exposition?.figures[name];
  return found ? found.reduce((total, one) => total + one.value, 0) : null;
}
