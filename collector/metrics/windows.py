"""Sliding windows: rings of intervals, finer ones folded into coarser ones, merged exactly when read.

A window of N intervals holds the one under way and the N-1 before it, so it covers at most its name and at least its
name less one interval. Nothing is averaged: counts are added, histograms merged.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from collector.domain.metrics import WINDOWS, Window
from collector.metrics.values import Values

_SECOND: Final = 1_000_000_000
ELAPSED, CONNECT, WAIT, READ_DELAY = range(4)  # the time spans of an exchange that have a histogram
SPANS: Final = 4
RETRIES, RETRANSMITS, SENT, RECEIVED = range(4)  # what is summed besides


class Level(NamedTuple):
    """Intervals of one length, and how many of them make a window."""

    step_ns: int
    intervals: int


LEVELS: Final[Mapping[Window, Level]] = {
    "10s": Level(_SECOND, 10),
    "1m": Level(5 * _SECOND, 12),
    "5m": Level(30 * _SECOND, 10),
    "1h": Level(300 * _SECOND, 12),
}
STEP_NS: Final = LEVELS["10s"].step_ns
_LEVELS: Final = tuple(LEVELS[name] for name in WINDOWS)


class Kind(NamedTuple):
    """What a set of exchanges has in common, out of a closed list."""

    outcome: str
    status_class: str
    error: bool


@dataclass(slots=True)
class Amounts:
    """What a window holds."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    sums: list[int] = field(default_factory=lambda: [0] * 4)
    spans: list[Counter[int]] = field(default_factory=lambda: [Counter() for _ in range(SPANS)])
    spans_us: list[int] = field(default_factory=lambda: [0] * SPANS)


class Interval:
    """What was counted in one stretch of time."""

    __slots__ = ("exchanges", "kinds", "slot", "spans", "sums")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.exchanges = 0
        self.kinds: dict[Kind, int] = {}
        self.sums = (0, 0, 0, 0)
        self.spans: list[Values | None] = [None] * SPANS

    def add(self, kind: Kind, count: int, sums: Sequence[int]) -> None:
        """Count exchanges of one kind."""
        self.exchanges += count
        self.kinds[kind] = self.kinds.get(kind, 0) + count
        a, b, c, d = self.sums
        self.sums = (a + sums[0], b + sums[1], c + sums[2], d + sums[3])

    def span(self, span: int) -> Values:
        """Return the times of one span, to be added to."""
        values = self.spans[span]
        if values is None:
            values = self.spans[span] = Values()
        return values

    def merge(self, other: "Interval") -> None:
        """Add what another interval holds."""
        self.exchanges += other.exchanges
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        a, b, c, d = self.sums
        sums = other.sums
        self.sums = (a + sums[0], b + sums[1], c + sums[2], d + sums[3])
        for number, values in enumerate(other.spans):
            if values is not None:
                self.span(number).merge(values)

    def settle(self) -> None:
        """Take little room: it is over."""
        for values in self.spans:
            if values is not None:
                values.settle()

    def add_to(self, amounts: Amounts) -> None:
        """Add what this holds to a window."""
        for kind, count in self.kinds.items():
            amounts.kinds[kind] += count
        amounts.sums = [have + more for have, more in zip(amounts.sums, self.sums, strict=True)]
        for number, values in enumerate(self.spans):
            if values is not None:
                values.add_to(amounts.spans[number])
                amounts.spans_us[number] += values.total_us


class _Ring:
    """The intervals of one level: one under way, the others done."""

    __slots__ = ("_kept", "_step_ns", "current", "done")

    def __init__(self, level: Level) -> None:
        self._step_ns, self._kept = level
        self.current: Interval | None = None
        self.done: deque[Interval] = deque()

    def at(self, now_ns: int) -> int:
        return now_ns // self._step_ns

    def finish(self) -> Interval | None:
        """End the interval under way; return it."""
        ended, self.current = self.current, None
        if ended is not None:
            ended.settle()
            self.done.append(ended)
        return ended

    def forget(self, now_ns: int) -> None:
        oldest = self.at(now_ns) - self._kept
        while self.done and self.done[0].slot <= oldest:
            self.done.popleft()

    def within(self, now_ns: int) -> list[Interval]:
        """Return the intervals that are done and belong to the window."""
        oldest = self.at(now_ns) - self._kept
        return [done for done in self.done if done.slot > oldest]


class Track:
    """The windows of one series. Times are CLOCK_MONOTONIC nanoseconds and never go back."""

    __slots__ = ("_rings", "last_ns")

    def __init__(self, now_ns: int) -> None:
        self._rings = tuple(_Ring(level) for level in _LEVELS)
        self.last_ns = now_ns  # when something was counted last

    def interval(self, now_ns: int) -> Interval:
        """Return the interval under way, to be added to."""
        self.last_ns = now_ns
        finest = self._rings[0]
        slot = finest.at(now_ns)
        if finest.current is None or finest.current.slot != slot:
            self.roll(now_ns)
            finest.current = Interval(slot)
        return finest.current

    def roll(self, now_ns: int) -> None:
        """End the intervals that are over, fold each into the next coarser, forget what left its window."""
        for number, ring in enumerate(self._rings):
            if ring.current is not None and ring.current.slot != ring.at(now_ns):
                self._end(number)
            if ring.done:
                ring.forget(now_ns)

    def _end(self, number: int) -> None:
        ended = self._rings[number].finish()
        if ended is None or number + 1 == len(self._rings):
            return
        coarser = self._rings[number + 1]
        slot = coarser.at(ended.slot * _LEVELS[number].step_ns)
        if coarser.current is not None and coarser.current.slot != slot:
            self._end(number + 1)
        if coarser.current is None:
            coarser.current = Interval(slot)
        coarser.current.merge(ended)

    def _within(self, window: Window, now_ns: int) -> list[Interval]:
        self.roll(now_ns)
        number = WINDOWS.index(window)
        under_way = [ring.current for ring in self._rings[: number + 1] if ring.current is not None]
        return [*self._rings[number].within(now_ns), *under_way]

    def add_window(self, window: Window, now_ns: int, amounts: Amounts) -> None:
        """Add what a window holds."""
        for interval in self._within(window, now_ns):
            interval.add_to(amounts)

    def exchanges(self, window: Window, now_ns: int) -> int:
        """Return how many exchanges a window holds."""
        return sum(interval.exchanges for interval in self._within(window, now_ns))

    def span(self, span: int, window: Window, now_ns: int) -> Counter[int]:
        """Return the times of one span in a window, by HDR index."""
        counts: Counter[int] = Counter()
        for interval in self._within(window, now_ns):
            values = interval.spans[span]
            if values is not None:
                values.add_to(counts)
        return counts

    @property
    def intervals(self) -> int:
        """How many intervals are kept."""
        return sum((ring.current is not None) + len(ring.done) for ring in self._rings)


def covered_s(window: Window, *, now_ns: int, started_ns: int) -> float:
    """Return the time that a window covers, seconds."""
    step, intervals = LEVELS[window]
    begins = max((now_ns // step - intervals + 1) * step, started_ns)
    return max(now_ns - begins, 0) / _SECOND
