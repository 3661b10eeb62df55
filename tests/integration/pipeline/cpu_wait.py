"""How long a process was ready to run and had no processor: what no deadline in it can be held to."""

from collections.abc import Callable
from pathlib import Path


def waited_s(pid: int | str = "self") -> float:
    """Return the seconds that a process's first thread, its event loop, stood in the run queue so far (proc(5): schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def since(*pids: int | str) -> Callable[[], float]:
    """Return what tells the seconds that these processes have waited from now on, all together."""
    before = [waited_s(pid) for pid in pids]

    def waited() -> float:
        return sum(waited_s(pid) - start for pid, start in zip(pids, before, strict=True))

    return waited
