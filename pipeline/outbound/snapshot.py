"""The state of the resilience policies at one moment, for whoever asks."""

import msgspec


class ResilienceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One destination: gauges as of now, totals since the start."""

    destination: str
    circuit: str
    circuit_opened_total: int
    in_flight: int
    queue_depth: int
    saturation: float
    retry_budget: int
    requests_total: int
    attempts_total: int
    retries_total: int
    timeouts_total: int
    outcomes: dict[str, int]
