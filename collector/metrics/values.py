"""Times by HDR index: as they come while they are few, counted once they are many. Adding and merging lose nothing."""

from array import array
from collections import Counter

from collector.metrics.hdr import Packed

_COUNTED_FROM = 4096  # values as they come: 2 bytes each
_ENTRY = 1.5  # room that a counted entry takes, in values as they come


class Values:
    """A multiset of HDR indices, and the sum of the times behind them."""

    __slots__ = ("counted", "raw", "total_us")

    def __init__(self) -> None:
        self.raw = array("H")
        self.counted: Packed | None = None
        self.total_us = 0

    def add(self, indices: "array[int]", total_us: int) -> None:
        """Take values by their indices."""
        self.raw.extend(indices)
        self.total_us += total_us
        if len(self.raw) >= _COUNTED_FROM:
            self._count()

    def merge(self, other: "Values") -> None:
        """Take the values of another."""
        self.raw.extend(other.raw)
        self.total_us += other.total_us
        if other.counted is not None:
            if self.counted is None and not self.raw:
                self.counted = other.counted
                return
            self._count(other.counted)
        elif len(self.raw) >= _COUNTED_FROM:
            self._count()

    def _count(self, more: Packed | None = None) -> None:
        counts = Counter(self.raw)
        for packed in (self.counted, more):
            if packed is not None:
                packed.add_to(counts)
        self.counted, self.raw = Packed(counts), array("H")

    def settle(self) -> None:
        """Take little room: no more values will come."""
        if self.counted is not None:
            self._count()
        elif len(counts := Counter(self.raw)) * _ENTRY < len(self.raw):
            self.counted, self.raw = Packed(counts), array("H")

    def add_to(self, counts: Counter[int]) -> None:
        """Add these to counts by index."""
        if self.raw:
            counts.update(self.raw)
        if self.counted is not None:
            self.counted.add_to(counts)
