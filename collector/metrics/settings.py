"""The bounds of the metrics engine: what one collector may keep, whatever traffic comes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """How many series of each sort; beyond, `_other`."""

    services: int = 50
    routes: int = 300  # (service, route) pairs, each side for itself
    peers: int = 100  # (service, peer) pairs, each side for itself
    counters: int = 4000  # (series, method, status class, outcome)
    destinations: int = 100  # (service, peer) pairs whose resilience is followed
    series_ttl_s: float = 7200.0  # a series nothing was counted in for so long is dropped; at least the longest window
