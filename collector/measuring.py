"""The metrics engine shared by two threads: the drain loop records, the API reads; one lock, held shortly."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from collector.domain.events import Connection, Exchange
from collector.domain.metrics import (
    Counts,
    KernelFacts,
    MetricsReader,
    MetricsRecorder,
    NetworkSnapshot,
    ResilienceSnapshot,
    Window,
)


class Engine(MetricsRecorder, MetricsReader, Protocol):
    """What records and answers."""


class SharedEngine:
    """An engine behind a lock. Answers are as of now: windows are rolled before each."""

    def __init__(self, engine: Engine, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._engine = engine
        self._now = monotonic_ns
        self._lock = threading.Lock()

    def record(self, events: Sequence[Exchange | Connection], now_ns: int) -> None:
        """Count events."""
        with self._lock:
            self._engine.record(events, now_ns)

    def tick(self, now_ns: int, facts: KernelFacts | None = None) -> None:
        """Roll windows, take facts."""
        with self._lock:
            self._engine.tick(now_ns, facts)

    def network(
        self, *, service: str | None = None, route: str | None = None, peer: str | None = None, window: Window = "1m"
    ) -> NetworkSnapshot:
        """Return the traffic of a window."""
        with self._lock:
            self._engine.tick(self._now())
            return self._engine.network(service=service, route=route, peer=peer, window=window)

    def resilience(self) -> ResilienceSnapshot:
        """Return retries, timeouts and breakers as seen from the wire."""
        with self._lock:
            self._engine.tick(self._now())
            return self._engine.resilience()

    def losses(self) -> dict[str, Counts]:
        """Return stage -> reason -> count."""
        with self._lock:
            return self._engine.losses()

    def exposition(self, *, openmetrics: bool) -> bytes:
        """Return the Prometheus exposition."""
        with self._lock:
            self._engine.tick(self._now())
            return self._engine.exposition(openmetrics=openmetrics)
