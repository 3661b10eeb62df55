"""Composition and lifecycle of observing: kernel -> correlate -> sink, in a process that is unprivileged once started.

`watch` is that for a terminal or a pipe; `collector.serve` is it for a service.
"""

import contextlib
import gc
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, Protocol

from collector.correlate.correlator import Correlator, Told
from collector.correlate.routes import RouteTable
from collector.domain.events import Summary
from collector.domain.observed import Changed, ChangeKind
from collector.domain.watching import Sink, WatchSettings
from collector.kernel import broker, cgroups, privileges
from collector.kernel.background import Heartbeat
from collector.kernel.command import HeldCommand
from collector.kernel.probe import Probe
from collector.kernel.procfs import Procfs
from collector.kernel.request import Filters, LoadRequest

_PIECE: Final = 1 << 14  # bytes of the ring taken at a time: they stay in the caches until they are told
_PIECES: Final = 64  # taken without looking up
_EXPIRE_EVERY_NS: Final = 20_000_000
_WALL_CHECK_EVERY_NS: Final = 1_000_000_000
_BUSY_RING: Final = 0.05  # above this fill, drain at once
_LOOK_EVERY_NS: Final = 20_000_000  # how full it is, where it is read more rarely
_COMMAND_GRACE_NS: Final = 3_000_000_000
_LAST_RUN_S: Final = 0.005  # for programs that are running as they are detached
_LAST_DRAIN_NS: Final = 5_000_000_000  # for what the kernel recorded before the end


@dataclass(slots=True)
class _Stop:
    """That the watch is to end; set by signals and by limits."""

    requested: bool = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


@contextlib.contextmanager
def _signals(stop: _Stop) -> Iterator[None]:
    before = {number: signal.signal(number, stop.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class _Watch:
    """One running watch."""

    settings: WatchSettings
    sink: Sink
    probe: Probe
    correlator: Correlator
    command: HeldCommand | None
    stop: _Stop
    heartbeat: Heartbeat
    interval_ms: float  # between readings of the ring
    started_ns: int = field(default_factory=time.monotonic_ns)
    emitted: int = 0
    newest_ns: int = 0
    expired_ns: int = 0
    wall_ns: int = 0  # when wall time was compared last
    swept: int = 0  # lost connection records whose totals were fetched

    def run(self) -> int | None:
        """Observe until something ends it; return the command's exit code if it ended."""
        deadline = None
        if self.settings.duration_s is not None:
            deadline = self.started_ns + int(self.settings.duration_s * 1e9)
        while not self.stop.requested:
            now = self._read()
            if not self.sink.tick(now):
                return None
            if self.command and (code := self.command.exit_code()) is not None:
                return code
            if deadline is not None and now >= deadline:
                return None
            self._nap(now)
        return None

    def _nap(self, now: int) -> None:
        """Sleep until the next reading is due; each one finds its caches cold, so the rarer the cheaper."""
        due = now + int(self.interval_ms * 1e6)
        while True:
            behind = self.probe.fill_ratio() > _BUSY_RING
            nap = 0 if behind or self.stop.requested else min(_LOOK_EVERY_NS, due - now)
            self.heartbeat.beat(now + max(0, nap), behind=behind)
            if nap <= 0:
                return
            time.sleep(nap / 1e9)
            now = time.monotonic_ns()

    def _read(self) -> int:
        """Take what has come and let go what will not come any more; return the time then."""
        self.take()
        now = time.monotonic_ns()
        if now - self.expired_ns > _EXPIRE_EVERY_NS:
            self._emit(self.correlator.expire(now))
            self.expired_ns = now
        if now - self.wall_ns > _WALL_CHECK_EVERY_NS:
            self.correlator.wall_offset_ns = _wall_offset_ns()
            self._sweep(now)
            self.wall_ns = now
        return now

    def _sweep(self, now: int) -> None:
        """Connections whose last record was lost have ended all the same: fetch their totals."""
        lost = self.probe.losses().get("ring_full_changed", 0)
        if lost > self.swept:
            self.swept = lost
            self.standing(now)

    def standing(self, now: int) -> list[Changed]:
        """Return the kernel's totals of open connections; those that are gone are told, as it forgets them now."""
        found = self.probe.standing(now)
        gone = [change for change in found if change.kind == ChangeKind.DESTROYED]
        if gone:
            self.take()  # what they did before they ended
            self._emit(self.correlator.receive_all(gone))
        return found

    def take(self) -> bool:
        """Take what the ring holds, piece by piece; tell whether there was anything."""
        taken = False
        for _ in range(_PIECES):
            observations = self.probe.drain(_PIECE)
            if not observations:
                break
            taken = True
            self.newest_ns = observations[-1].at_ns
            self._emit(self.correlator.receive_all(observations))
            for connection, direction, until in self.correlator.take_hints():
                self.probe.hint(connection, direction, until)
        return taken

    def _emit(self, events: Sequence[Told]) -> None:
        if self.settings.count is not None:
            events = events[: max(0, self.settings.count - self.emitted)]
        if events:
            self.emitted += len(events)
            self.sink.emit(events)
        if self.settings.count is not None and self.emitted >= self.settings.count:
            self.stop.requested = True

    def finish(self) -> None:
        """Let nothing new be recorded, take what was, tell what is open, sum up."""
        self.probe.detach()
        time.sleep(_LAST_RUN_S)
        ended = time.monotonic_ns()
        while self.take() and time.monotonic_ns() - ended < _LAST_DRAIN_NS:
            pass
        now = time.monotonic_ns()
        standing = self.probe.standing(now)
        self._emit(self.correlator.finish(now, standing))
        if skipped := self.probe.skipped():
            self.sink.warn(
                f"warning: the kernel may have kept up to {skipped} calls from us, where a program of ours was under"
                " way in a preempted task; they show as gaps"
            )
        self.sink.finish(self._summary(now))

    def _summary(self, now: int) -> Summary:
        counts = self.probe.counts()
        lost: dict[str, dict[str, int]] = {}
        if kernel := self.probe.losses():
            lost["kernel"] = kernel
        for (stage, reason), count in self.correlator.losses.items():
            lost.setdefault(stage, {})[reason] = count
        return Summary(
            exchanges=dict(self.correlator.by_role),
            records=counts,
            lost=lost,
            connections=self.correlator.connections_seen,
            not_http=self.correlator.not_http,
            kernel=self.probe.totals(),
            rung=self.probe.rung,
            elapsed_ms=(now - self.started_ns) / 1e6,
        )


def _wall_offset_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


def _request(settings: WatchSettings, command: HeldCommand | None, excluded: tuple[int, ...]) -> LoadRequest:
    filters = Filters(
        pids=settings.pids,
        with_children=(command.pid,) if command else (),
        comms=settings.comms,
        ports=settings.ports,
        cgroup_ids=tuple(cgroups.cgroup_id(path) for path in settings.cgroups),
        excluded=excluded,
    )
    return LoadRequest(
        rung=settings.rung,
        ring_size=settings.ring_size,
        max_connections=settings.max_connections,
        cache=settings.cache,
        statistics=settings.statistics,
        filters=filters,
    )


class Attached(Protocol):
    """What an observation reads from, for those who show how it is doing."""

    @property
    def probe(self) -> Probe:
        """The programs and their ring."""
        ...

    @property
    def correlator(self) -> Correlator:
        """What understands."""
        ...

    interval_ms: float  # between readings of the ring; who shows may change it

    @property
    def newest_ns(self) -> int:
        """When the newest record taken was made."""
        ...

    def standing(self, now: int) -> list[Changed]:
        """Return the kernel's totals of open connections."""
        ...


class Service(Sink, Protocol):
    """A sink that is served from: it prepares as root and begins once root is given up."""

    def prepare(self) -> tuple[int, ...]:
        """Do what needs root, before anything is loaded; return processes of ours that are not to be observed."""
        ...

    def begin(self, attached: Attached) -> None:
        """Start serving; root is gone."""
        ...


def watch(settings: WatchSettings, sink: Sink) -> int:
    """Run one watch to its end; return the exit code. Needs root to start, gives it up before the first event.

    Raises KernelProblem where nothing can be attached, FileNotFoundError for a cgroup that does not exist.
    """
    return _observe(settings, sink, None)


def serve(settings: WatchSettings, service: Service) -> int:
    """Observe for a service until it is told to end; return the exit code. Raises as `watch`."""
    return _observe(settings, service, service)


def _observe(settings: WatchSettings, sink: Sink, service: Service | None) -> int:
    command = HeldCommand(settings.command) if settings.command else None
    broker_pid, link, heartbeat = broker.start(settings.user, command.pid if command else 0)
    client = broker.BrokerClient(link)
    ours = service.prepare() if service else ()
    probe = Probe(_request(settings, command, (os.getpid(), broker_pid, *ours)), client)
    notify = _notify_socket(settings.notify_socket)
    privileges.become(*privileges.account(settings.user))
    correlator = Correlator(
        run_id=secrets.token_hex(8),
        wall_offset_ns=_wall_offset_ns(),
        processes=Procfs(settings.services),
        routes=RouteTable(settings.routes, settings.route_limit),
        accept=settings.accept,
        include_connections=settings.include_connections,
        read_delay_warning_ms=settings.read_delay_warning_ms,
        bodies=settings.bodies,
    )
    with contextlib.suppress(PermissionError):  # started as SCHED_IDLE it stays that
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # waking up, we preempt nobody
    gc.collect()
    gc.freeze()  # what start-up made stays; the collector need not look at it again
    gc.set_threshold(50_000, 20, 50)  # events are acyclic: few collections find anything
    stop = _Stop()
    running = _Watch(settings, sink, probe, correlator, command, stop, heartbeat, settings.drain_interval_ms)
    with _signals(stop):
        if service:
            service.begin(running)
        sink.ready(f"observing (rung {probe.rung}; end with Ctrl-C)")
        if notify:
            notify.send(b"READY=1")
            notify.close()
        if command:
            command.release()
        code = running.run()
        if command and code is None:
            code = _end_command(command, client, running)
        running.finish()
    probe.close()
    client.close()
    os.waitpid(broker_pid, 0)
    return code or 0


def _notify_socket(address: str) -> socket.socket | None:
    """Connect to systemd while we still may."""
    if not address:
        return None
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.connect("\0" + address[1:] if address.startswith("@") else address)
    return notify


def _end_command(command: HeldCommand, client: broker.BrokerClient, running: _Watch) -> int:
    """The watch ends before its command: ask it to end too, and pass on how it did."""
    deadline = time.monotonic_ns() + _COMMAND_GRACE_NS
    client.signal_command(signal.SIGTERM)
    while (code := command.exit_code()) is None:
        if time.monotonic_ns() > deadline:
            client.signal_command(signal.SIGKILL)
        running.take()  # its last exchanges count
        time.sleep(0.005)
    return code
