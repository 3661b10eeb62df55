"""Return probes with room for many calls under way.

perf_event_open(2) alone gives a return probe room for one call a CPU, or two: a thread that waits in a receive takes
it, and what others receive meanwhile is not seen. Only tracefs (MAXACTIVE, Documentation/trace/kprobetrace.rst) takes a
number. What is defined there does not go with its descriptor: whoever ends last removes it, and the next run what was
left over.
"""

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TRACEFS: Final = Path("/sys/kernel/tracing")
_ROOM: Final = 4096  # calls under way at once: the most there is
_PREFIX: Final = "netscope_"
_PATIENCE_S: Final = 2.0
_RETRY_S: Final = 0.02


class ReturnProbes:
    """The return probes of one load."""

    def __init__(self, tracefs: Path = TRACEFS) -> None:
        self.names: list[str] = []
        self.descriptor = -1  # through which they are defined and removed
        self._tracefs = tracefs

    def define(self, function: str) -> int | None:
        """Return the number of a new tracepoint at a function's return; None where tracefs cannot be written."""
        try:
            if self.descriptor < 0:
                self.descriptor = os.open(self._tracefs / "kprobe_events", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                remove(self.descriptor, self._left_over(), patience_s=0)
            name = f"{_PREFIX}{os.getpid()}/{function}"
            os.write(self.descriptor, f"r{_ROOM}:{name} {function}\n".encode())
            self.names.append(name)
            return int((self._tracefs / "events" / name / "id").read_text())
        except OSError:
            return None

    def _left_over(self) -> list[str]:
        """Return what may be of runs that were killed together with their broker; what is in use cannot be removed."""
        lines = (self._tracefs / "kprobe_events").read_text().splitlines()
        names = [line.partition(":")[2].partition(" ")[0] for line in lines]
        return [name for name in names if name.startswith(_PREFIX)]

    def close(self) -> None:
        """Remove what was defined; nothing is attached to it any more."""
        if self.descriptor >= 0:
            remove(self.descriptor, self.names)
            os.close(self.descriptor)
            self.descriptor = -1


def remove(descriptor: int, names: Iterable[str], *, patience_s: float = _PATIENCE_S) -> None:
    """Remove events; one that is still in use a little later."""
    deadline = time.monotonic() + patience_s
    for name in names:
        while not _removed(descriptor, name) and time.monotonic() < deadline:
            time.sleep(_RETRY_S)


def _removed(descriptor: int, name: str) -> bool:
    try:
        os.write(descriptor, f"-:{name}\n".encode())
    except OSError as problem:
        return problem.errno != errno.EBUSY
    return True
