"""From the source into the lanes, and positions back: who holds what across rebalances, and when it is committed."""

import asyncio
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from pipeline.errors import BrokerGone, Fenced
from pipeline.ingest.assignment import Assignment
from pipeline.ingest.valve import Valve, ValvePolicy
from pipeline.lanes import Lanes
from pipeline.ports import Listener, Source
from pipeline.records import Record
from pipeline.tally import Tally

_AGAIN_S: Final = 0.2
_POLL_S: Final = 0.2
_COMMITS: Final = 4  # in one interval


class IntakePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How much at once, how often, how long."""

    valve: ValvePolicy = ValvePolicy()
    poll_records: int = 100
    commit_interval_s: float = 1.0
    drain_s: float = 4.0


class Intake:
    """Reads while the valve is open; opens an assignment before its first record, and drains it before it goes."""

    def __init__(
        self, source: Source, assignment: Assignment, lanes: Lanes, *, policy: IntakePolicy, tally: Tally
    ) -> None:
        self._source = source
        self._assignment = assignment
        self._lanes = lanes
        self._policy = policy
        self._tally = tally
        self._reading = asyncio.Lock()  # held while records pass from the source into the lanes
        self._granted = asyncio.Event()  # the group has assigned partitions
        self._opened = False  # and we know where they go on
        self._closing = False
        self.opened_once = asyncio.Event()
        self.valve = Valve(policy.valve)

    def listener(self) -> Listener:
        """Return what the source has to tell of rebalances."""
        return Listener(revoked=self._revoked, assigned=self._assigned)

    @property
    def ready(self) -> bool:
        """Whether the worker is a member of its group and knows its positions."""
        return self._opened

    async def read(self, log: FilteringBoundLogger) -> None:
        """Read until cancelled."""
        while True:
            await self._granted.wait()
            try:
                async with self._reading:
                    if self._granted.is_set() and not self._closing:
                        await self._read_once()
            except (BrokerGone, Fenced) as problem:
                log.warning("read_failed", error=str(problem))
                await asyncio.sleep(_AGAIN_S)
            if not self.valve.open or self._closing:
                await asyncio.sleep(0.02)

    async def _read_once(self) -> None:
        if not self._opened:
            await self._open()
        self._source.flow(on=self.valve.turn(held=self._lanes.held, longest=self._assignment.longest))
        batch = await self._source.poll(limit=self._policy.poll_records, timeout_s=_POLL_S if self.valve.open else 0.0)
        if batch:
            self._accept(batch)

    async def _open(self) -> None:
        """Begin where the group left off. Before the first record comes, a commit says where its letter would lie."""
        positions = await self._source.positions()
        self._assignment.assign(positions, await self._lanes.left_behind(positions))
        if positions := self._assignment.to_commit():
            await self._source.commit(positions)
            self._assignment.committed(positions)
        self._opened = True
        self.opened_once.set()

    def _accept(self, batch: list[Record]) -> None:
        generation, now = self._assignment.generation, asyncio.get_running_loop().time()
        stamped = [msgspec.structs.replace(record, generation=generation, read_at=now) for record in batch]
        fresh = [record for record in stamped if self._assignment.read(record)]
        self._tally.skipped += len(stamped) - len(fresh)
        self._lanes.add(fresh)

    async def commit_regularly(self, log: FilteringBoundLogger) -> None:
        """Commit well within every interval, so that the lanes seldom wait for a commit that takes its time."""
        while True:
            await asyncio.sleep(self._policy.commit_interval_s / _COMMITS)
            await self._commit(log)

    async def _commit(self, log: FilteringBoundLogger | None) -> None:
        generation = self._assignment.generation
        positions = self._assignment.to_commit()
        self._lanes.stock_taken()
        if not positions:
            self._lanes.committed()
            return
        try:
            await self._source.commit(positions)
        except (BrokerGone, Fenced) as problem:
            self._tally.commit_failures += 1
            if log is not None:
                log.warning("commit_failed", error=str(problem))
            return
        self._tally.commits += 1
        if generation == self._assignment.generation:
            self._assignment.committed(positions)
            self._lanes.committed()

    async def _revoked(self) -> None:
        """Stop reading, finish what is under way, commit it, and let the rest go."""
        self._granted.clear()
        async with self._reading:
            await self._drain()
            self._opened = False
            self._tally.rebalances += 1
            self._assignment.revoke()

    async def _assigned(self) -> None:
        self._granted.set()

    async def _drain(self) -> None:
        self._lanes.let_go()
        try:
            async with asyncio.timeout(self._policy.drain_s):
                await self._lanes.idle()
        except TimeoutError:
            pass  # what is still under way is fenced: the new owner repeats it under the same key
        self._lanes.let_go()  # what was put back meanwhile
        await self._commit(None)

    async def close(self) -> None:
        """Read nothing more, finish what is under way, and commit it."""
        self._closing = True
        async with self._reading:
            await self._drain()
