"""Where records go that are not delivered: never dropped, byte for byte, with the reason and where they came from."""

import hashlib

import msgspec

from pipeline.errors import TooLarge
from pipeline.outbound.outcome import Outcome
from pipeline.ports import Outbox
from pipeline.records import Headers, Record


class LetterTopics(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters were never deliverable; parked records are valid, but the API would not have them."""

    dead: str
    parked: str


class Letters:
    """Writes both kinds; returns when every replica has the record."""

    def __init__(self, outbox: Outbox, topics: LetterTopics) -> None:
        self._outbox = outbox
        self._topics = topics

    async def bury(self, record: Record, *, reason: str, detail: str) -> None:
        """Write a dead letter. Raises BrokerGone."""
        words = (("x-dead-letter-reason", reason.encode()), ("x-dead-letter-detail", _short(detail)))
        await self._put(self._topics.dead, record, words)

    async def park(self, record: Record, outcome: Outcome) -> None:
        """Write a record that was refused for good, or too often, with its last outcome. Raises BrokerGone."""
        await self._put(self._topics.parked, record, (("x-parked-outcome", msgspec.json.encode(outcome)),))

    async def _put(self, topic: str, record: Record, words: Headers) -> None:
        headers = (*record.headers, *words, *_origin(record))
        try:
            await self._outbox.put(topic, key=record.key, value=record.value, headers=headers)
        except TooLarge:
            # The topic takes less than the record's own does: keep all but the bytes, which stay where they came from.
            headers = (*headers, ("x-value-omitted", b"%d" % len(record.value or b"")))
            await self._outbox.put(topic, key=None, value=b"", headers=headers)


def _origin(record: Record) -> Headers:
    topic, partition = record.partition
    return (
        ("x-origin-topic", topic.encode()),
        ("x-origin-partition", b"%d" % partition),
        ("x-origin-offset", b"%d" % record.offset),
        ("x-origin-sha256", hashlib.sha256(record.value or b"").hexdigest().encode()),
    )


def _short(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")[:500]
