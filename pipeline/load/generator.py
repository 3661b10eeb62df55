"""Produces records when they are due, and measures from then, whether or not it could keep up."""

import asyncio
import time
from collections.abc import Iterator

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from hdrh.histogram import HdrHistogram

from pipeline.kafka_outbox import NULL_VALUE
from pipeline.kafka_settings import KafkaSettings
from pipeline.load.messages import MessageSource, Produced


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was to be produced, and what was; latency from the intended start to the broker's acknowledgement."""

    offered: int
    acknowledged: int
    failed: int
    poison: int
    seconds: float
    offered_per_s: float
    achieved_per_s: float
    latency_ms: dict[str, float]
    histogram: str  # HDR, encoded, in microseconds


class Generator:
    """One run of a load."""

    def __init__(self, settings: KafkaSettings, messages: MessageSource) -> None:
        self._topic = settings.topic
        self._messages = messages
        self._producer = AIOKafkaProducer(
            **settings.connection(), acks="all", enable_idempotence=True, linger_ms=2, max_batch_size=128 * 1024
        )
        self._latency = HdrHistogram(1, 600_000_000, 3)
        self._offered = self._acknowledged = self._failed = self._poison = 0
        self._stopping = False

    def stop(self) -> None:
        """End early; what was due is still reported."""
        self._stopping = True

    async def run(self, starts: Iterator[float], *, paced: bool = True) -> LoadReport:
        """Produce one record for each intended start; without a pace, as fast as the broker takes them."""
        await self._producer.start()
        try:
            began, began_ns = time.monotonic(), time.time_ns()
            for number, start in enumerate(starts):
                if self._stopping:
                    break
                ahead = began + start - time.monotonic()
                if paced and ahead > 0.001:
                    await asyncio.sleep(ahead)
                due_ns = began_ns + int(start * 1e9) if paced else time.time_ns()
                await self._produce(self._messages.make(number, intended_ns=due_ns), due_ns=due_ns)
            await self._producer.flush()
            seconds = time.monotonic() - began
        finally:
            await self._producer.stop()
        return self._report(seconds)

    async def _produce(self, one: Produced, *, due_ns: int) -> None:
        self._offered += 1
        self._poison += one.poison is not None
        value, headers = one.value, list(one.headers)
        if one.key is None and value is None:
            value, headers = b"", [*headers, NULL_VALUE]
        try:
            sent = await self._producer.send(self._topic, key=one.key, value=value, headers=headers)
        except KafkaError:
            self._failed += 1
            return
        sent.add_done_callback(lambda future: self._sent(future, due_ns))

    def _sent(self, future: "asyncio.Future[object]", due_ns: int) -> None:
        if future.cancelled() or future.exception() is not None:
            self._failed += 1
            return
        self._acknowledged += 1
        self._latency.record_value(max(1, (time.time_ns() - due_ns) // 1000))

    def _report(self, seconds: float) -> LoadReport:
        quantiles = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
        return LoadReport(
            offered=self._offered,
            acknowledged=self._acknowledged,
            failed=self._failed,
            poison=self._poison,
            seconds=seconds,
            offered_per_s=self._offered / seconds if seconds else 0.0,
            achieved_per_s=self._acknowledged / seconds if seconds else 0.0,
            latency_ms={name: self._latency.get_value_at_percentile(at) / 1000 for name, at in quantiles.items()},
            histogram=self._latency.encode().decode("ascii"),
        )
