"""What is checked of a call before anything is started, with the nearest valid choice."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from collector.errors import PreflightFailed, UsageProblem, nearest
from collector.kernel import cgroups

_COMM_BYTES: Final = 15
_LONGEST_S: Final = 1_000_000_000


def root() -> None:
    """Loading BPF programs needs root."""
    if os.geteuid() != 0:
        raise PreflightFailed("loading BPF programs needs root", fix="sudo collector ...")


def watch_options(options: Mapping[str, Any]) -> None:
    """Check the values of a watch's options. Raises UsageProblem."""
    for pid in options["pids"]:
        _pid(pid)
    for comm in options["comms"]:
        _comm(comm)
    for port in options["ports"]:
        if not 1 <= port <= 65535:
            raise UsageProblem(f"--port {port}: ports go from 1 to 65535")
    for path in options["cgroups"]:
        _cgroup(path)
    duration, count = options["duration"], options["count"]
    if duration is not None and not 0 < duration < _LONGEST_S:
        raise UsageProblem(f"--duration {duration:g}: must be greater than 0 and less than {_LONGEST_S:,} (seconds)")
    if count is not None and count <= 0:
        raise UsageProblem(f"--count {count}: must be at least 1")


def _pid(pid: int) -> None:
    if pid > 0 and (process := _process_of(pid)) is not None:
        if process != pid:
            raise UsageProblem(f"--pid {pid}: is a thread; its process is {process} ({_name(process)})")
        return
    running = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
    programs = [one for one in running if _read(f"/proc/{one}/cmdline")]  # kernel threads have none
    near = min(programs, key=lambda other: abs(other - pid), default=0)
    raise UsageProblem(f"--pid {pid}: no such process; the nearest is {near} ({_name(near)})")


def _process_of(task: int) -> int | None:
    found = re.search(r"^Tgid:\s+(\d+)", _read(f"/proc/{task}/status"), re.MULTILINE)
    return int(found[1]) if found else None


def _name(pid: int) -> str:
    return _read(f"/proc/{pid}/comm").strip() or "?"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:  # it ended meanwhile
        return ""


def _comm(name: str) -> None:
    raw = os.fsencode(name)
    if not raw:
        raise UsageProblem("--comm: a name is missing")
    if len(raw) > _COMM_BYTES:
        cut = os.fsdecode(raw[:_COMM_BYTES])
        raise UsageProblem(f"--comm {name}: the kernel keeps {_COMM_BYTES} bytes of a name; did you mean {cut}?")


def _cgroup(path: str) -> None:
    try:
        cgroups.cgroup_id(path)
    except OSError as problem:
        top = cgroups.mount_point()
        if top is None:
            raise UsageProblem("--cgroup: no cgroup2 is mounted on this host") from problem
        known = [str(one)[len(str(top)) :] for one in top.glob("*/") if one.is_dir()]
        known += [str(one)[len(str(top)) :] for one in top.glob("*/*/") if one.is_dir()]
        raise UsageProblem(f"--cgroup {path}: not below {top}{nearest(path, known)}") from problem
