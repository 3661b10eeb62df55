"""How many retries the traffic may carry: a share of the requests, so that an outage is not amplified."""

import msgspec


class BudgetPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A retry for every `1 / ratio` requests, and a few where there is hardly any traffic."""

    ratio: float = 0.2
    minimum: int = 3  # retries that may always be had within one window
    window_s: float = 10.0
    burst: int = 100  # what can be saved up


class RetryBudget:
    """A purse: each request pays in a share of a retry, each retry takes a whole one.

    Over any span, retries <= ratio * requests + minimum * (1 + span / window) + what had been saved before it.
    """

    def __init__(self, policy: BudgetPolicy, *, now: float) -> None:
        self._policy = policy
        self._ceiling = float(max(policy.burst, policy.minimum))
        self._saved = 0.0
        self._floor = float(policy.minimum)
        self._at = now

    def request(self) -> None:
        """Pay in for one request."""
        self._saved = min(self._ceiling, self._saved + self._policy.ratio)

    def take(self, now: float) -> bool:
        """Take one retry out; False where there is none to take."""
        self._refill(now)
        if self._saved >= 1.0:
            self._saved -= 1.0
            return True
        if self._floor >= 1.0:
            self._floor -= 1.0
            return True
        return False

    def available(self, now: float) -> int:
        """Return how many retries could be taken at once."""
        self._refill(now)
        return int(self._saved) + int(self._floor)

    def _refill(self, now: float) -> None:
        policy = self._policy
        passed = max(0.0, now - self._at)
        self._at = max(self._at, now)
        self._floor = min(float(policy.minimum), self._floor + passed * policy.minimum / policy.window_s)
