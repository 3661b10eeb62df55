"""What really happened at the API: the oracle that tests hold the worker to."""

import enum
from collections import Counter

import msgspec
from hdrh.histogram import HdrHistogram


class Effect(enum.Enum):
    """What a request came to."""

    APPLIED = "applied"
    REPLAYED = "replayed"
    CONFLICT = "conflict"


class Account(msgspec.Struct, kw_only=True):
    """All that is known of one idempotency key; times in seconds on one clock."""

    key: str
    route: str
    sha256: str
    arrivals: int = 0
    effects: int = 0
    effect_at: float | None = None
    answered_at: float | None = None  # when the effect was last reported whole
    replays: int = 0  # arrivals after the effect
    repeats: int = 0  # of those, the ones after it was reported: the client forgot, or never heard
    conflicts: int = 0
    not_before: float = 0.0  # the latest Retry-After given out
    early: int = 0  # arrivals that did not wait for it


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger in a few numbers."""

    keys: int
    arrivals: int
    effects: int
    doubled: int
    replays: int
    repeats: int
    conflicts: int
    keyless: int
    early_retries: int
    faults: dict[str, int]
    latency_ms: dict[str, float]


class Ledger:
    """One account for each key; `now` is the caller's clock, in seconds."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._latency = HdrHistogram(1, 600_000_000, 3)  # us, from the intended start to the effect
        self._effects = 0
        self.faults: Counter[str] = Counter()
        self.keyless = 0
        self.first_arrival_at: float | None = None
        self.last_arrival_at = 0.0

    def arrived(self, key: str, *, route: str, sha256: str, now: float) -> None:
        """Note a request that reached the API."""
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(key=key, route=route, sha256=sha256)
        account.arrivals += 1
        account.early += now < account.not_before
        account.replays += account.effects > 0
        account.repeats += account.answered_at is not None
        if self.first_arrival_at is None:
            self.first_arrival_at = now
        self.last_arrival_at = now

    def apply(self, key: str, *, sha256: str, now: float) -> Effect:
        """Have the effect, unless the key had it already; another body under the same key has none."""
        account = self._accounts[key]
        if account.sha256 != sha256:
            account.conflicts += 1
            return Effect.CONFLICT
        if account.effects:
            return Effect.REPLAYED
        account.effects += 1
        account.effect_at = now
        self._effects += 1
        return Effect.APPLIED

    def answered(self, key: str, *, now: float) -> None:
        """Note that the client is being told of the effect, without a fault."""
        self._accounts[key].answered_at = now

    @property
    def effects(self) -> int:
        """How many effects there were so far; costs nothing, unlike the summary."""
        return self._effects

    def asked_to_wait(self, key: str, *, until: float) -> None:
        """Note the Retry-After that an answer carried."""
        self._accounts[key].not_before = max(self._accounts[key].not_before, until)

    def took(self, seconds: float) -> None:
        """Note the time from a record's intended start to its effect."""
        self._latency.record_value(max(1, int(seconds * 1e6)))

    def accounts(self) -> list[Account]:
        """Return every account, in order of first arrival."""
        return list(self._accounts.values())

    def summary(self) -> Summary:
        """Return the totals."""
        accounts = self._accounts.values()
        quantiles = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
        return Summary(
            keys=len(accounts),
            arrivals=sum(one.arrivals for one in accounts),
            effects=sum(one.effects for one in accounts),
            doubled=sum(one.effects > 1 for one in accounts),
            replays=sum(one.replays for one in accounts),
            repeats=sum(one.repeats for one in accounts),
            conflicts=sum(one.conflicts for one in accounts),
            keyless=self.keyless,
            early_retries=sum(one.early for one in accounts),
            faults=dict(self.faults),
            latency_ms={name: self._latency.get_value_at_percentile(at) / 1000 for name, at in quantiles.items()},
        )
