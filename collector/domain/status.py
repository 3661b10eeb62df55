"""How the observer itself is doing: one frozen snapshot, made by the drain loop, read by whoever serves."""

from typing import Protocol

import msgspec


class ObserverStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The collector as of `at_ns` (CLOCK_MONOTONIC). Counts are totals since the start."""

    at_ns: int
    started_ns: int
    rung: str
    canary: str  # "passed" | "pending" | "failed" | "filtered": the proof that the whole path works
    canary_exchanges: int  # the collector's own, known to the kernel, told to nobody
    stopping: bool
    told: int  # events, of every kind: the newest `seq`
    exchanges: dict[str, int]  # told, by role
    connections: int  # seen
    open_connections: int
    not_http: int  # connections whose bytes were not HTTP
    records: dict[str, int]  # captured, decoded, lost
    kernel: dict[str, int]  # the kernel's own totals of what watched connections moved
    lost: dict[str, dict[str, int]]  # by stage and reason
    ring_fill_ratio: float
    drain_interval_ns: int  # between the last two drains


class Observer(Protocol):
    """Knows how the observer is doing."""

    def status(self) -> ObserverStatus:
        """Return the newest snapshot; safe to call from any thread."""
        ...
