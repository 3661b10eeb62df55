"""Whether this kernel lets another task run while one is in the kernel: then it may preempt our programs, too."""

import os
from pathlib import Path
from typing import Final

MODE: Final = Path("/sys/kernel/debug/sched/preempt")  # the one in force stands in brackets
COMMAND_LINE: Final = Path("/proc/cmdline")
_ALWAYS: Final = frozenset({"full", "lazy"})


def preempts(version: str | None = None, *, mode: Path = MODE, command_line: Path = COMMAND_LINE) -> bool:
    """Tell whether it does. `version`: as of `uname -v`. Where the mode was chosen at boot it is asked for."""
    version = version if version is not None else os.uname().version
    if "PREEMPT_DYNAMIC" in version:
        return _chosen(mode, command_line) in _ALWAYS
    return "PREEMPT" in version


def _chosen(mode: Path, command_line: Path) -> str:
    """Return the mode in force; "" where it cannot be told: distributions with a choice leave it at voluntary."""
    try:
        return mode.read_text().partition("(")[2].partition(")")[0]
    except OSError:
        words = command_line.read_text().split()
        return next((word.removeprefix("preempt=") for word in words if word.startswith("preempt=")), "")
