"""How the observer is doing: gathered by the drain loop, read by whoever serves and by the metrics engine."""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from collector.correlate.pools import has_streams, intake, pools, streams
from collector.domain.metrics import KernelFacts
from collector.domain.status import ObserverStatus, Stream
from collector.service import Attached

if TYPE_CHECKING:
    from collector.kernel.probe import Probe
    from collector.kernel.self_test import SelfTest
    from collector.parts import KeptArchive

_CANARY_PATIENCE_NS: Final = 5_000_000_000


class Condition:
    """The newest snapshot, and what the next one is made from."""

    def __init__(self, started_ns: int) -> None:
        self.status = _before_the_first(started_ns)
        self.self_test: SelfTest | None = None
        self.archive: KeptArchive | None = None
        self.stopping = False
        self._started_ns = started_ns
        self._lag_ns = 0
        self._lost_records = self._missing = 0
        self._streams: tuple[Stream, ...] = ()

    def note_lag(self, lag_ns: int) -> None:
        """Take note of how old the newest record was when it was drained."""
        self._lag_ns = max(self._lag_ns, lag_ns)

    def refresh(self, attached: Attached, now_ns: int) -> None:
        """Make a new snapshot."""
        probe, correlator = attached.probe, attached.correlator
        kernel = probe.totals()  # before the records: what is counted here is read, lost or waiting by then
        records, waiting = self._records(probe)
        self.status = ObserverStatus(
            at_ns=now_ns,
            started_ns=self._started_ns,
            rung=probe.rung,
            canary=self._canary(now_ns),
            canary_exchanges=self.self_test.exchanges if self.self_test else 0,
            stopping=self.stopping,
            told=correlator.seq,
            exchanges=dict(correlator.by_role),
            connections=correlator.connections_seen,
            open_connections=correlator.open_connections,
            not_http=correlator.not_http,
            records=records,
            kernel=kernel,
            lost=self._lost(attached),
            ring_fill_ratio=probe.fill_ratio(),
            waiting=waiting,
            streams=self._streams,
        )

    def facts(
        self,
        attached: Attached,
        now_ns: int,
        *,
        feed: Mapping[str, int],
        bus: dict[str, int],
        queues: Mapping[str, tuple[int, int]],
    ) -> KernelFacts:
        """Return what the engine cannot see in events."""
        status, lag_ns = self.status, self._lag_ns
        self._lag_ns = 0
        standing = attached.standing(now_ns) if has_streams(attached.correlator) else []
        self._streams = streams(attached.correlator, standing)
        programs = attached.probe.programs()
        return KernelFacts(
            wall_ns=time.time_ns(),
            records=status.records,
            totals=status.kernel,
            losses={**status.lost, **({"bus": bus} if bus else {})},
            ring_fill_ratio=status.ring_fill_ratio,
            drain_lag_s=lag_ns / 1e9,
            queues=queues,
            probe_seconds={name: one.seconds for name, one in programs.items() if one.seconds is not None},
            probe_runs={name: one.runs for name, one in programs.items() if one.runs is not None},
            probe_skipped={name: one.skipped for name, one in programs.items()},
            collector_cpu_s=time.process_time(),
            collector_rss_bytes=_resident_bytes(),
            rung=status.rung,
            pools=pools(attached.correlator),
            intake=intake(attached.correlator, standing) if status.not_http else None,
            feed=feed,
        )

    def _canary(self, now_ns: int) -> str:
        if self.self_test is None:
            return "filtered"
        self.self_test.reap()
        if self.self_test.passed:
            return "passed"
        return "pending" if now_ns - self._started_ns < _CANARY_PATIENCE_NS else "failed"

    def _records(self, probe: "Probe") -> tuple[dict[str, int], int]:
        """Return records captured, decoded and lost, and those on their way: none of the three yet, so none shrinks."""
        counts = probe.counts()
        missing = 0 if probe.fill_ratio() else counts["lost"]  # of an empty ring nothing more will come
        lasting, self._missing = min(missing, self._missing), missing
        self._lost_records = max(self._lost_records, probe.missed, counts["lost"] if self.stopping else lasting)
        decoded, lost = counts["decoded"], self._lost_records
        return {"captured": decoded + lost, "decoded": decoded, "lost": lost}, max(0, counts["lost"] - lost)

    def _lost(self, attached: Attached) -> dict[str, dict[str, int]]:
        lost: dict[str, dict[str, int]] = {}
        if kernel := attached.probe.losses():
            lost["kernel"] = kernel
        for (stage, reason), count in attached.correlator.losses.items():
            lost.setdefault(stage, {})[reason] = count
        if self.archive and (kept := self.archive.losses()):
            lost["archive"] = kept
        return lost


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
    )


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # a path object costs more than the read
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
