"""How far the work may run ahead of the commits: a crash repeats no more than one interval, and what is in flight."""


class Leash:
    """Tight once a settled record has waited a whole interval for its commit; `now`, in seconds, is the caller's."""

    def __init__(self, *, interval_s: float) -> None:
        self._interval_s = interval_s
        self._since: float | None = None  # when the first record was settled that no commit tells of
        self._after_stock: float | None = None  # the same, for the commit that is under way

    def settled(self, now: float) -> None:
        """Take in that a record was settled."""
        if self._since is None:
            self._since = now
        if self._after_stock is None:
            self._after_stock = now

    def stock_taken(self) -> None:
        """Take in that a commit is being sent; it tells of all that was settled so far."""
        self._after_stock = None

    def committed(self) -> None:
        """Take in that the commit for which stock was taken last is safe."""
        self._since = self._after_stock

    def loosen(self) -> None:
        """Begin anew: what was settled under an earlier assignment is not ours to commit any more."""
        self._since = self._after_stock = None

    def tight(self, now: float) -> bool:
        """Tell whether nothing new may be begun."""
        return self._since is not None and now - self._since >= self._interval_s
