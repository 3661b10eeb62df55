"""Facts about this host, gathered without judging them: the input of doctor."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from collector.kernel import btf, cgroups, compiler, headers
from collector.kernel.errors import KernelProblem
from collector.kernel.probe import run_loader
from collector.kernel.request import LoadRequest, RungResult
from collector.kernel.rungs import LADDER

_SYSCTL: Final = Path("/proc/sys")
_LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")
_BCC: Final = "import bcc, sys; sys.stdout.write(bcc.__version__)"


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; None where it could not be told."""

    root: bool
    release: str
    machine: str
    btf: bool
    tracefs: bool
    cgroup2: str | None
    lockdown: str | None
    unprivileged_bpf_disabled: str | None
    jit: str | None
    bcc: str | None
    bpftool: bool
    kernel_headers: bool
    container: bool
    cache_warm: bool
    rungs: tuple[RungResult, ...]
    problem: str = ""


def gather(cache: str) -> HostFacts:
    """Look at the host; as root, try every rung for real."""
    root = os.geteuid() == 0
    rungs, problem = _try_rungs(cache) if root else ((), "")
    return HostFacts(
        root=root,
        release=platform.release(),
        machine=platform.machine(),
        btf=btf.VMLINUX.exists(),
        tracefs=any(" - tracefs " in line for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        cgroup2=str(cgroups.mount_point() or "") or None,
        lockdown=_lockdown(),
        unprivileged_bpf_disabled=_read(_SYSCTL / "kernel/unprivileged_bpf_disabled"),
        jit=_read(_SYSCTL / "net/core/bpf_jit_enable"),
        bcc=_output(["/usr/bin/python3", "-c", _BCC]),
        bpftool=_output(["bpftool", "version"]) is not None,
        kernel_headers=Path(f"/lib/modules/{platform.release()}/build").exists(),
        container=_in_container(),
        cache_warm=_is_warm(cache),
        rungs=rungs,
        problem=problem,
    )


def _try_rungs(cache: str) -> tuple[tuple[RungResult, ...], str]:
    results: list[RungResult] = []
    problems: list[str] = []
    for rung in LADDER:
        request = LoadRequest(rung=rung.name, cache=cache, ring_size=1 << 18, measure=True)
        try:
            reply, descriptors = run_loader(request)
        except KernelProblem as problem:
            problems.append(str(problem))
            continue
        for descriptor in descriptors:
            os.close(descriptor)
        results += reply.tried
        if reply.problem and reply.problem not in problems:
            problems.append(reply.problem)
    return tuple(results), "; ".join(problems)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _lockdown() -> str | None:
    text = _read(_LOCKDOWN)
    return text[text.index("[") + 1 : text.index("]")] if text and "[" in text else None


def _output(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def _is_warm(cache: str) -> bool:
    try:
        return compiler.is_warm(Path(cache), headers.btf_hash())
    except KernelProblem:
        return False
