"""The worker's side of a consumer group, on aiokafka."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from pipeline.errors import BrokerGone, Fenced
from pipeline.ingest.assignment import Position
from pipeline.kafka_settings import KafkaSettings
from pipeline.ports import Listener
from pipeline.records import Partition, Record

_ANSWER_WITHIN_S: Final = 5.0
_POLL_GRACE_S: Final = 0.3
_AGAIN_MS: Final = 100


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """aiokafka revokes everything before each rebalance; both calls are awaited by its coordinator."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002
        await self._listener.revoked()

    async def on_partitions_assigned(self, assigned: Any) -> None:  # noqa: ARG002
        await self._listener.assigned()


class KafkaSource:
    """One member of the group. Offsets are committed by us alone, explicitly."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer = AIOKafkaConsumer(
            **settings.connection(),
            group_id=settings.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=settings.fetch_bytes,  # a larger record still comes, alone (KIP-74)
            fetch_max_bytes=settings.fetch_bytes * 8,
            fetch_max_wait_ms=100,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 3,
            isolation_level="read_committed",
        )
        self._admin = AIOKafkaAdminClient(**settings.connection())
        self._flowing = True
        self._next: dict[TopicPartition, int] = {}  # behind what `poll` returned last

    async def start(self, listener: Listener) -> None:
        """Join the group. Raises BrokerGone where that fails."""
        async with _translated():
            await self._admin.start()
            self._consumer.subscribe([self._settings.topic], listener=_Rebalance(listener))
            await self._consumer.start()

    async def poll(self, *, limit: int, timeout_s: float) -> list[Record]:
        """Return what has come in, in order within each partition; none where nothing came in time, or while paused."""
        self._apply_flow()
        try:
            # Once a rebalance has begun, getmany waits for its end, whatever its own limit; but the rebalance waits for
            # us to stop reading. Cut off, it loses nothing: it takes records and returns them without a pause between.
            async with asyncio.timeout(timeout_s + _POLL_GRACE_S), _errors_of_polling():
                batches = await self._consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=limit)
        except TimeoutError:
            return []
        except UnicodeDecodeError:
            return await self._poll_one_by_one(limit)
        return self._take(batches)

    def _take(self, batches: Mapping[TopicPartition, list[Any]]) -> list[Record]:
        self._next.update((at, batch[-1].offset + 1) for at, batch in batches.items())
        return [
            Record(
                partition=(at.topic, at.partition),
                offset=raw.offset,
                key=raw.key,
                value=raw.value,
                headers=tuple(raw.headers),
            )
            for at, batch in batches.items()
            for raw in batch
        ]

    async def _poll_one_by_one(self, limit: int) -> list[Record]:
        """Read around a header whose name is not UTF-8. Raises BrokerGone.

        aiokafka raises for the whole of what it was about to return, and goes on behind it. So we go back, and take one
        record at a time up to the one that cannot be read; nor can those after it in its batch, which is one client's.
        """
        found: list[Record] = []
        ours = self._consumer.assignment() & self._next.keys()
        for at in ours:
            self._consumer.seek(at, self._next[at])
        for at in ours:
            try:
                async with asyncio.timeout(_POLL_GRACE_S), _errors_of_polling():
                    while len(found) < limit and (
                        one := await self._consumer.getmany(at, timeout_ms=_AGAIN_MS, max_records=1)
                    ):
                        found += self._take(one)
            except TimeoutError:
                continue
            except UnicodeDecodeError:
                offset = self._next[at]
                found.append(
                    Record(
                        partition=(at.topic, at.partition),
                        offset=offset,
                        key=None,
                        value=None,
                        headers=(),
                        unreadable=True,
                    )
                )
                self._next[at] = offset + 1
                self._consumer.seek(at, offset + 1)
        return found

    async def positions(self) -> dict[Partition, Position]:
        """Return where each partition that is ours goes on, with the note committed there. Raises BrokerGone."""
        found: dict[Partition, Position] = {}
        async with _translated(), asyncio.timeout(_ANSWER_WITHIN_S):
            ours = self._consumer.assignment()
            if not ours:
                return found
            noted = await self._admin.list_consumer_group_offsets(self._settings.group, partitions=list(ours))
            for at in ours:
                offset = await self._consumer.position(at)
                committed = noted.get(at)
                note = committed.metadata if committed is not None and committed.offset == offset else ""
                found[at.topic, at.partition] = Position(offset=offset, note=note)
                self._next[at] = offset
        return found

    async def commit(self, positions: Mapping[Partition, Position]) -> None:
        """Make the positions safe. Raises BrokerGone, or Fenced where the group has moved on."""
        offsets = {TopicPartition(*at): OffsetAndMetadata(one.offset, one.note) for at, one in positions.items()}
        async with _translated(), asyncio.timeout(_ANSWER_WITHIN_S):  # left alone, aiokafka retries for ever
            await self._consumer.commit(offsets)

    def flow(self, *, on: bool) -> None:
        """Have `poll` return records, or none."""
        self._flowing = on

    def _apply_flow(self) -> None:
        """Pause or resume before each poll: a rebalance forgets which partitions were paused."""
        paused = self._consumer.paused()
        if self._flowing:
            if paused:
                self._consumer.resume(*paused)
        elif missing := self._consumer.assignment() - paused:
            self._consumer.pause(*missing)

    async def stop(self) -> None:
        """Leave the group."""
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await self._consumer.stop()
        await self._admin.close()


@contextlib.asynccontextmanager
async def _errors_of_polling() -> AsyncIterator[None]:
    """Translate Kafka's errors, and leave alone what says that the time is up."""
    try:
        yield
    except KafkaError as problem:
        raise BrokerGone(str(problem) or type(problem).__name__) from problem


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (CommitFailedError, IllegalStateError) as problem:
        raise Fenced(str(problem)) from problem
    except (KafkaError, TimeoutError, OSError) as problem:
        raise BrokerGone(str(problem) or type(problem).__name__) from problem
