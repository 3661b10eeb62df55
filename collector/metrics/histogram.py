"""Prometheus histograms: declared bounds, exact counts, the latest trace of each bucket as its exemplar."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from typing import Final

# of durations, milliseconds; inclusive upper bounds, published in docs/reference/metrics.md and never changed
BOUNDS_MS: Final = (0.5, 1, 2.5, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
BUCKETS: Final = len(BOUNDS_MS) + 1

Exemplar = tuple[str | None, float]  # trace ID, value in milliseconds


class Histogram:
    """Counts since the start."""

    __slots__ = ("counts", "exemplars", "sum_ms")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()  # by bucket
        self.sum_ms = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def add(self, values_ms: Sequence[float], traces: Sequence[str | None] = ()) -> None:
        """Count values; `traces` has the trace ID of each, or is empty."""
        buckets = list(map(bisect_left, repeat(BOUNDS_MS), values_ms))
        self.counts.update(buckets)
        self.sum_ms += sum(values_ms)
        if traces:
            self._exemplify(buckets, values_ms, traces)

    def _exemplify(self, buckets: list[int], values_ms: Sequence[float], traces: Sequence[str | None]) -> None:
        """Keep the last trace of each bucket."""
        places: Sequence[int] = range(len(buckets))
        if None in traces:
            places = [at for at in places if traces[at] is not None]
            buckets = [buckets[at] for at in places]
        for bucket, at in dict(zip(buckets, places, strict=True)).items():
            self.exemplars[bucket] = (traces[at], values_ms[at])

    @property
    def count(self) -> int:
        """How many values."""
        return self.counts.total()
