"""Which partitions are ours, since when, and how far each is done."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from pipeline.ingest.letter_marks import LetterMarks
from pipeline.ingest.watermark import Watermark
from pipeline.records import Partition, Record

_BETWEEN: Final = ";"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What is committed of a partition: where to go on, and a note on what lies beyond."""

    offset: int
    note: str = ""  # what is done, and behind a semicolon where to look for letters

    @property
    def done(self) -> str:
        """The watermark's part of the note."""
        return self.note.partition(_BETWEEN)[0]

    @property
    def letters(self) -> str:
        """The part that the marks of the letters make."""
        return self.note.partition(_BETWEEN)[2]


class Assignment:
    """The partitions of one generation; what was read under an earlier one changes nothing any more."""

    def __init__(self, letters: LetterMarks) -> None:
        self.generation = 0
        self._letters = letters
        self._marks: dict[Partition, Watermark] = {}
        self._committed: dict[Partition, Position] = {}

    def assign(self, positions: Mapping[Partition, Position], settled: Mapping[Partition, AbstractSet[int]]) -> None:
        """Begin a generation with these partitions, and no others; some records are settled that no commit tells of."""
        self.generation += 1
        self._marks = {
            at: Watermark(position=one.offset, note=one.done, settled=settled.get(at, frozenset()))
            for at, one in positions.items()
        }
        self._committed = dict(positions)

    def revoke(self) -> None:
        """End the generation: nothing is ours."""
        self.generation += 1
        self._marks = {}
        self._committed = {}

    def holds(self, record: Record) -> bool:
        """Tell whether the record was read under the present generation."""
        return record.generation == self.generation and record.partition in self._marks

    def read(self, record: Record) -> bool:
        """Take in a record; False where it needs no delivery."""
        return self.holds(record) and self._marks[record.partition].read(record.offset)

    def deliver(self, record: Record) -> bool:
        """Take in that a record is dealt with for good; False where that came too late to count."""
        if not self.holds(record):
            return False
        self._marks[record.partition].deliver(record.offset)
        return True

    def to_commit(self) -> dict[Partition, Position]:
        """Return the positions that differ from what is committed."""
        now = {at: Position(offset=mark.position, note=self._note(at, mark)) for at, mark in self._marks.items()}
        return {at: position for at, position in now.items() if self._committed.get(at) != position}

    def _note(self, at: Partition, mark: Watermark) -> str:
        letters = self._letters.note(at)
        return f"{mark.note()}{_BETWEEN}{letters}" if letters else mark.note()

    def committed(self, positions: Mapping[Partition, Position]) -> None:
        """Take in that these positions are safe at the broker."""
        self._committed.update((at, one) for at, one in positions.items() if at in self._marks)

    @property
    def partitions(self) -> Iterable[Partition]:
        """The partitions that are ours."""
        return self._marks.keys()

    @property
    def longest(self) -> int:
        """The most records that one partition has outstanding."""
        return max((mark.outstanding for mark in self._marks.values()), default=0)
