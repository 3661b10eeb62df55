"""The metrics engine: both ports of collector.domain.metrics over one store. No I/O, no clock, one thread."""

from collections.abc import Sequence
from typing import Final

import msgspec

from collector.domain.events import Connection, Exchange
from collector.domain.metrics import Counts, Coverage, KernelFacts, NetworkSnapshot, ResilienceSnapshot, Window
from collector.metrics.exposition import Exposition
from collector.metrics.moments import began_ns, ended_ns
from collector.metrics.network import Network
from collector.metrics.resilience import Resilience
from collector.metrics.settings import MetricsSettings
from collector.metrics.store import Store

_STEP_NS: Final = 100_000_000  # how often circuits take note of time
_GATHERED: Final = 1024  # exchanges after which they are settled in any case
_EXPIRE_NS: Final = 10_000_000_000


class Engine:
    """`record` and `tick` in the drain loop; the rest wherever an answer is due, in the same thread."""

    def __init__(self, settings: MetricsSettings | None = None, *, version: str = "") -> None:
        self._settings = settings or MetricsSettings()
        self._resilience = Resilience(self._settings.destinations)
        self._store = Store(self._settings, self._resilience)
        self._facts = KernelFacts()
        self._version = version
        self._started_ns: int | None = None
        self._wall_offset_ns: int | None = None
        self._stepped_ns = self._expired_ns = 0
        self._gathered = 0

    # -- MetricsRecorder ---------------------------------------------------------------------------------------

    def record(self, events: Sequence[Exchange | Connection], now_ns: int) -> None:
        """Count events that were told by `now_ns` (CLOCK_MONOTONIC). They fall in the interval of `now_ns`."""
        self._begin(now_ns)
        store = self._store
        store.advance(now_ns)
        if self._wall_offset_ns is None and events:
            last = events[-1]
            self._wall_offset_ns = ended_ns(last, began_ns(last)) - now_ns
        for event in events:
            if type(event) is Exchange:
                store.exchange(event)
            elif type(event) is Connection:
                store.connection(event)
        self._gathered += len(events)
        if self._gathered >= _GATHERED or now_ns - self._stepped_ns >= _STEP_NS:
            self._step(now_ns)

    def tick(self, now_ns: int, facts: KernelFacts | None = None) -> None:
        """Roll windows and expire series; call it as often as you like, with facts about once a second."""
        self._begin(now_ns)
        self._store.advance(now_ns)
        if facts is not None:
            self._learn(now_ns, facts)
        if facts is not None or now_ns - self._stepped_ns >= _STEP_NS:
            self._step(now_ns)
        if facts is not None and facts.workers is not None:
            self._resilience.compare(facts.workers)
        if now_ns - self._expired_ns >= _EXPIRE_NS:
            self._expired_ns = now_ns
            if self._resilience.expire(now_ns - int(self._settings.series_ttl_s * 1e9)):
                self._store.forget_cells()

    def _begin(self, now_ns: int) -> None:
        if self._started_ns is None:
            self._started_ns = now_ns

    def _learn(self, now_ns: int, facts: KernelFacts) -> None:
        known = {name: value for name, value in msgspec.structs.asdict(facts).items() if value is not None}
        self._facts = msgspec.structs.replace(self._facts, **known)
        if facts.wall_ns is not None:
            self._wall_offset_ns = facts.wall_ns - now_ns
        if facts.intake is not None:
            self._resilience.intake({self._store.service(name): count for name, count in facts.intake.items()})
        if facts.pools is not None:
            self._resilience.census(((self._store.service(one.service), one) for one in facts.pools), now_ns)

    def _step(self, now_ns: int) -> None:
        self._stepped_ns = now_ns
        self._gathered = 0
        served = {one.service: one.exchanges for one in self._store.services if one.role == "server"}
        self._resilience.step(now_ns, now_ns + (self._wall_offset_ns or 0), served)

    @property
    def wants_intake(self) -> bool:
        """Whether the next facts should say what services take in besides HTTP: only then is it worth finding out."""
        return self._resilience.suspects

    # -- MetricsReader -----------------------------------------------------------------------------------------

    def network(
        self, *, service: str | None = None, route: str | None = None, peer: str | None = None, window: Window = "1m"
    ) -> NetworkSnapshot:
        """Return the traffic of a window; an unknown service, route or peer gives zeros.

        Raises ValueError where a route and a peer are asked for together: they are counted apart.
        """
        if route is not None and peer is not None:
            raise ValueError("a route and a peer cannot be asked for together")
        return Network(self._store, window, self._started_ns or 0).snapshot(
            service=service, route=route, peer=peer, pools=self._resilience.pools(), coverage=self.coverage()
        )

    def resilience(self) -> ResilienceSnapshot:
        """Return retries, timeouts and breakers as seen from the wire."""
        self._step(self._store.now_ns)
        return self._resilience.snapshot()

    def losses(self) -> dict[str, Counts]:
        """Return stage -> reason -> count, as told last. The engine itself loses nothing: see `overflow`."""
        return {stage: dict(reasons) for stage, reasons in (self._facts.losses or {}).items()}

    def coverage(self) -> Coverage:
        """Return how much of what happened was seen."""
        self._store.fold()
        answered = self._store.answered.total()
        kernel = None if self._facts.totals is None else self._facts.totals.get("exchanges")
        lost = 0 if self._facts.records is None else self._facts.records.get("lost", 0)
        return Coverage(
            recorded=self._store.recorded.total(),
            answered=answered,
            kernel=kernel,
            lost=lost,
            ratio=min(answered / kernel, 1.0) if kernel else None,
        )

    def exposition(self, *, openmetrics: bool) -> bytes:
        """Return the Prometheus exposition: text 0.0.4, or OpenMetrics 1.0.0 with exemplars."""
        self._step(self._store.now_ns)
        return Exposition(
            store=self._store,
            resilience=self._resilience,
            facts=self._facts,
            losses=self.losses(),
            version=self._version,
        ).encoded(openmetrics=openmetrics)
