"""Records back to Kafka, acknowledged by every replica."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from pipeline.errors import BrokerGone, TooLarge
from pipeline.kafka_settings import KafkaSettings
from pipeline.records import Headers

NULL_VALUE: Final = ("x-null-value", b"1")  # a record of a null key and a null value cannot be produced by aiokafka
_ANSWER_WITHIN_S: Final = 15.0


class KafkaOutbox:
    """An idempotent producer: its own retries double nothing."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._producer = AIOKafkaProducer(
            **settings.connection(),
            acks="all",
            enable_idempotence=True,
            max_request_size=settings.max_record_bytes + 64 * 1024,
            linger_ms=0,
        )

    async def start(self) -> None:
        """Connect. Raises BrokerGone."""
        try:
            await self._producer.start()
        except (KafkaError, OSError) as problem:
            raise BrokerGone(str(problem)) from problem

    async def put(self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Return when every replica has it. Raises BrokerGone (try again), or TooLarge (never again)."""
        if key is None and value is None:
            value, headers = b"", (*headers, NULL_VALUE)
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await self._producer.send_and_wait(topic, key=key, value=value, headers=list(headers))
        except MessageSizeTooLargeError as problem:
            raise TooLarge(str(problem)) from problem
        except (KafkaError, TimeoutError, OSError) as problem:
            raise BrokerGone(str(problem) or type(problem).__name__) from problem

    async def stop(self) -> None:
        """Send what is left and disconnect."""
        await self._producer.stop()
