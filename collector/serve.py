"""`collector run`: observe, measure and serve in one process, the drain loop in its main thread, the API in another."""

import os
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from api.server import ApiThread
from api.services.feed import FeedHub
from api.services.invariants import InvariantLedger
from api.services.recent import Recent
from api.state import Access, AppState, Clocks, Limits
from collector import listening, service
from collector.bus import Bus
from collector.config import Config
from collector.correlate.pools import has_streams, intake, pools, streams
from collector.domain.audit import AuditSink
from collector.domain.events import Connection, Exchange, Summary
from collector.domain.metrics import KernelFacts
from collector.domain.ports import AuditReader
from collector.domain.status import ObserverStatus, Stream
from collector.domain.watching import Told, WatchSettings
from collector.kernel.self_test import SelfTest
from collector.logging import Log
from collector.measuring import SharedEngine
from collector.metrics.engine import Engine
from collector.worker_reports import WorkerReports

_STATUS_EVERY_NS: Final = 100_000_000
_FACTS_EVERY_NS: Final = 1_000_000_000
_CANARY_PATIENCE_NS: Final = 5_000_000_000
_MAILBOX_EVENTS: Final = 20_000
_GATHER_NS: Final = 50_000_000
_GATHER_LISTENED_NS: Final = 15_000_000
_CONNECTION_SHARE: Final = 8  # of the memory for recent events, one part in so many
_SWITCH_S: Final = 0.001  # a thread that computes gives way to the other after this long


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What events go to besides the feed; what is absent is not served."""

    engine: SharedEngine | None = None
    archive: AuditSink | None = None
    archived: AuditReader | None = None


def assembled(config: Config, *, release: str) -> Parts:  # noqa: ARG001  # the archive's settings are in there
    """Return the parts that the configuration asks for."""
    return Parts(engine=SharedEngine(Engine(version=release)))


def run(config: Config, settings: WatchSettings, parts: Parts, *, release: str) -> int:
    """Observe and serve until told to end; return the exit code. Needs root to start. Raises CollectorProblem."""
    at = listening.address(config.listen)
    token = listening.token(at, config.token_file)
    log = Log(config.log_level)
    served = Served(config, at, parts, log, token=token, release=release)
    served.filtered = bool(settings.pids or settings.comms or settings.ports or settings.cgroups)
    try:
        return service.serve(replace(settings, include_connections=True, accept=served.accept), served)
    finally:
        log.close()


class Served:
    """The sink of a service: every batch is measured, kept and told; the snapshot says how that goes."""

    filtered = False  # what is observed is narrowed, so our own canary is not seen

    def __init__(  # noqa: PLR0913  # the parts it is made of
        self, config: Config, at: listening.Address, parts: Parts, log: Log, *, token: bytes | None, release: str
    ) -> None:
        self._config = config
        self._at = at
        self._parts = parts
        self._log = log
        self._started_ns = time.monotonic_ns()
        self._bus = Bus()
        self._mailbox = self._bus.subscribe("api", limit=_MAILBOX_EVENTS)
        self._state = self._make_state(token, release)
        self._status = _before_the_first(self._started_ns)
        self._workers = WorkerReports(config.workers, log)
        self._self_test: SelfTest | None = None
        self._attached: service.Attached | None = None
        self._api: ApiThread | None = None
        self._facts_at = self._ticked_at = self._woken_at = self._lag_ns = 0
        self._streams: tuple[Stream, ...] = ()
        self._ready_line = ""
        self._stopping = False

    def _make_state(self, token: bytes | None, release: str) -> AppState:
        config, epoch = self._config, secrets.token_hex(8)
        limits = Limits(requests_per_minute=config.requests_per_minute, feed_clients=config.feed_clients)
        connections = config.recent_bytes // _CONNECTION_SHARE
        exchanges: Recent[Exchange] = Recent(config.recent_bytes - connections)
        access = Access(
            token=token,
            hosts=Access().hosts | {self._at.host, f"[{self._at.host}]", *config.hosts},
            origins=frozenset(config.origins),
        )
        return AppState(
            release=release,
            epoch=epoch,
            started_ns=self._started_ns,
            clocks=Clocks(monotonic_ns=time.monotonic_ns, wall_ns=time.time_ns),
            observer=self,
            bus=self._bus,
            metrics=self._parts.engine,
            audit=self._parts.archived,
            exchanges=exchanges,
            connections=Recent[Connection](connections),
            hub=FeedHub(
                log=exchanges,
                epoch=epoch,
                max_clients=limits.feed_clients,
                max_filters=limits.feed_filters,
                heartbeat_s=limits.heartbeat_s,
            ),
            invariants=InvariantLedger(),
            limits=limits,
            access=access,
            log=self._log,
        )

    # -- life ------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Bind and fork while root."""
        self._listener = listening.bind(self._at)
        if not self.filtered:
            self._self_test = SelfTest(self._config.user)

    def begin(self, attached: service.Attached) -> None:
        """Serve; then let the canary sing."""
        self._attached = attached
        sys.setswitchinterval(_SWITCH_S)
        self._log.obey_signals()
        self._log.gather_libraries()
        self._refresh(time.monotonic_ns())
        self._api = ApiThread(self._state, self._listener, self._mailbox.take)
        self._api.start()
        self._workers.start()
        if self._self_test:
            self._self_test.release()

    def ready(self, line: str) -> None:
        """Keep the line until the canary has come through."""
        port = self._listener.getsockname()[1]
        self._ready_line = f"{line.rstrip(')').replace('(', '(serving, ')}) at {self._at.url(port)}"

    def finish(self, summary: Summary) -> None:
        """Serve what came last, end the API, sum up."""
        self._stopping = True
        self._refresh(time.monotonic_ns())
        self._workers.stop()
        if self._api:
            self._api.stop()
        self._log(
            "info", "ended", **{name: getattr(summary, name) for name in ("exchanges", "records", "lost", "kernel")}
        )

    # -- events ----------------------------------------------------------------------------------------------------

    def accept(self, event: Told) -> bool:
        """Keep the canary's own events to ourselves."""
        return self._self_test is None or self._self_test.is_foreign(event)

    def warn(self, line: str) -> None:
        """Log what a person should know."""
        self._log("warning", "observer_warning", message=line)

    def emit(self, events: Sequence[Told]) -> None:
        """Measure, archive, publish."""
        now = time.monotonic_ns()
        if self._attached:
            self._lag_ns = max(self._lag_ns, now - self._attached.newest_ns)
        if self._parts.engine:
            self._parts.engine.record(events, now)
        if self._parts.archive:
            self._parts.archive.append(events)
        self._bus.publish(events)

    def tick(self, now_ns: int) -> bool:
        """Refresh the snapshot; False where the API is gone."""
        gap, self._ticked_at = now_ns - self._ticked_at, now_ns
        self._wake(now_ns)
        if now_ns - self._status.at_ns < _STATUS_EVERY_NS:
            return True
        self._refresh(now_ns, gap)
        if now_ns - self._facts_at >= _FACTS_EVERY_NS:
            self._facts_at = now_ns
            self._tell_facts(now_ns)
        if self._ready_line and self._status.canary != "pending":
            self._announce()
        return self._api is None or self._api.alive

    # -- how it is doing -------------------------------------------------------------------------------------------

    def status(self) -> ObserverStatus:
        """Return the newest snapshot."""
        return self._status

    def _wake(self, now_ns: int) -> None:
        """Let the API take what waits; each time costs both threads, so events gather a little before."""
        pause = _GATHER_LISTENED_NS if self._state.hub.clients else _GATHER_NS
        if self._api and now_ns - self._woken_at >= pause and self._mailbox.waiting:
            self._woken_at = now_ns
            self._api.wake()

    def _announce(self) -> None:
        line, self._ready_line = self._ready_line, ""
        if self._status.canary == "failed":
            self._log("error", "canary_failed", rung=self._status.rung)
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def _canary(self, now_ns: int) -> str:
        if self._self_test is None:
            return "filtered"
        self._self_test.reap()
        if self._self_test.passed:
            return "passed"
        return "pending" if now_ns - self._started_ns < _CANARY_PATIENCE_NS else "failed"

    def _refresh(self, now_ns: int, gap_ns: int = 0) -> None:
        if self._attached is None:
            return
        probe, correlator = self._attached.probe, self._attached.correlator
        lost: dict[str, dict[str, int]] = {}
        if kernel := probe.losses():
            lost["kernel"] = kernel
        for (stage, reason), count in correlator.losses.items():
            lost.setdefault(stage, {})[reason] = count
        self._status = ObserverStatus(
            at_ns=now_ns,
            started_ns=self._started_ns,
            rung=probe.rung,
            canary=self._canary(now_ns),
            canary_exchanges=self._self_test.exchanges if self._self_test else 0,
            stopping=self._stopping,
            told=correlator.seq,
            exchanges=dict(correlator.by_role),
            connections=correlator.connections_seen,
            open_connections=correlator.open_connections,
            not_http=correlator.not_http,
            records=probe.counts(),
            kernel=probe.totals(),
            lost=lost,
            ring_fill_ratio=probe.fill_ratio(),
            drain_interval_ns=gap_ns,
            streams=self._streams,
        )

    def _tell_facts(self, now_ns: int) -> None:
        """Tell the engine what it cannot see in events."""
        if self._parts.engine is None or self._attached is None:
            return
        status, feed, attached = self._status, self._state.hub.statistics(), self._attached
        lag_ns, self._lag_ns = self._lag_ns, 0
        standing = attached.standing(now_ns) if has_streams(attached.correlator) else []
        self._streams = streams(attached.correlator, standing)
        self._parts.engine.tick(
            now_ns,
            KernelFacts(
                wall_ns=time.time_ns(),
                records=status.records,
                totals=status.kernel,
                losses={**status.lost, **({"bus": found} if (found := self._bus.losses()) else {})},
                ring_fill_ratio=status.ring_fill_ratio,
                drain_lag_s=lag_ns / 1e9,
                queues={"api": (self._mailbox.waiting, _MAILBOX_EVENTS)},
                collector_cpu_s=time.process_time(),
                collector_rss_bytes=_resident_bytes(),
                rung=status.rung,
                workers=self._workers.take(),
                pools=pools(attached.correlator),
                intake=intake(attached.correlator, standing) if status.not_http else None,
                feed={
                    "published": feed.published,
                    "delivered": feed.delivered,
                    "missed": feed.missed,
                    "untraced": feed.untraced,
                    "clients": feed.clients,
                },
            ),
        )


def _before_the_first(started_ns: int) -> ObserverStatus:
    return ObserverStatus(
        at_ns=started_ns,
        started_ns=started_ns,
        rung="",
        canary="pending",
        canary_exchanges=0,
        stopping=False,
        told=0,
        exchanges={},
        connections=0,
        open_connections=0,
        not_http=0,
        records={},
        kernel={},
        lost={},
        ring_fill_ratio=0.0,
        drain_interval_ns=0,
    )


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # a path object costs more than the read
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
