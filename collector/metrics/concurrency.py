"""How many exchanges of one destination were under way at once, exactly, from when each began and ended.

An exchange is known when it ended, so the peak of a second is known a little later. What overlaps with exchanges still
to come is kept, up to a limit of time and number.
"""

from itertools import accumulate
from typing import Final

_KEPT_NS: Final = 10_000_000_000
_KEPT: Final = 4096
_POOL: Final = 2  # connections that make a pool: with one, the next request simply follows
_SOON_NS: Final = 1_000_000  # a connection taken again so soon had been waited for

Span = tuple[int, int, int]  # began, ended, connection


class Concurrency:
    """Exchanges under way at once, and how many waited for a connection."""

    __slots__ = ("_base", "_ended", "_kept", "_new", "exchanges", "peak", "queued")

    def __init__(self) -> None:
        self.peak = 0  # since the start
        self.exchanges = 0
        self.queued = 0  # began within 1 ms of the end before on their connection, while as many as ever were under way
        self._new: list[Span] = []
        self._kept: list[Span] = []
        self._ended: dict[int, int] = {}  # connection -> when its last exchange ended

    def add(self, began_ns: int, ended_ns: int, connection: int) -> None:
        """Take one exchange that ended, wall-clock nanoseconds."""
        self._new.append((began_ns, ended_ns, connection))

    def settle(self, limit: int) -> None:
        """Take in what was added. `limit`: connections ever open at once."""
        new, self._new = self._new, []
        if not new:
            return
        overlapping = self._overlapping(new)
        peak = _most(overlapping + new)
        self.peak = max(self.peak, peak)
        self.exchanges += len(new)
        soon = self._taken_again(new)
        if peak >= max(limit, _POOL):
            self.queued += soon
        newest = max(span[1] for span in new)
        kept = [span for span in overlapping + new if span[1] > newest - _KEPT_NS]
        self._kept = sorted(kept, key=lambda span: span[1])[-_KEPT:]

    def _overlapping(self, new: list[Span]) -> list[Span]:
        first = min(new)[0]
        return [span for span in self._kept if span[1] > first]

    def _taken_again(self, spans: list[Span]) -> int:
        ended, soon = self._ended, 0
        for began_ns, ended_ns, connection in sorted(spans):
            before = ended.pop(connection, None)
            if before is not None and began_ns - before < _SOON_NS:
                soon += 1
            ended[connection] = ended_ns
        while len(ended) > _KEPT:
            del ended[next(iter(ended))]
        return soon


def _most(spans: list[Span]) -> int:
    """Return the most spans that hold one moment; one that begins as another ends does not overlap with it."""
    base = spans[0][0]
    edges = [2 * (began - base) + 1 for began, _, _ in spans]
    edges += [2 * (max(ended, began + 1) - base) for began, ended, _ in spans]
    edges.sort()
    return max(accumulate([1 if edge & 1 else -1 for edge in edges]))
