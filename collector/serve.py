"""`collector run`: observe, measure and serve in one process, the drain loop in its main thread, the API in another."""

import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from api.server import ApiThread
from api.services.feed import FeedHub
from api.services.invariants import InvariantLedger
from api.services.recent import Recent
from api.state import Access, AppState, Clocks, Limits
from collector import listening, service
from collector.bus import Bus
from collector.condition import Condition
from collector.config import Config
from collector.correlate import pools
from collector.domain.events import Connection, Exchange, Summary
from collector.domain.status import ObserverStatus, OpenConnection
from collector.domain.watching import Told, WatchSettings
from collector.kernel.self_test import SelfTest
from collector.logging import Log
from collector.parts import Parts
from collector.stderr import say
from collector.worker_reports import WorkerReports

_STATUS_EVERY_NS: Final = 100_000_000
_FACTS_EVERY_NS: Final = 1_000_000_000
_MAILBOX_EVENTS: Final = 20_000
_GATHER_NS: Final = 50_000_000
_LISTENED_MS: Final = 20.0  # between readings of the ring, where somebody follows the feed
_GATHER_LISTENED_NS: Final = 15_000_000
_CONNECTION_SHARE: Final = 8  # of the memory for recent events, one part in so many
_DESCRIPTORS: Final = 4_096  # connections, and room for everything else
_FEED_FACTS: Final = ("published", "delivered", "missed", "untraced", "clients")
_NAPS: Final = 6  # at most in one reading, for answers that are being made
_NAP_S: Final = 0.0003
_SWITCH_S: Final = 0.0003  # a thread that computes gives way to the other after this long


def run(config: Config, settings: WatchSettings, parts: Parts, *, release: str) -> int:
    """Observe and serve until told to end; return the exit code. Needs root to start. Raises CollectorProblem."""
    at = listening.address(config.listen)
    token = listening.token(at, config.token_file)
    log = Log(config.log_level)
    served = Served(config, at, parts, log, token=token, release=release)
    served.filtered = bool(settings.pids or settings.comms or settings.ports or settings.cgroups)
    try:
        ours = replace(
            settings,
            include_connections=True,
            accept=served.accept,
            drain_interval_ms=config.serve_interval_ms,
            statistics=config.probe_statistics == "on",
            bodies=parts.bodies,
        )
        code = service.serve(ours, served)
        return code or served.exit_code
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
        self._condition = Condition(self._started_ns)
        self._workers = WorkerReports(config.workers, log)
        self._attached: service.Attached | None = None
        self._api: ApiThread | None = None
        self._facts_at = self._woken_at = 0
        self._ready_line = ""
        self._told: list[Told] = []  # measured, not yet published
        self._lines: list[bytes] = []  # their JSON
        self._naps = _NAPS
        # redacting bodies takes its time: the archive's own thread does that
        self._encode = None if parts.bodies else msgspec.json.Encoder().encode

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

    @property
    def exit_code(self) -> int:
        """Return 1 where the API ended by itself."""
        return int(self._api is not None and self._api.problem is not None)

    # -- life ------------------------------------------------------------------------------------------------------

    def prepare(self) -> tuple[int, ...]:
        """Bind and fork while root; return our own processes."""
        if not self.filtered:
            self._condition.self_test = SelfTest(self._config.user)  # first: it must not inherit the listening socket
        listening.allow_descriptors(_DESCRIPTORS)
        self._listener = listening.bind(self._at)
        if self._parts.open_archive:
            self._condition.archive = self._parts.open_archive()
        return self._condition.archive.pids if self._condition.archive else ()

    def begin(self, attached: service.Attached) -> None:
        """Serve; then let the canary sing."""
        self._attached = attached
        sys.setswitchinterval(_SWITCH_S)
        self._log.obey_signals()
        self._log.gather_libraries()
        self._condition.refresh(attached, time.monotonic_ns())
        self._api = ApiThread(self._state, self._listener, self._mailbox.take)
        self._api.start()
        if self._condition.archive:
            self._condition.archive.start()
        self._workers.start()
        if self._condition.self_test:
            self._condition.self_test.release()

    def ready(self, line: str) -> None:
        """Keep the line until the canary has come through."""
        port = self._listener.getsockname()[1]
        self._ready_line = f"{line.rstrip(')').replace('(', '(serving, ')}) at {self._at.url(port)}"

    def finish(self, summary: Summary) -> None:
        """Serve what came last, end the API, sum up."""
        self._condition.stopping = True
        self._publish()
        self._refresh()
        self._workers.stop()
        if self._condition.archive:
            self._condition.archive.close()
            self._refresh()
        if self._api:
            self._api.stop()
        self._log(
            "info", "ended", **{name: getattr(summary, name) for name in ("exchanges", "records", "lost", "kernel")}
        )

    # -- events ----------------------------------------------------------------------------------------------------

    def accept(self, event: Told) -> bool:
        """Keep the canary's own events to ourselves."""
        return self._condition.self_test is None or self._condition.self_test.is_foreign(event)

    def warn(self, line: str) -> None:
        """Log what a person should know."""
        self._log("warning", "observer_warning", message=line)

    def emit(self, events: Sequence[Told]) -> None:
        """Measure and encode, while events are in the caches; `tick` publishes."""
        if self._parts.engine:
            self._naps -= self._give_way(self._naps)
            self._parts.engine.record(events, time.monotonic_ns())
        if self._condition.archive and self._encode:
            self._lines += map(self._encode, events)
        self._told += events

    def _publish(self) -> None:
        """Archive and publish what was told since the last time."""
        events, self._told = self._told, []
        lines, self._lines = self._lines, []
        self._naps = _NAPS
        if not events:
            return
        if self._attached:
            self._condition.note_lag(time.monotonic_ns() - self._attached.newest_ns)
        if self._condition.archive:
            self._condition.archive.append(events, lines or None)
        self._bus.publish(events)

    def _give_way(self, naps: int) -> int:
        """Let answers go first that are being made: who computes holds the other up. Return how many naps it took."""
        taken = 0
        while taken < naps and self._api and self._api.asked:
            time.sleep(_NAP_S)
            taken += 1
        return taken

    def tick(self, now_ns: int) -> bool:
        """Publish, refresh the snapshot; False where the API is gone."""
        self._publish()
        self._pace()
        known = self._condition.status
        if self._attached is None or (
            now_ns - known.at_ns < _STATUS_EVERY_NS and known.told == self._attached.correlator.seq
        ):
            return True
        self._condition.refresh(self._attached, now_ns)
        self._wake(now_ns)  # after it, so that what is stored was told
        if self._condition.self_test and self._condition.self_test.over:
            self._attached.correlator.accept = None  # nothing to keep to ourselves any more
        if now_ns - self._facts_at >= _FACTS_EVERY_NS:
            self._facts_at = now_ns
            self._tell_facts(self._attached, now_ns)
        if self._ready_line and self._condition.status.canary != "pending":
            self._announce()
        return self._api is None or self._api.alive

    # -- how it is doing -------------------------------------------------------------------------------------------

    def status(self) -> ObserverStatus:
        """Return the newest snapshot."""
        return self._condition.status

    def open_connections(self, accept: Callable[[OpenConnection], bool] | None, limit: int) -> list[OpenConnection]:
        """Return the open connections that fit, newest first."""
        return pools.open_connections(self._attached.correlator, accept, limit) if self._attached else []

    def _refresh(self) -> None:
        if self._attached:
            self._condition.refresh(self._attached, time.monotonic_ns())

    def _tell_facts(self, attached: service.Attached, now_ns: int) -> None:
        """Tell the engine what it cannot see in events."""
        statistics, bus = self._state.hub.statistics(), self._bus.losses()
        feed = {name: getattr(statistics, name) for name in _FEED_FACTS}
        queues = {"api": (self._mailbox.waiting, _MAILBOX_EVENTS)}
        facts = self._condition.facts(attached, now_ns, feed=feed, bus=bus, queues=queues)
        if self._parts.engine:
            self._parts.engine.tick(now_ns, msgspec.structs.replace(facts, workers=self._workers.take()))

    def _pace(self) -> None:
        """Read the ring sooner where somebody waits for what it holds."""
        interval = self._config.serve_interval_ms
        if self._ready_line or self._state.hub.clients:
            interval = min(interval, _LISTENED_MS)
        if self._attached:
            self._attached.interval_ms = interval

    def _wake(self, now_ns: int) -> None:
        """Let the API take what waits; each time costs both threads, so events gather a little before."""
        pause = _GATHER_LISTENED_NS if self._state.hub.clients else _GATHER_NS
        if self._api and now_ns - self._woken_at >= pause and self._mailbox.waiting:
            self._woken_at = now_ns
            self._api.wake()

    def _announce(self) -> None:
        line, self._ready_line = self._ready_line, ""
        if self._condition.status.canary == "failed":
            self._log("error", "canary_failed", rung=self._condition.status.rung)
        say(line)
