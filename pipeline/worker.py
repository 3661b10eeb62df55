"""The worker: composition and lifecycle; all it decides is in the parts that it puts together."""

import asyncio
import random
from typing import Final

from structlog.typing import FilteringBoundLogger

from pipeline.config import WorkerConfig
from pipeline.dead_letter import Letters
from pipeline.disposition import Disposer
from pipeline.errors import WorkerStalled
from pipeline.ingest.assignment import Assignment
from pipeline.ingest.intake import Intake
from pipeline.ingest.leash import Leash
from pipeline.ingest.letter_marks import LetterMarks
from pipeline.ingest.watchdog import Watchdog
from pipeline.lanes import Desk, Lanes
from pipeline.normalise import Normaliser
from pipeline.outbound.gateway import OutboundGateway
from pipeline.ports import Outbox, Source
from pipeline.tally import Tally
from pipeline.telemetry import Latencies, WorkerState
from pipeline.work_queue import WorkQueue

_LOOK_EVERY_S: Final = 1.0


class Worker:
    """Reads from a source, delivers through a gateway, puts into an outbox; create it inside a running loop."""

    def __init__(
        self,
        config: WorkerConfig,
        *,
        source: Source,
        outbox: Outbox,
        gateway: OutboundGateway,
        log: FilteringBoundLogger,
    ) -> None:
        chance = random.Random()  # noqa: S311 - IDs and jitter, no secrets; seeded by the system
        self._config = config
        self._source = source
        self._log = log
        self._stopping = asyncio.Event()
        self._gateway = gateway
        self.tally = Tally()
        self.latencies = Latencies()
        topics = config.letters()
        marks = LetterMarks((topics.dead, topics.parked))
        assignment = Assignment(marks)
        desk = Desk(
            assignment=assignment,
            leash=Leash(interval_s=config.intake_commit_interval_s),
            normaliser=Normaliser(max_value_bytes=config.intake_max_value_bytes, random_bits=chance.getrandbits),
            gateway=gateway,
            disposer=Disposer(config.rounds(), chance.random),
            letters=Letters(outbox, topics, marks=marks, group=config.kafka_group),
            tally=self.tally,
            latencies=self.latencies,
            log=log,
        )
        self._lanes = Lanes(desk, WorkQueue(), count=config.call_max_in_flight)
        self._intake = Intake(source, assignment, self._lanes, policy=config.intake(), tally=self.tally)

    @property
    def ready(self) -> asyncio.Event:
        """Set once the group has assigned partitions and their positions are known."""
        return self._intake.opened_once

    def stop(self) -> None:
        """Ask the worker to finish what is under way, commit, and end."""
        self._stopping.set()

    def state(self) -> WorkerState:
        """Return what the endpoints read."""
        return WorkerState(
            tally=self.tally,
            latencies=self.latencies,
            snapshot=self._gateway.snapshot,
            waiting=lambda: self._lanes.waiting,
            paused=lambda: not self._intake.valve.open,
            ready=lambda: self._intake.ready,
        )

    async def run(self) -> None:
        """Work until stopped. Raises BrokerGone at the start, and WorkerStalled."""
        await self._source.start(self._intake.listener())
        try:
            async with asyncio.TaskGroup() as group:
                parts = [
                    group.create_task(self._lanes.run()),
                    group.create_task(self._intake.read(self._log)),
                    group.create_task(self._intake.commit_regularly(self._log)),
                    group.create_task(self._watch()),
                ]
                await self._stopping.wait()
                await self._intake.close()
                for part in parts:
                    part.cancel()
        finally:
            await self._source.stop()
        self._log.info("worker_stopped", **{name: getattr(self.tally, name) for name in self.tally.__struct_fields__})

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        watchdog = Watchdog(limit_s=self._config.worker_stall_s, now=clock())
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            calls = self._gateway.snapshot().requests_total
            if watchdog.look(under_way=self._lanes.calling, ended=calls, now=clock()):
                raise WorkerStalled(f"{self._lanes.calling} calls under way, none ended in {watchdog.limit_s:.0f} s")
