"""What is checked of a call before anything is started, with the nearest valid choice."""

import os
from pathlib import Path
from typing import Any

from collector.config import nearest
from collector.errors import PreflightFailed, UsageProblem
from collector.kernel import cgroups


def root() -> None:
    """Loading BPF programs needs root."""
    if os.geteuid() != 0:
        raise PreflightFailed("loading BPF programs needs root", fix="sudo collector ...")


def watch_options(options: dict[str, Any]) -> None:
    """Check the values of a watch's options. Raises UsageProblem."""
    for pid in options["pids"]:
        _pid(pid)
    for port in options["ports"]:
        if not 1 <= port <= 65535:
            raise UsageProblem(f"--port {port}: ports go from 1 to 65535")
    for path in options["cgroups"]:
        _cgroup(path)
    duration, count = options.get("duration"), options.get("count")
    if duration is not None and duration <= 0:
        raise UsageProblem(f"--duration {duration}: must be greater than 0 (seconds)")
    if count is not None and count <= 0:
        raise UsageProblem(f"--count {count}: must be at least 1")


def _pid(pid: int) -> None:
    if Path(f"/proc/{pid}").is_dir():
        return
    running = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
    near = min(running, key=lambda other: abs(other - pid))
    name = Path(f"/proc/{near}/comm").read_text().strip() if Path(f"/proc/{near}/comm").exists() else "?"
    raise UsageProblem(f"--pid {pid}: no such process; the nearest is {near} ({name})")


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
