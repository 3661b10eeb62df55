"""How long the broker takes for a commit right now, on a machine that may have much else to do."""

import asyncio
import contextlib
import threading
import time
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

_EVERY_S = 0.05


class CommitProbe:
    """Commits over and over under a group of its own while the block runs; `longest_s` says how long the worst one took."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._commit()))
        self.longest_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _commit(self) -> None:
        at = TopicPartition(self._topic, 0)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=f"{self._topic}-probe", enable_auto_commit=False
        )
        await consumer.start()
        consumer.assign([at])
        try:
            while not self._over.is_set():
                began = time.monotonic()
                with contextlib.suppress(KafkaError):
                    await consumer.commit({at: 0})
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                await asyncio.sleep(_EVERY_S)
        finally:
            await consumer.stop()
