"""Bounded fan-out from the drain loop to consumers in other threads: nobody can hold the loop up."""

from collections import deque
from collections.abc import Sequence

from collector.domain.watching import Told


class Mailbox:
    """What waits for one consumer: at most `limit` events; beyond that the oldest batches give way, counted."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.lost = 0
        self._limit = limit
        self._batches: deque[Sequence[Told]] = deque()  # appended by one thread, taken by another: both atomic
        self._put = 0
        self._taken = 0

    def put(self, events: Sequence[Told]) -> None:
        """Leave a batch; called by the drain loop alone."""
        self._put += len(events)
        self._batches.append(events)
        while self._put - self._taken - self.lost > self._limit:
            try:
                self.lost += len(self._batches.popleft())
            except IndexError:  # the consumer was faster
                break

    def take(self) -> list[Sequence[Told]]:
        """Return what waits, oldest first; called by the consumer alone."""
        found: list[Sequence[Told]] = []
        while True:
            try:
                batch = self._batches.popleft()
            except IndexError:
                return found
            self._taken += len(batch)
            found.append(batch)

    @property
    def waiting(self) -> int:
        """Return how many events wait."""
        return max(0, self._put - self._taken - self.lost)


class Bus:
    """Every batch goes to every mailbox."""

    def __init__(self) -> None:
        self._mailboxes: list[Mailbox] = []

    def subscribe(self, name: str, *, limit: int) -> Mailbox:
        """Return a mailbox that gets what is published from now on; the publisher says when to look into it."""
        mailbox = Mailbox(name, limit)
        self._mailboxes.append(mailbox)
        return mailbox

    def publish(self, events: Sequence[Told]) -> None:
        """Hand a batch to every subscriber."""
        for mailbox in self._mailboxes:
            mailbox.put(events)

    def losses(self) -> dict[str, int]:
        """Return events that a subscriber lost, by reason."""
        return {f"{one.name}_full": one.lost for one in self._mailboxes if one.lost}
