"""Where records go that are not delivered: never dropped, byte for byte, with the reason and where they came from.

Every letter has an ID that says what it is about. Who takes over a partition looks for the letters that no commit tells
of, and does not write them again (docs/decisions/0104).
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec

from pipeline.errors import TooLarge
from pipeline.ingest.assignment import Position
from pipeline.ingest.letter_marks import LetterMarks
from pipeline.outbound.outcome import Outcome
from pipeline.ports import Outbox
from pipeline.records import Headers, Partition, Record

ID: Final = "x-letter-id"


class LetterTopics(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters were never deliverable; parked records are valid, but the API would not have them."""

    dead: str
    parked: str


class Letters:
    """Writes both kinds; returns when every replica has the record."""

    def __init__(self, outbox: Outbox, topics: LetterTopics, *, marks: LetterMarks, group: str) -> None:
        self._outbox = outbox
        self._topics = topics
        self._marks = marks
        self._group = group

    async def left_behind(self, positions: Mapping[Partition, Position]) -> dict[Partition, set[int]]:
        """Return the records at or after each position that have a letter already. Raises BrokerGone."""
        marks = self._marks
        tails = await self._outbox.tails(
            {
                (topic, about): start
                for about, position in positions.items()
                for topic, start in marks.read(position.letters).items()
            }
        )
        found: defaultdict[Partition, set[int]] = defaultdict(set)
        for (topic, about), tail in tails.items():
            marks.begin((topic, about), partition=tail.partition, end=tail.end)
            prefix = self._id(about, "")
            for headers in tail.headers:
                name = (dict(headers).get(ID) or b"").decode("utf-8", "replace")  # the last is ours
                offset = name.removeprefix(prefix)
                if name.startswith(prefix) and offset.isdigit() and int(offset) >= positions[about].offset:
                    found[about].add(int(offset))
        return dict(found)

    async def bury(self, record: Record, *, reason: str, detail: str) -> None:
        """Write a dead letter. Raises BrokerGone."""
        words = (("x-dead-letter-reason", reason.encode()), ("x-dead-letter-detail", _short(detail)))
        await self._put(self._topics.dead, record, words)

    async def park(self, record: Record, outcome: Outcome) -> None:
        """Write a record that was refused for good, or too often, with its last outcome. Raises BrokerGone."""
        await self._put(self._topics.parked, record, (("x-parked-outcome", msgspec.json.encode(outcome)),))

    async def _put(self, topic: str, record: Record, words: Headers) -> None:
        name = (ID, self._id(record.partition, str(record.offset)).encode())
        headers = (*record.headers, *words, *_origin(record), name)
        if record.unreadable:
            headers = (*headers, ("x-value-omitted", b"unreadable"))
        place, offset = (topic, record.partition), None
        ticket = self._marks.sending(place)
        try:
            offset = await self._outbox.put(place, key=record.key, value=record.value, headers=headers)
        except TooLarge:
            # The topic takes less than the record's own does: keep all but the bytes, which stay where they came from.
            headers = (*headers, ("x-value-omitted", b"%d" % len(record.value or b"")))
            offset = await self._outbox.put(place, key=None, value=b"", headers=headers)
        finally:
            self._marks.sent(place, ticket, offset=offset)

    def _id(self, about: Partition, offset: str) -> str:
        topic, partition = about
        return f"{self._group}/{topic}/{partition}/{offset}"


def _origin(record: Record) -> Headers:
    topic, partition = record.partition
    place = (
        ("x-origin-topic", topic.encode()),
        ("x-origin-partition", b"%d" % partition),
        ("x-origin-offset", b"%d" % record.offset),
    )
    if record.unreadable:
        return place
    return (*place, ("x-origin-sha256", hashlib.sha256(record.value or b"").hexdigest().encode()))


def _short(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")[:500]
