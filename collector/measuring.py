"""The metrics engine shared by two threads: the drain loop records, the API reads; one lock, held shortly."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

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

_FRESH_NS: Final = 200_000_000  # many may ask at once, and the drain loop waits meanwhile
_TOLD: Final = 64

_Asked = tuple[str | None, str | None, str | None, Window]


class Engine(MetricsRecorder, MetricsReader, Protocol):
    """What records and answers."""


class SharedEngine:
    """An engine behind a lock. Answers are as of now: windows are rolled before each."""

    def __init__(self, engine: Engine, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._engine = engine
        self._now = monotonic_ns
        self._lock = threading.Lock()
        self._told: dict[_Asked, tuple[int, NetworkSnapshot]] = {}

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
        """Return the traffic of a window; the same answer for all who ask within 200 ms."""
        asked = (service, route, peer, window)
        with self._lock:
            now = self._now()
            known = self._told.get(asked)
            if known is not None and now - known[0] < _FRESH_NS:
                return known[1]
            self._engine.tick(now)
            answer = self._engine.network(service=service, route=route, peer=peer, window=window)
            if len(self._told) >= _TOLD:
                self._told.clear()
            self._told[asked] = (now, answer)
            return answer

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
