"""The fast path: exchanges alike in all labels share a cell, which only collects numbers until it is folded.

An exchange costs one dictionary look-up and a few appends; histograms, windows and counters are brought up to date
for all exchanges of a cell together, at the end of an interval or when somebody reads.
"""

from typing import TYPE_CHECKING, NamedTuple

from collector.metrics import hdr
from collector.metrics.series import CounterKey, Series
from collector.metrics.windows import CONNECT, ELAPSED, READ_DELAY, WAIT, Kind

if TYPE_CHECKING:
    from collector.domain.events import Exchange


class Places(NamedTuple):
    """Where the exchanges of a cell are counted."""

    route: Series
    peer: Series
    service: Series


class Cell:
    """Exchanges of one role, service, route, method, status, outcome and peer, not folded yet."""

    __slots__ = (
        "batch",
        "connect",
        "count",
        "elapsed",
        "key",
        "kind",
        "overflowed",
        "places",
        "read_delay",
        "received",
        "retransmits",
        "retries",
        "sent",
        "traces",
        "wait",
    )

    def __init__(self, kind: Kind, key: CounterKey, places: Places, overflowed: tuple[str, ...]) -> None:
        self.kind = kind
        self.key = key
        self.places = places
        self.overflowed = overflowed  # labels that became `_other` for want of room
        self.batch: list[Exchange] | None = None  # of the destination whose resilience is followed
        self._clear()

    def _clear(self) -> None:
        self.count = self.sent = self.received = self.retries = self.retransmits = 0
        self.elapsed: list[float] = []
        self.traces: list[str | None] = []  # of each elapsed
        self.connect: list[float] = []
        self.wait: list[float] = []
        self.read_delay: list[float] = []

    def fold(self, now_ns: int) -> None:
        """Count what was collected in windows and series; `now_ns` lies in the interval it belongs to."""
        count = self.count
        sums = (self.retries, self.retransmits, self.sent, self.received)
        spans = [
            (span, hdr.indices(times), sum(times))
            for span, values in (
                (ELAPSED, self.elapsed),
                (CONNECT, self.connect),
                (WAIT, self.wait),
                (READ_DELAY, self.read_delay),
            )
            if values
            for times in (hdr.microseconds(values),)
        ]
        for series in self.places:
            interval = series.track.interval(now_ns)
            interval.add(self.kind, count, sums)
            for span, indices, total_us in spans:
                interval.span(span).add(indices, total_us)
            series.add(self.kind, count, sums)
        self.places.route.duration.add(self.elapsed, self.traces)
        self.places.service.read_delay.add(self.read_delay)
        self._clear()
