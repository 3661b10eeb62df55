"""The archive as the collector sees it: `append` never blocks; one thread writes the spool, one process ships it."""

import contextlib
import errno
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from collector.audit.errors import AuditProblem
from collector.audit.frames import FRAME_OVERHEAD, MAX_PAYLOAD
from collector.audit.intake import Batch, Intake
from collector.audit.notes import known_seq
from collector.audit.settings import ArchiveSettings
from collector.audit.shipper_process import ShipperProcess
from collector.audit.spool import Spool
from collector.audit.spool_files import SpoolFiles, make_directory
from collector.audit.stamps import rfc3339
from collector.domain.audit import AUDIT_VERSION, weight
from collector.domain.events import Event, Loss, Summary

_GROUP: Final = 4000  # events that one fdatasync makes durable at most
_TICK_S: Final = 0.2
_PAUSES_S: Final = (0.1, 0.25, 0.5, 1.0)  # before a failed write is tried again; the last one stays
_LONGEST_LINE: Final = MAX_PAYLOAD - 256  # of an event's own JSON
_TELL_LOSSES_NS: Final = 1_000_000_000
_ORDINARY_SHARE: Final = 0.8
_RECOUNT_NS: Final = 100_000_000
_SPOOL_FIX: Final = "audit_spool names a directory that this user may write to"
_FULL: Final = {errno.ENOSPC: "disk_full", errno.EDQUOT: "disk_full", errno.EFBIG: "file_too_big"}


class SpoolFull(OSError):
    """The spool is at its bound: the store has been away for too long."""


class ArchiveHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the archive is doing; `problem` is empty where all is well."""

    issued: int
    acknowledged: int
    waiting: int
    lost: dict[str, int]
    spool_bytes: int
    writer: str
    problem: str
    shipper: dict[str, object]


@dataclass(slots=True)
class _Fault:
    """What keeps the writer from writing."""

    text: str = ""
    tries: int = 0

    def pause_s(self) -> float:
        return _PAUSES_S[min(self.tries, len(_PAUSES_S)) - 1]


def _smaller(batches: list[Batch], tries: int) -> int:
    """Return how many of the batches to write at once: after failures ever fewer, the last one split in place."""
    part = max(1, len(batches) >> tries)
    if tries and part == 1 and batches and len(batches[0].events) > 1:
        first = batches[0]
        half = len(first.events) // 2
        lines = first.lines
        batches[:1] = [
            Batch(first.events[:half], None if lines is None else lines[:half], first.taken_ns),
            Batch(first.events[half:], None if lines is None else lines[half:], first.taken_ns),
        ]
    return part


class Archive:
    """An AuditSink. `open`, still as root, makes the directories and starts the shipper; `start` starts the writer."""

    def __init__(
        self, settings: ArchiveSettings, acknowledged: Callable[[Sequence[Event]], None] | None = None,
        *, encode: Callable[[Event], bytes] | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._files = SpoolFiles(Path(settings.spool))
        self._intake = Intake(settings.queue_events)
        self._told: Callable[[Sequence[Event]], None] | None = acknowledged
        self._encode: Callable[[Event], bytes] = encode or msgspec.json.Encoder().encode
        self._spool: Spool | None = None
        self._spool_bytes = 0
        self._counted_ns = 0
        self._acknowledged = 0
        self._fault = _Fault()
        self._told_losses: dict[str, int] = {}
        self._told_losses_ns = 0
        self._lock = -1
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._shipper = ShipperProcess(settings)

    @classmethod
    def open(
        cls, settings: ArchiveSettings, acknowledged: Callable[[Sequence[Event]], None] | None = None,
        *, encode: Callable[[Event], bytes] | None = None,
    ) -> "Archive":  # fmt: skip
        """Start the shipper, which reads its credentials and becomes `settings.account`."""
        archive = cls(settings, acknowledged, encode=encode)
        with archive._only_a_person_can_help():
            archive._files.make(settings.account)
            archive._make_directory()
        archive._shipper.start()
        return archive

    @contextlib.contextmanager
    def _only_a_person_can_help(self) -> Generator[None]:
        """Raise AuditProblem for what does not go away by itself; the writer tries again where it may."""
        try:
            yield
        except OSError as problem:
            if problem.errno not in _FULL:
                raise AuditProblem(
                    f"the spool {self._files.root} cannot be used: {problem}", fix=_SPOOL_FIX
                ) from problem
            self._failed(problem)

    def _make_directory(self) -> None:
        """Make the archive's directory for the account that fills it, where there is none yet."""
        store, account = self._settings.store, self._settings.account
        path = Path(store.directory)
        if not store.endpoint and not path.exists():
            make_directory(path, 0o750, account)

    def start(self) -> Self:
        """Start writing; call it once privileges are given up: the spool may be closed to a root without capabilities.

        Raises AuditProblem where the spool cannot be used, or another collector uses it.
        """
        try:
            with self._only_a_person_can_help():
                self._lock = self._files.lock("lock", whose="collector")
        except AuditProblem:
            self._shipper.close(0.1)
            raise
        self._thread.start()
        return self

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the shipper's process: its requests are not to be observed."""
        return (self._shipper.pid,)

    def append(self, events: Sequence[Event], lines: Sequence[bytes] | None = None) -> int:
        """Take events; return how many were taken. What had no room is in `losses`, and will be in the archive."""
        if self._shipper.restarts:  # the observer was told of the first shipper only
            own = self._shipper.pid
            foreign = [isinstance(event, Loss | Summary) or event.pid != own for event in events]
            events = list(compress(events, foreign))
            lines = None if lines is None else list(compress(lines, foreign))
        return self._intake.put(events, lines, time.monotonic_ns())

    def losses(self) -> dict[str, int]:
        """Return how many events were lost, by reason."""
        return self._intake.losses()

    def health(self) -> ArchiveHealth:
        """Return how it is doing."""
        status = self._shipper.status()
        return ArchiveHealth(
            issued=self._intake.issued,
            acknowledged=self._acknowledged,
            waiting=self._intake.waiting,
            lost=self.losses(),
            spool_bytes=self._spool_bytes,
            writer=self._spool.writer if self._spool else "",
            problem=self._fault.text or str(status.get("problem", "")),
            shipper=status,
        )

    def close(self, deadline_s: float = 10.0) -> bool:
        """Write what waits, ship what is written; tell whether both were done in time. The spool keeps what was not."""
        ends = time.monotonic() + deadline_s
        self._intake.close()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline_s * 0.8))
            self._hurry.set()
            self._thread.join(max(0.1, ends - time.monotonic()))
        written = not self._thread.is_alive() and self._intake.waiting == 0
        return self._shipper.close(max(0.1, ends - time.monotonic())) and written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        """Write until closed and empty."""
        batches: list[Batch] = []
        while True:
            batches = batches or self._intake.take(_GROUP, _TICK_S)
            self._shipper.tend()
            part = _smaller(batches, self._fault.tries)
            try:
                self._write(batches[:part])
            except (OSError, AuditProblem) as problem:
                self._failed(problem)
                if self._hurry.wait(self._fault.pause_s()):
                    break
                continue
            self._fault = _Fault()
            self._intake.reason = "queue_full"
            del batches[:part]
            if self._intake.closed and not self._intake.waiting and not batches:
                break
        while self._intake.waiting:
            batches += self._intake.take(_GROUP, 0)
        if batches:
            self._intake.lose(self._intake.reason, sum(len(batch.events) for batch in batches))
        if self._spool:
            self._spool.close()
        if self._lock >= 0:
            os.close(self._lock)

    def _failed(self, problem: OSError | AuditProblem) -> None:
        number = problem.errno if isinstance(problem, OSError) else None
        reason = "spool_full" if isinstance(problem, SpoolFull) else _FULL.get(number or 0, "disk_error")
        self._intake.reason = reason
        self._fault = _Fault(f"{reason}: {problem}", self._fault.tries + 1)

    def _write(self, batches: list[Batch]) -> None:
        """Make batches durable. Raises OSError: none of them is."""
        spool = self._spool or self._open_spool()
        wall, now = time.time_ns(), time.monotonic_ns()
        events = [event for batch in batches for event in batch.events]
        losses = self._losses_to_tell(wall, now)
        if not events and not losses:
            spool.begin(wall_ns=wall, now_ns=now)
            spool.tick(wall_ns=wall, now_ns=now)
            return
        lines = self._lines(batches)
        events, lines, left_out = self._select(events, lines)
        self._hold_bounds(sum(map(len, lines)) + len(lines) * FRAME_OVERHEAD, now)
        lines += [self._encode(loss) for loss in losses]
        head = b'{"audit_version":"%s","writer":"%s","audit_seq":' % (AUDIT_VERSION.encode(), spool.writer.encode())
        first = spool.next_seq
        payloads = [b"%s%d,%s" % (head, first + n, line[1:]) for n, line in enumerate(lines)]
        spool.write(payloads, wall_ns=wall, now_ns=now)
        self._told_losses_ns = now if losses else self._told_losses_ns
        for loss in losses:
            self._told_losses[loss.reason] = self._told_losses.get(loss.reason, 0) + loss.count
        self._acknowledged += len(events)
        self._spool_bytes += sum(map(len, payloads)) + len(payloads) * FRAME_OVERHEAD
        for reason, count in left_out.items():
            self._intake.lose(reason, count)
        if self._told:
            self._told(events)

    def _open_spool(self) -> Spool:
        self._files.make()
        if self._lock < 0:
            self._lock = self._files.lock("lock", whose="collector")
        settings = self._settings
        self._spool = Spool(
            self._files,
            segment_bytes=settings.segment_bytes,
            segment_ns=int(settings.segment_seconds * 1e9),
            known_seq=known_seq(self._files),
        )
        if self._spool.torn_records:
            self._intake.lose("torn_tail", self._spool.torn_records)
        return self._spool

    def _lines(self, batches: list[Batch]) -> list[bytes]:
        lines: list[bytes] = []
        for batch in batches:
            if batch.lines is None:
                batch.lines = [self._encode(event) for event in batch.events]
            lines += batch.lines
        return lines

    def _hold_bounds(self, size: int, now_ns: int) -> None:
        """Raise SpoolFull or OSError where `size` bytes more are too many."""
        if now_ns - self._counted_ns > _RECOUNT_NS:  # the shipper takes segments away
            self._spool_bytes, self._counted_ns = self._files.segment_bytes(), now_ns
        if self._spool_bytes + size > self._settings.spool_bytes:
            raise SpoolFull(f"{self._spool_bytes} bytes wait for the store; audit_spool_bytes allows no more")
        volume = os.statvfs(self._files.segments)
        if volume.f_bavail * volume.f_frsize < size + self._settings.reserve_bytes:
            raise OSError(errno.ENOSPC, f"no room on the volume of {self._files.root}")

    def _select(self, events: list[Event], lines: list[bytes]) -> tuple[list[Event], list[bytes], Counter[str]]:
        """Leave out what no frame can hold, and ordinary events where the spool fills."""
        left_out: Counter[str] = Counter()
        filling = self._spool_bytes > self._settings.spool_bytes * _ORDINARY_SHARE
        if not filling and max(map(len, lines), default=0) < _LONGEST_LINE:
            return events, lines, left_out
        kept = []
        for at, event in enumerate(events):
            if len(lines[at]) >= _LONGEST_LINE:
                left_out["too_long"] += 1
            elif filling and weight(event) == "ordinary":
                left_out["spool_filling_ordinary"] += 1
            else:
                kept.append(at)
        return [events[at] for at in kept], [lines[at] for at in kept], left_out

    def _losses_to_tell(self, wall_ns: int, now_ns: int) -> list[Loss]:
        """Return a loss event for each reason that has something new, once a second and at the end."""
        if now_ns - self._told_losses_ns < _TELL_LOSSES_NS and not self._intake.closed:
            return []
        spool = self._spool
        assert spool is not None
        return [
            Loss(
                id=f"{spool.writer}-{spool.next_seq}-{reason}",
                seq=spool.next_seq,
                started_at=rfc3339(wall_ns),
                stage="archive",
                reason=reason,
                count=count - self._told_losses.get(reason, 0),
            )
            for reason, count in self._intake.losses().items()
            if count > self._told_losses.get(reason, 0)
        ]
