"""The configured timeout, from how long exchanges waited that were given up: a limit shows as a cluster."""

import statistics
from collections import deque
from typing import Final

from collector.domain.metrics import Evidence, TimeoutInferred

_SAMPLES: Final = 512
_FEWEST: Final = 3
_WIDTH: Final = 0.04  # of the cluster, relative; a timer fires late rather than early


class TimeoutShape:
    """The latest given-up exchanges of one destination."""

    __slots__ = ("_ms",)

    def __init__(self) -> None:
        self._ms: deque[float] = deque(maxlen=_SAMPLES)

    def add(self, elapsed_ms: float) -> None:
        """Take how long one exchange waited."""
        self._ms.append(elapsed_ms)

    def inferred(self) -> TimeoutInferred | None:
        """Return the timeout that most of them share; None where there are too few to say."""
        if len(self._ms) < _FEWEST:
            return None
        waits = sorted(self._ms)
        cluster = _densest(waits)
        share = len(cluster) / len(waits)
        confidence = share * (1 - 1 / (1 + len(cluster)))
        middle = statistics.median(cluster)
        low, _, high = statistics.quantiles(cluster, n=4) if len(cluster) > 1 else (middle, middle, middle)
        seen = f"{len(cluster)} of the last {len(waits)} given up waited {cluster[0]:.0f} to {cluster[-1]:.0f} ms"
        return TimeoutInferred(
            timeout_ms=round(middle, 3),
            spread_ms=round(max(high - low, 0.0), 3),
            samples=len(cluster),
            confidence=round(confidence, 3),
            evidence=(Evidence(seen=seen, at=None),),
        )


def _densest(waits: list[float]) -> list[float]:
    """Return the most values that lie within the width, of sorted ones."""
    best, first = (0, 1), 0
    for last, value in enumerate(waits):
        while waits[first] < value * (1 - _WIDTH) - 1:
            first += 1
        if last + 1 - first > best[1] - best[0]:
            best = (first, last + 1)
    return waits[best[0] : best[1]]
