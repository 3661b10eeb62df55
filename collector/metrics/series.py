"""Series: what is counted for one route, one peer or one service, since the start and over windows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from collector.domain.events import Role
from collector.metrics.histogram import Histogram
from collector.metrics.labels import OTHER
from collector.metrics.windows import RECEIVED, RETRANSMITS, RETRIES, SENT, Kind, Track

SeriesKey = tuple[Role, str, str]  # role, service, name


class CounterKey(NamedTuple):
    """The labels that tell the counters of one series apart, all from closed lists."""

    method: str
    status_class: str
    outcome: str


OVERFLOWED: Final = CounterKey(OTHER, OTHER, OTHER)


class Series:
    """One series. `name` is the route, the peer, or empty for the whole service."""

    __slots__ = (
        "duration",
        "errors",
        "exchanges",
        "name",
        "read_delay",
        "received",
        "requests",
        "retransmits",
        "retries",
        "role",
        "sent",
        "service",
        "timeouts",
        "track",
    )

    def __init__(self, key: SeriesKey, now_ns: int) -> None:
        self.role, self.service, self.name = key
        self.track = Track(now_ns)
        self.duration = Histogram()
        self.read_delay = Histogram()
        self.requests: dict[CounterKey, int] = {}
        self.exchanges = self.errors = self.timeouts = 0
        self.retries = self.retransmits = self.sent = self.received = 0

    def add(self, kind: Kind, count: int, sums: Sequence[int]) -> None:
        """Count exchanges of one kind, since the start."""
        self.exchanges += count
        if kind.error:
            self.errors += count
        if kind.outcome == "timeout":
            self.timeouts += count
        self.retries += sums[RETRIES]
        self.retransmits += sums[RETRANSMITS]
        self.sent += sums[SENT]
        self.received += sums[RECEIVED]


Kept = TypeVar("Kept")


class Table(Generic[Kept]):
    """Things of bounded number by role, service and name; where there is no room the name becomes `_other`."""

    def __init__(self, limit: int, make: Callable[[SeriesKey, int], Kept]) -> None:
        self._limit = limit
        self._make = make
        self._kept: dict[SeriesKey, Kept] = {}

    def get(self, key: SeriesKey, now_ns: int) -> tuple[Kept, bool]:
        """Return the thing of a key, and whether it is that of `_other` for want of room."""
        kept = self._kept.get(key)
        overflowed = kept is None and len(self._kept) >= self._limit
        if overflowed:
            key = (key[0], key[1], OTHER)
            kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = self._make(key, now_ns)
        return kept, overflowed

    def find(self, key: SeriesKey) -> Kept | None:
        """Return the thing of a key, if there is one."""
        return self._kept.get(key)

    def drop(self, unwanted: Callable[[Kept], bool]) -> list[Kept]:
        """Forget what is not wanted any more, and return it."""
        gone = [key for key, kept in self._kept.items() if unwanted(kept)]
        return [self._kept.pop(key) for key in gone]

    def __iter__(self) -> Iterator[Kept]:
        return iter(list(self._kept.values()))

    def __len__(self) -> int:
        return len(self._kept)
