"""Whether the numbers of processes that the kernel tells are the ones that this process knows them by."""

from pathlib import Path
from typing import Final

_OURS: Final = Path("/proc/self/ns/pid")
_FIRST: Final = "pid:[4026531836]"  # PROC_PID_INIT_INO, include/linux/proc_ns.h


def has_host_pids(path: Path = _OURS) -> bool:
    """Tell whether this process sees the PIDs of the host; False in a container with PIDs of its own."""
    try:
        return str(path.readlink()) == _FIRST
    except OSError:
        return False
