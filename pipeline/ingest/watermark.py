"""How far a partition is done: the offset to commit, and what beyond it is done already."""

import base64
import binascii
from collections import deque
from collections.abc import Set as AbstractSet
from typing import Final

MAX_SPAN: Final = 16_384  # offsets that the note can cover: 2 KiB of bits, within a broker's limit of 4 KiB of metadata


class Watermark:
    """The records of one partition in order of their offsets (which have gaps), each delivered or not yet.

    `position` is where a successor has to begin: every record before it is delivered. The note tells which records
    after it are delivered too, so that a crash repeats only what was under way.
    """

    def __init__(self, *, position: int, note: str = "", settled: AbstractSet[int] = frozenset()) -> None:
        self.position = position
        self._open: deque[int] = deque()  # read, in order, from the first that is not delivered
        self._done: set[int] = set()
        self._known = {position + step for step in _read(note)} | settled
        self._next = position

    def read(self, offset: int) -> bool:
        """Take in a record that was read; False where it needs no delivery (done before a crash, or read before)."""
        if offset < self._next:
            return False
        self._next = offset + 1
        self._open.append(offset)
        if offset in self._known:
            self._known.discard(offset)
            self.deliver(offset)
            return False
        return True

    def deliver(self, offset: int) -> None:
        """Take in that a record is dealt with for good."""
        self._done.add(offset)
        waiting, done = self._open, self._done
        while waiting and waiting[0] in done:
            done.discard(waiting.popleft())
        self.position = waiting[0] if waiting else self._next

    @property
    def outstanding(self) -> int:
        """How many records from the position on were read."""
        return len(self._open)

    def note(self) -> str:
        """Return the delivered records after the position, as text for the offset's metadata."""
        steps = [offset - self.position for offset in (*self._done, *self._known)]
        steps = [step for step in steps if 0 <= step < MAX_SPAN]
        if not steps:
            return ""
        bits = bytearray(max(steps) // 8 + 1)
        for step in steps:
            bits[step // 8] |= 1 << step % 8
        return base64.b64encode(bits).decode("ascii")


def _read(note: str) -> list[int]:
    """Return the steps that a note names; none where it is not a note of ours (that only costs repetitions)."""
    try:
        data = base64.b64decode(note, validate=True)
    except (binascii.Error, ValueError):
        return []
    bits = int.from_bytes(data[: MAX_SPAN // 8], "little")
    return [step for step in range(bits.bit_length()) if bits >> step & 1]
