"""The hand-off from the thread that observes to the thread that writes: bounded, never blocking, every loss counted."""

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from collector.domain.audit import weight
from collector.domain.events import Event

_ORDINARY_SHARE: Final = 0.8  # of the room: beyond it only critical events are taken


@dataclass(slots=True)
class Batch:
    """Events that came together."""

    events: Sequence[Event]
    lines: Sequence[bytes] | None  # their JSON, where it was there already
    taken_ns: int


class Intake:
    """What waits to be written: at most `limit` events."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._waiting = 0
        self._lost: Counter[str] = Counter()
        self._issued = 0
        self._more = threading.Condition()
        self._closed = False
        self.reason = "queue_full"  # why there may be no room: set by the writer to what keeps it from writing

    def put(self, events: Sequence[Event], lines: Sequence[bytes] | None, now_ns: int) -> int:
        """Take what there is room for; return how many."""
        with self._more:
            self._issued += len(events)
            if self._closed:
                self._lost["closed"] += len(events)
                return 0
            if self._waiting + len(events) > self._limit * _ORDINARY_SHARE:
                events, lines = self._admit(events, lines)
            if events:
                self._batches.append(Batch(events, lines, now_ns))
                self._waiting += len(events)
                self._more.notify()
            return len(events)

    def _admit(
        self, events: Sequence[Event], lines: Sequence[bytes] | None
    ) -> tuple[Sequence[Event], Sequence[bytes] | None]:
        """Near the bound: ordinary events up to a share of the room, critical ones to its end."""
        kept: list[int] = []
        room = self._limit - self._waiting
        for at, event in enumerate(events):
            ordinary = weight(event) == "ordinary"
            if len(kept) >= room - (self._limit * (1 - _ORDINARY_SHARE) if ordinary else 0):
                self._lost[self.reason + ("_ordinary" if ordinary else "")] += 1
            else:
                kept.append(at)
        return [events[at] for at in kept], None if lines is None else [lines[at] for at in kept]

    def take(self, limit: int, timeout_s: float) -> list[Batch]:
        """Wait for something; return batches of at most `limit` events together (at least one batch)."""
        with self._more:
            if not self._batches and not self._closed:
                self._more.wait(timeout_s)
            found: list[Batch] = []
            size = 0
            while self._batches and (not found or size + len(self._batches[0].events) <= limit):
                found.append(self._batches.popleft())
                size += len(found[-1].events)
            self._waiting -= size
            return found

    def close(self) -> None:
        """Take nothing more."""
        with self._more:
            self._closed = True
            self._more.notify()

    @property
    def closed(self) -> bool:
        """Tell whether nothing more comes."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Return how many events wait."""
        return self._waiting

    @property
    def issued(self) -> int:
        """Return how many events were offered."""
        return self._issued

    def lose(self, reason: str, count: int) -> None:
        """Count what the writer had to let go."""
        with self._more:
            self._lost[reason] += count

    def losses(self) -> dict[str, int]:
        """Return what was lost so far, by reason."""
        with self._more:
            return {reason: count for reason, count in self._lost.items() if count}
