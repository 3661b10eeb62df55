"""From where on a successor has to look among the letters for those that no commit tells of."""

import itertools
from collections.abc import Iterable
from typing import Final, TypeAlias

from pipeline.records import Partition

Place: TypeAlias = tuple[str, Partition]  # a topic of letters, and the partition that they are about
_DIGITS: Final = 18  # more is no offset


class LetterMarks:
    """One mark for each place: every letter that is not settled yet lies there or beyond.

    A letter lands behind all that had landed when it was sent. So the mark is the end as it was known when the oldest
    of those under way was sent, or where none is under way, the end as it is known now.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = tuple(topics)
        self._lies_in: dict[Place, tuple[str, int]] = {}  # the topic's partition, which places share
        self._ends: dict[tuple[str, int], int] = {}
        self._under_way: dict[Place, dict[int, int]] = {}  # by ticket, the end as it was known then
        self._tickets = itertools.count()

    def begin(self, place: Place, *, partition: int, end: int) -> None:
        """Take in which partition of its topic a place lies in, and where that ends, as an assignment begins."""
        there = (place[0], partition)
        self._lies_in[place] = there
        self._ends[there] = end
        self._under_way[place] = {}

    def sending(self, place: Place) -> int:
        """Take in that a letter is being sent; returns a ticket for `sent`."""
        ticket = next(self._tickets)
        self._under_way[place][ticket] = self._ends[self._lies_in[place]]
        return ticket

    def sent(self, place: Place, ticket: int, *, offset: int | None) -> None:
        """Take in where a letter landed; None where that is not known."""
        self._under_way[place].pop(ticket, None)  # not there where it was sent under an earlier assignment
        if offset is not None:
            there = self._lies_in[place]
            self._ends[there] = max(self._ends[there], offset + 1)

    def note(self, about: Partition) -> str:
        """Return the marks of a partition as text, in order of the topics."""
        places = [(topic, about) for topic in self.topics]
        return ",".join(str(self._mark(place)) for place in places if place in self._lies_in)

    def _mark(self, place: Place) -> int:
        return min(self._under_way[place].values(), default=self._ends[self._lies_in[place]])

    def read(self, note: str) -> dict[str, int | None]:
        """Return the mark for each topic; None where the note tells of none."""
        words = note.split(",")
        marks = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= _DIGITS]
        if len(marks) != len(words) or len(words) != len(self.topics):
            return dict.fromkeys(self.topics)
        return dict(zip(self.topics, marks, strict=True))
