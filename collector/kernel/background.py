"""Running only where nobody else wants to (SCHED_IDLE), without starving: docs/decisions/0015.

The collector says in a shared page that it is alive, and when it falls behind. The broker, which may raise a policy
where the collector itself may not, reads that and sets the policy of the collector's threads.
"""

import contextlib
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECK_EVERY_S: Final = 0.02
_OVERDUE_NS: Final = 25_000_000  # a beat says how long the nap after it is
_FIRST_HOLD_NS: Final = 500_000_000
_LONGEST_HOLD_NS: Final = 60_000_000_000


class Heartbeat:
    """One page shared by two processes: until when the collector is well, and whether it is behind."""

    def __init__(self) -> None:
        """Make it before the fork that shares it."""
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._words = memoryview(self._page).cast("Q")

    def beat(self, until_ns: int, *, behind: bool) -> None:
        """Say that the collector runs, or sleeps `until_ns`."""
        self._words[0] = until_ns
        self._words[1] = behind

    @property
    def last_ns(self) -> int:
        """CLOCK_MONOTONIC until which all is well, as last said; 0 before the first beat."""
        return self._words[0]

    @property
    def behind(self) -> bool:
        """Whether the collector runs and yet falls behind."""
        return bool(self._words[1])


@dataclass(slots=True)
class Background:
    """Which policy is due: idle, until the collector starves; then as others for a while that doubles each time."""

    policy: int = os.SCHED_BATCH
    _raised_ns: int = 0
    _hold_ns: int = _FIRST_HOLD_NS

    def due(self, now_ns: int, *, last_ns: int, behind: bool) -> int:
        """Return SCHED_IDLE or SCHED_BATCH."""
        if not last_ns:  # still starting
            return self.policy
        starves = behind or now_ns - last_ns > _OVERDUE_NS
        since = now_ns - self._raised_ns
        if self.policy == os.SCHED_IDLE:
            if starves:
                calm = since > 4 * self._hold_ns
                self._hold_ns = _FIRST_HOLD_NS if calm else min(2 * self._hold_ns, _LONGEST_HOLD_NS)
                self._raised_ns, self.policy = now_ns, os.SCHED_BATCH
        elif since > self._hold_ns and not starves:
            self.policy = os.SCHED_IDLE
        return self.policy


def apply(pid: int, policy: int) -> None:
    """Set the policy of a process's threads, but of one that answers people; what may not be set stays as it is."""
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                number = int(thread.name)
                if os.sched_getscheduler(number) != os.SCHED_OTHER:
                    os.sched_setscheduler(number, policy, os.sched_param(0))
