"""A broker in memory for tests of the worker: it keeps to what the worker relies on in Kafka."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from pipeline.errors import BrokerGone, Fenced, TooLarge
from pipeline.ingest.assignment import Position
from pipeline.ingest.letter_marks import Place
from pipeline.ports import Listener, Tail
from pipeline.records import Headers, Partition, Record


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One record in a log."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class MemoryBroker:
    """Topics, groups, and a switch to take it all away."""

    def __init__(self, *, partitions: int = 2, max_record_bytes: int = 1024 * 1024) -> None:
        self.partitions = partitions
        self.up = True
        self.logs: defaultdict[Partition, list[Stored]] = defaultdict(list)
        self.committed: dict[tuple[str, Partition], Position] = {}
        self._max_record_bytes = max_record_bytes
        self._members: defaultdict[str, list[MemorySource]] = defaultdict(list)
        self._arrival = asyncio.Event()

    async def put(self, place: Place, *, key: bytes | None, value: bytes | None, headers: Headers) -> int:
        """Append a record; those of one place share a partition."""
        self.check()
        if len(value or b"") > self._max_record_bytes:
            raise TooLarge(f"{len(value or b'')} bytes")
        log = self._log(place)
        log.append(Stored(key=key, value=value, headers=headers))
        self._arrival.set()
        self._arrival = asyncio.Event()
        return len(log) - 1

    async def tails(self, starts: Mapping[Place, int | None]) -> dict[Place, Tail]:
        """Return what lies at each place from an offset on (None: nothing), and where it ends."""
        self.check()
        return {place: self._tail(place, start) for place, start in starts.items()}

    def _tail(self, place: Place, start: int | None) -> Tail:
        log = self._log(place)
        headers = [one.headers for one in log[len(log) if start is None else start :]]
        return Tail(partition=self._partition(place), end=len(log), headers=headers)

    def _log(self, place: Place) -> list[Stored]:
        return self.logs[place[0], self._partition(place)]

    def _partition(self, place: Place) -> int:
        _, (_, number) = place
        return number % self.partitions

    def topic(self, name: str) -> list[Stored]:
        """Return every record of a topic."""
        return [one for (topic, _), log in list(self.logs.items()) if topic == name for one in log]

    def check(self) -> None:
        """Raise BrokerGone while the broker is away."""
        if not self.up:
            raise BrokerGone("the broker is away")

    async def arrival(self, within_s: float) -> None:
        """Wait for a record, for so long at most."""
        try:
            async with asyncio.timeout(within_s):
                await self._arrival.wait()
        except TimeoutError:
            pass

    async def join(self, member: "MemorySource") -> None:
        """Add a member to its group."""
        await self._rebalance(member.group, [*self._members[member.group], member])

    async def leave(self, member: "MemorySource") -> None:
        """Remove a member; whoever was dropped already is not missed."""
        if member in self._members[member.group]:
            await self._rebalance(member.group, [one for one in self._members[member.group] if one is not member])

    async def drop(self, member: "MemorySource") -> None:
        """Take a member for dead: it is not asked, and finds out when it commits."""
        self._members[member.group].remove(member)
        member.generation = -1
        await self._rebalance(member.group, self._members[member.group])

    async def _rebalance(self, group: str, members: "list[MemorySource]") -> None:
        for member in self._members[group]:
            await member.listener.revoked()
        self._members[group] = members
        for n, member in enumerate(members):
            member.generation += 1
            member.take([(member.topic, p) for p in range(self.partitions) if p % len(members) == n])
        for member in members:
            await member.listener.assigned()


class MemorySource:
    """A member of a group."""

    listener: Listener

    def __init__(self, broker: MemoryBroker, *, topic: str, group: str) -> None:
        self.topic = topic
        self.group = group
        self.generation = 0
        self._broker = broker
        self._cursors: dict[Partition, int] = {}
        self._flowing = True

    def take(self, partitions: list[Partition]) -> None:
        """Begin with these partitions, where the group left off."""
        done = self._broker.committed
        self._cursors = {at: done.get((self.group, at), Position(offset=0)).offset for at in partitions}

    async def start(self, listener: Listener) -> None:
        """Join the group."""
        self._broker.check()
        self.listener = listener
        await self._broker.join(self)

    async def poll(self, *, limit: int, timeout_s: float) -> list[Record]:
        """Return what has come in."""
        self._broker.check()
        found = self._ready(limit)
        if not found and timeout_s > 0:
            await self._broker.arrival(timeout_s)
            found = self._ready(limit)
        await asyncio.sleep(0)
        return found

    def _ready(self, limit: int) -> list[Record]:
        found: list[Record] = []
        for at, cursor in self._cursors.items() if self._flowing else ():
            batch = self._broker.logs[at][cursor : cursor + limit - len(found)]
            self._cursors[at] = cursor + len(batch)
            found += [
                Record(partition=at, offset=cursor + n, key=one.key, value=one.value, headers=one.headers)
                for n, one in enumerate(batch)
            ]
        return found

    async def positions(self) -> dict[Partition, Position]:
        """Return where each partition goes on."""
        self._broker.check()
        done = self._broker.committed
        return {at: done.get((self.group, at), Position(offset=0)) for at in self._cursors}

    async def commit(self, positions: Mapping[Partition, Position]) -> None:
        """Make the positions safe."""
        self._broker.check()
        if self.generation < 0 or not positions.keys() <= self._cursors.keys():
            raise Fenced("the group has moved on")
        self._broker.committed.update(((self.group, at), one) for at, one in positions.items())

    def flow(self, *, on: bool) -> None:
        """Have `poll` return records, or none."""
        self._flowing = on

    async def stop(self) -> None:
        """Leave the group."""
        await self._broker.leave(self)
