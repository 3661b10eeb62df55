"""Counts of the calls of the last few seconds, in slices of time."""

from collections import deque
from typing import Final

SLICES: Final = 10


class CallWindow:
    """How many calls ended within the span, failed or slow; memory does not grow with the rate."""

    def __init__(self, *, span_s: float) -> None:
        self._slice_s = span_s / SLICES
        self._slices: deque[list[int]] = deque()  # slice number, calls, failed, slow
        self.calls = 0
        self.failed = 0
        self.slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Count one call, and forget those that are older than the span."""
        number = int(now / self._slice_s)
        self._forget(number - SLICES)
        if not self._slices or self._slices[-1][0] < number:
            self._slices.append([number, 0, 0, 0])
        newest = self._slices[-1]
        newest[1] += 1
        newest[2] += failed
        newest[3] += slow
        self.calls += 1
        self.failed += failed
        self.slow += slow

    def _forget(self, number: int) -> None:
        while self._slices and self._slices[0][0] <= number:
            _, calls, failed, slow = self._slices.popleft()
            self.calls -= calls
            self.failed -= failed
            self.slow -= slow
