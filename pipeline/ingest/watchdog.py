"""Whether the worker still gets anything done."""


class Watchdog:
    """Counts the seconds in which work was under way and nothing ended; `now` is the caller's clock."""

    def __init__(self, *, limit_s: float, now: float) -> None:
        self.limit_s = limit_s
        self._since = now
        self._ended = 0

    def look(self, *, under_way: int, ended: int, now: float) -> bool:
        """Take in how many jobs are under way and how many ended so far; True where the worker is stalled."""
        if ended != self._ended or under_way == 0:
            self._ended = ended
            self._since = now
        return now - self._since >= self.limit_s
