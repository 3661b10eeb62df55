"""What the worker needs of a broker; Kafka, the embedded broker and the one in memory all keep to it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from pipeline.ingest.assignment import Position
from pipeline.ingest.letter_marks import Place
from pipeline.records import Headers, Partition, Record


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the source tells of a rebalance, and awaits: first that all is revoked, then what is assigned."""

    revoked: Callable[[], Awaitable[None]]
    assigned: Callable[[], Awaitable[None]]


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The last part of what lies at a place."""

    partition: int  # of its topic
    end: int  # whatever is put there from now on has at least this offset
    headers: list[Headers]  # of each record


class Source(Protocol):
    """A member of a consumer group on one topic."""

    async def start(self, listener: Listener) -> None:
        """Join the group. Raises BrokerGone where that fails."""

    async def poll(self, *, limit: int, timeout_s: float) -> list[Record]:
        """Return what has come in, in order within each partition; none where nothing came in time, or while paused."""

    async def positions(self) -> dict[Partition, Position]:
        """Return where each partition that is ours goes on, with the note committed there. Raises BrokerGone."""

    async def commit(self, positions: Mapping[Partition, Position]) -> None:
        """Make the positions safe. Raises BrokerGone, or Fenced where the group has moved on."""

    def flow(self, *, on: bool) -> None:
        """Have `poll` return records, or none; it has to be called all the same, or the group takes us for dead."""

    async def stop(self) -> None:
        """Leave the group."""


class Outbox(Protocol):
    """Where records are put that go back to the broker."""

    async def put(self, place: Place, *, key: bytes | None, value: bytes | None, headers: Headers) -> int:
        """Return its offset once every replica has it. Raises BrokerGone (try again), or TooLarge (never again).

        All that is put to one place lies in one partition, which other places may share.
        """

    async def tails(self, starts: Mapping[Place, int | None]) -> dict[Place, Tail]:
        """Return what lies at each place from an offset on (None: nothing), and where it ends. Raises BrokerGone."""
