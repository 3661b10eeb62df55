"""Records back to Kafka, acknowledged by every replica, and a look at what lies there already."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from pipeline.errors import BrokerGone, TooLarge
from pipeline.ingest.letter_marks import Place
from pipeline.kafka_settings import KafkaSettings
from pipeline.ports import Tail
from pipeline.records import Headers

NULL_VALUE: Final = ("x-null-value", b"1")  # a record of a null key and a null value cannot be produced by aiokafka
_ANSWER_WITHIN_S: Final = 15.0
_LOOK_BACK_S: Final = 3.0  # a rebalance waits for it; what is left unread may be written twice


class KafkaOutbox:
    """An idempotent producer: its own retries double nothing."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            **settings.connection(),
            acks="all",
            enable_idempotence=True,
            max_request_size=settings.max_record_bytes + 64 * 1024,
            linger_ms=0,
        )

    async def start(self) -> None:
        """Connect. Raises BrokerGone."""
        async with _translated():
            await self._producer.start()

    async def put(self, place: Place, *, key: bytes | None, value: bytes | None, headers: Headers) -> int:
        """Return its offset once every replica has it. Raises BrokerGone (try again), or TooLarge (never again)."""
        if key is None and value is None:
            value, headers = b"", (*headers, NULL_VALUE)
        async with _translated():
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                at = await self._partition(place)
                landed = await self._producer.send(
                    at.topic, key=key, value=value, headers=list(headers), partition=at.partition
                )
            # It is the producer's now, which tries until it knows the outcome; a second one would be a double.
            return int((await landed).offset)

    async def tails(self, starts: Mapping[Place, int | None]) -> dict[Place, Tail]:
        """Return what lies at each place from an offset on (None: nothing), and where it ends. Raises BrokerGone."""
        if not starts:
            return {}
        async with _translated():
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await self._producer.flush()  # what this worker sent under an earlier assignment has landed
                places = {place: await self._partition(place) for place in starts}
            async with self._reader() as reader:
                ends = await reader.end_offsets(set(places.values()))
                first: dict[TopicPartition, int] = {}
                for place, at in places.items():
                    start = starts[place]
                    first[at] = min(first.get(at, ends[at]), ends[at] if start is None else start)
                found = await _read(reader, first, ends)
        return {
            place: Tail(
                partition=at.partition,
                end=ends[at],
                headers=[words for offset, words in found[at] if start is not None and offset >= start],
            )
            for (place, start), at in zip(starts.items(), places.values(), strict=True)
        }

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        settings = self._settings
        reader = AIOKafkaConsumer(
            **settings.connection(), max_partition_fetch_bytes=settings.fetch_bytes, auto_offset_reset="earliest"
        )
        await reader.start()
        try:
            yield reader
        finally:
            await reader.stop()

    async def _partition(self, place: Place) -> TopicPartition:
        topic, (_, number) = place
        there = sorted(await self._producer.partitions_for(topic))
        return TopicPartition(topic, there[number % len(there)])

    async def stop(self) -> None:
        """Send what is left and disconnect."""
        await self._producer.stop()


async def _read(
    reader: AIOKafkaConsumer, first: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> Mapping[TopicPartition, list[tuple[int, Headers]]]:
    """Return offset and headers of each record from the first one to the end, or of what can be had in the time."""
    found: defaultdict[TopicPartition, list[tuple[int, Headers]]] = defaultdict(list)
    wanted = [at for at, start in first.items() if start < ends[at]]
    reader.assign(wanted)
    for at in wanted:
        reader.seek(at, first[at])
    with contextlib.suppress(TimeoutError, UnicodeDecodeError):  # somebody else's letter may have unreadable headers
        async with asyncio.timeout(_LOOK_BACK_S):
            while any([await reader.position(at) < ends[at] for at in wanted]):
                for at, batch in (await reader.getmany(timeout_ms=200)).items():
                    found[at] += [(one.offset, tuple(one.headers)) for one in batch]
    return found


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except MessageSizeTooLargeError as problem:
        raise TooLarge(str(problem)) from problem
    except (KafkaError, TimeoutError, OSError) as problem:
        raise BrokerGone(str(problem) or type(problem).__name__) from problem
