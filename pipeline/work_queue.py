"""The records in memory that wait for a lane: new ones in order, held ones by the moment they are due."""

import heapq
import itertools
from collections import deque
from collections.abc import Iterable

import msgspec

from pipeline.outbound.request import OutboundRequest
from pipeline.records import Record


class Job(msgspec.Struct, kw_only=True):
    """One record on its way."""

    record: Record
    request: OutboundRequest | None = None  # once it was normalised
    rounds: int = 0
    tried: bool = False  # an attempt for it was on the wire


class WorkQueue:
    """No clock of its own; bounded by the valve, which stops the reading."""

    def __init__(self) -> None:
        self._fresh: deque[Job] = deque()
        self._held: list[tuple[float, int, Job]] = []
        self._order = itertools.count()

    def add(self, jobs: Iterable[Job]) -> None:
        """Append new jobs."""
        self._fresh.extend(jobs)

    def put_back(self, job: Job) -> None:
        """Return a job that was not begun to the front."""
        self._fresh.appendleft(job)

    def hold(self, job: Job, *, until: float) -> None:
        """Keep a job until a moment."""
        heapq.heappush(self._held, (until, next(self._order), job))

    def next(self, now: float, *, well: bool) -> Job | None:
        """Return the next job, or None. Held ones that are due come first, unless the destination is sick.

        Then new ones go first: a trial that fails must not be one more attempt for the same record, again and again.
        """
        due = bool(self._held) and self._held[0][0] <= now
        if due and (well or not self._fresh):
            return heapq.heappop(self._held)[2]
        return self._fresh.popleft() if self._fresh else None

    def clear(self) -> None:
        """Forget everything: it is read again by whoever gets the partitions."""
        self._fresh.clear()
        self._held.clear()

    def __len__(self) -> int:
        return len(self._fresh) + len(self._held)
