"""How many calls may be under way at once, and how many may wait for their turn."""

import enum
from collections import deque
from typing import Generic, TypeVar

import msgspec

Ticket = TypeVar("Ticket")


class BulkheadPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Two bounds: both are walls, neither grows."""

    max_in_flight: int = 64
    max_queued: int = 128


class Entry(enum.Enum):
    """What a caller at the door is told."""

    ENTERED = "entered"
    QUEUED = "queued"
    FULL = "full"


class Bulkhead(Generic[Ticket]):
    """Counts who is inside and keeps the queue in order; who waits is known by a ticket of the caller's."""

    def __init__(self, policy: BulkheadPolicy) -> None:
        self._policy = policy
        self._queue: deque[Ticket] = deque()
        self.in_flight = 0

    def enter(self) -> Entry:
        """Enter, if nobody waits and there is room; else say whether waiting is possible."""
        if self.in_flight < self._policy.max_in_flight and not self._queue:
            self.in_flight += 1
            return Entry.ENTERED
        return Entry.QUEUED if len(self._queue) < self._policy.max_queued else Entry.FULL

    def wait(self, ticket: Ticket) -> None:
        """Stand in the queue after QUEUED."""
        assert len(self._queue) < self._policy.max_queued
        self._queue.append(ticket)

    def leave(self) -> Ticket | None:
        """Leave; the place passes to the ticket that is returned, or becomes free."""
        assert self.in_flight > 0
        if self._queue:
            return self._queue.popleft()
        self.in_flight -= 1
        return None

    def forsake(self, ticket: Ticket) -> bool:
        """Give up waiting; False where the place had been passed on already, so that it must be left."""
        try:
            self._queue.remove(ticket)
        except ValueError:
            return False
        return True

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def saturation(self) -> float:
        """The share of the places taken, 0 to 1."""
        return self.in_flight / self._policy.max_in_flight
