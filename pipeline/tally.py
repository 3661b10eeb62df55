"""What the worker counts; the sums have to balance."""

import msgspec


class Tally(msgspec.Struct, kw_only=True):
    """Records since the start. consumed = succeeded + dead_lettered + parked + fenced + those in memory."""

    consumed: int = 0
    skipped: int = 0  # delivered before, as the committed note says; not among the consumed
    succeeded: int = 0
    dead_lettered: int = 0
    parked: int = 0
    fenced: int = 0  # let go unfinished, or finished too late: whoever has the partition now reads them again
    held: int = 0
    commits: int = 0
    commit_failures: int = 0
    rebalances: int = 0

    def end(self, result: str) -> None:
        """Count a record under what became of it."""
        setattr(self, result, getattr(self, result) + 1)

    @property
    def ended(self) -> int:
        """How many need nothing more of us."""
        return self.succeeded + self.dead_lettered + self.parked + self.fenced
