// Log-linear histograms of milliseconds, 40 bins a decade from 1 µs to 1,000 s: a percentile is within 3% of the true one.

export const PER_DECADE = 40;
export const DECADES = 9;
export const BINS = PER_DECADE * DECADES;
const LOWEST_EXPONENT = -3;

export function binOf(value) {
  if (!(value > 0)) return 0;
  const bin = Math.floor((Math.log10(value) - LOWEST_EXPONENT) * PER_DECADE);
  return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
}

export function edgeOf(bin) {
  return 10 ** (bin / PER_DECADE + LOWEST_EXPONENT);
}

export function middleOf(bin) {
  return edgeOf(bin + 0.5);
}

// Values at each of some quantiles (ascending); null where nothing was counted.
export function quantiles(bins, wanted) {
  let total = 0;
  for (let at = 0; at < BINS; at++) total += bins[at];
  if (!total) return wanted.map(() => null);
  const found = [];
  let seen = 0;
  let next = 0;
  for (let at = 0; at < BINS && next < wanted.length; at++) {
    seen += bins[at];
    while (next < wanted.length && seen >= Math.ceil(total * wanted[next])) {
      found.push(middleOf(at));
      next += 1;
    }
  }
  return found;
}
