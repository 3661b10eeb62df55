"""The arithmetic of HdrHistogram on sparse counts: indices, values and percentiles equal the hdrhistogram package's.

A full histogram from 1 us to 1 h with three digits is 188 KiB; what one route sees in a second is a few entries. So
counts are kept by HDR index in a dict, packed where they do not change any more, and merged by adding: nothing is
lost, and `full` gives the package's own object. Values are whole microseconds.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, repeat
from operator import add
from typing import Final

from hdrh.histogram import HdrHistogram

LOWEST_US: Final = 1
HIGHEST_US: Final = 3_600_000_000
DIGITS: Final = 3
_HALF_BITS: Final = 10  # three digits: 2,048 sub-buckets, 1,024 in the upper half
_HALF: Final = 1 << _HALF_BITS
_LINEAR: Final = 2 * _HALF  # below it, every microsecond has an index of its own

Counts = dict[int, int]


def microseconds(values_ms: Sequence[float]) -> list[int]:
    """Return times in whole microseconds, rounded, within the histogram's range."""
    if max(values_ms, default=0) * 1000 > HIGHEST_US or min(values_ms, default=0) < 0:
        values_ms = [max(min(value, HIGHEST_US / 1000), 0) for value in values_ms]
    return [int(value * 1000 + 0.5) for value in values_ms]


def indices(values_us: Iterable[int]) -> "array[int]":
    """Return the HDR index of each value."""
    return array(
        "H",
        [us if us < _LINEAR else ((shift := us.bit_length() - 11) << _HALF_BITS) + (us >> shift) for us in values_us],
    )


def highest_at(index: int) -> int:
    """Return the highest value that shares an index, microseconds."""
    if index < _LINEAR:
        return index
    shift = (index >> _HALF_BITS) - 1
    return (((index & (_HALF - 1)) + _HALF + 1) << shift) - 1


def lowest_at(index: int) -> int:
    """Return the lowest value that has an index, microseconds."""
    if index < _LINEAR:
        return index
    shift = (index >> _HALF_BITS) - 1
    return ((index & (_HALF - 1)) + _HALF) << shift


def percentiles(counts: Counts, wanted: Sequence[float]) -> list[int]:
    """Return the values at percentiles (0 to 100) by the package's rule, microseconds.

    The rank is the percentage of the count rounded half up, at least 1; the value is the highest that shares the
    index found there. Empty counts give zeros.
    """
    ordered = sorted(counts)
    passed = list(accumulate(map(counts.__getitem__, ordered)))
    if not passed:
        return [0] * len(wanted)
    ranks = (max(int(min(percentile, 100.0) * passed[-1] / 100 + 0.5), 1) for percentile in wanted)
    return [highest_at(ordered[bisect_left(passed, rank)]) for rank in ranks]


def full(counts: Counts) -> HdrHistogram:
    """Return the package's own histogram with these counts."""
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for index, count in counts.items():
        histogram.record_value(lowest_at(index), count)
    return histogram


class Packed:
    """Counts that do not change any more, in 3 bytes an entry where the counts are small."""

    __slots__ = ("_counts", "_indices")

    def __init__(self, counts: Counts) -> None:
        ordered = sorted(counts)
        self._indices = array("H", ordered)
        largest = max(counts.values(), default=0)
        size = "B" if largest < 1 << 8 else "I" if largest < 1 << 32 else "Q"
        self._counts = array(size, map(counts.__getitem__, ordered))

    def add_to(self, counts: Counts) -> None:
        """Add what is held here."""
        sums = map(add, self._counts, map(counts.get, self._indices, repeat(0)))
        dict.update(counts, zip(self._indices, sums, strict=True))  # a Counter's own would add; and all of it runs in C
