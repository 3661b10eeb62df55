"""How long to wait before a retry: full jitter, so that callers who failed together do not come back together."""

from collections.abc import Callable

import msgspec


class FullJitter(msgspec.Struct, frozen=True, kw_only=True):
    """A delay drawn evenly from nothing up to a ceiling that doubles with each retry."""

    base_s: float
    cap_s: float

    def ceiling(self, retry_no: int) -> float:
        """Return the longest delay before the n-th retry, n from 1."""
        doublings = min(retry_no - 1, 62)  # beyond it the cap holds anyway, and a float would overflow
        return float(min(self.cap_s, self.base_s * 2**doublings))

    def delay(self, retry_no: int, draw: Callable[[], float]) -> float:
        """Return the delay in seconds; `draw` gives a number in [0, 1)."""
        return draw() * self.ceiling(retry_no)
