"""The lanes: as many records are on their way as there are lanes, and each is settled before its lane takes another."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Literal, assert_never

import msgspec
from structlog.typing import FilteringBoundLogger

from pipeline.dead_letter import Letters
from pipeline.disposition import Delivered, Disposer, Held, Parked
from pipeline.errors import BrokerGone, RecordInvalid
from pipeline.ingest.assignment import Assignment, Position
from pipeline.ingest.leash import Leash
from pipeline.normalise import Normaliser
from pipeline.outbound import outcome as ends
from pipeline.outbound.gateway import OutboundGateway
from pipeline.outbound.outcome import Outcome
from pipeline.outbound.request import OutboundRequest
from pipeline.records import Partition, Record
from pipeline.tally import Tally
from pipeline.telemetry import Latencies
from pipeline.work_queue import Job, WorkQueue

LETTER_AGAIN_S = 0.5


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """All that a lane works with."""

    assignment: Assignment
    leash: Leash
    normaliser: Normaliser
    gateway: OutboundGateway
    disposer: Disposer
    letters: Letters
    tally: Tally
    latencies: Latencies
    log: FilteringBoundLogger


class Lanes:
    """Takes jobs from the queue, and sees to it that each ends in exactly one way."""

    def __init__(self, desk: Desk, queue: WorkQueue, *, count: int) -> None:
        self._desk = desk
        self._queue = queue
        self._count = count
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._clock = asyncio.get_running_loop().time
        self.busy = 0
        self.calling = 0

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._lane())

    def add(self, records: list[Record]) -> None:
        """Hand in records that were read."""
        self._desk.tally.consumed += len(records)
        self._queue.add(Job(record=record) for record in records)
        self._wake(len(records))

    def let_go(self) -> None:
        """Forget what was not begun; it is read again by whoever gets the partitions."""
        self._desk.tally.fenced += len(self._queue)
        self._queue.clear()

    def stock_taken(self) -> None:
        """Take in that a commit is being sent, of all that was settled so far."""
        self._desk.leash.stock_taken()

    def committed(self) -> None:
        """Take in that the commit is safe: the lanes may go on for another interval."""
        self._desk.leash.committed()
        self._wake(self._count)

    async def left_behind(self, positions: Mapping[Partition, Position]) -> dict[Partition, set[int]]:
        """Begin an assignment; return the records that were settled before it and that no commit tells of."""
        self._desk.leash.loosen()
        self._wake(self._count)
        return await self._desk.letters.left_behind(positions)

    async def idle(self) -> None:
        """Wait until no record is under way."""
        await self._idle.wait()

    @property
    def held(self) -> int:
        """How many records are in memory."""
        return len(self._queue) + self.busy

    @property
    def waiting(self) -> int:
        """How many records wait for a lane."""
        return len(self._queue)

    def _wake(self, count: int = 1) -> None:
        while self._waiting and count > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1

    async def _lane(self) -> None:
        gateway = self._desk.gateway
        while True:
            await gateway.passable()
            now = self._clock()
            job = None if self._desk.leash.tight(now) else self._queue.next(now, well=gateway.closed)
            if job is None:
                turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                await turn
                continue
            await self._work(job)

    async def _work(self, job: Job) -> None:
        self.busy += 1
        self._idle.clear()
        try:
            await self._deliver(job)
        finally:
            self.busy -= 1
            if self.busy == 0:
                self._idle.set()

    async def _deliver(self, job: Job) -> None:
        desk, record = self._desk, job.record
        if job.request is None:
            try:
                job.request = desk.normaliser.normalise(record)
            except RecordInvalid as problem:
                await self._bury(record, problem)
                return
        request = job.request
        self.calling += 1
        try:
            outcome = await desk.gateway.send(request)
        finally:
            self.calling -= 1
        if not job.tried:
            desk.latencies.record(self._clock() - record.read_at, outcome.elapsed_s)
        job.tried = job.tried or outcome.attempts > 0
        match desk.disposer.dispose(outcome, rounds=job.rounds, well=desk.gateway.closed):
            case Delivered():
                self._settle(record, "succeeded")
            case Parked():
                await self._park(record, request, outcome)
            case Held() as held:
                self._hold(job, request, outcome, held)
            case never:
                assert_never(never)

    def _hold(self, job: Job, request: OutboundRequest, outcome: Outcome, held: Held) -> None:
        desk = self._desk
        if not desk.assignment.holds(job.record):
            desk.tally.fenced += 1
            return
        job.rounds += held.counted
        if not job.tried:
            self._queue.put_back(job)
            return
        desk.tally.held += 1
        now = self._clock()
        self._queue.hold(job, until=now + held.delay_s)
        asyncio.get_running_loop().call_at(now + held.delay_s, self._wake)
        self._log("record_held", request, outcome, again_in_s=round(held.delay_s, 3))

    async def _park(self, record: Record, request: OutboundRequest, outcome: Outcome) -> None:
        desk = self._desk
        while desk.assignment.holds(record):
            try:
                await desk.letters.park(record, outcome)
            except BrokerGone as problem:
                await self._letter_failed(problem)
                continue
            break
        self._log("record_parked", request, outcome)
        self._settle(record, "parked")

    async def _bury(self, record: Record, problem: RecordInvalid) -> None:
        desk = self._desk
        while desk.assignment.holds(record):
            try:
                await desk.letters.bury(record, reason=problem.reason, detail=str(problem))
            except BrokerGone as gone:
                await self._letter_failed(gone)
                continue
            break
        topic, partition = record.partition
        desk.log.warning(
            "record_dead_lettered", topic=topic, partition=partition, offset=record.offset, reason=problem.reason
        )
        self._settle(record, "dead_lettered")

    def _settle(self, record: Record, result: Literal["succeeded", "parked", "dead_lettered"]) -> None:
        desk = self._desk
        if desk.assignment.deliver(record):
            desk.leash.settled(self._clock())
            desk.tally.end(result)
        else:
            desk.tally.end("fenced")

    async def _letter_failed(self, problem: BrokerGone) -> None:
        self._desk.log.warning("letter_failed", error=str(problem))
        await asyncio.sleep(LETTER_AGAIN_S)

    def _log(self, event: str, request: OutboundRequest, outcome: Outcome, **more: float) -> None:
        self._desk.log.warning(
            event,
            trace_id=request.trace_id,
            request_id=request.request_id,
            route=request.route,
            outcome=ends.name(outcome),
            attempts=outcome.attempts,
            status=getattr(outcome, "status", None),
            **more,
        )
