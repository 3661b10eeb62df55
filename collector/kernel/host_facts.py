"""Facts about this host, gathered without judging them: the input of doctor."""

import os
import platform
import pwd
import re
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from collector.kernel import btf, compiler, headers, namespaces, privileges
from collector.kernel.errors import KernelProblem
from collector.kernel.probe import run_loader
from collector.kernel.request import LoadRequest, RungResult
from collector.kernel.rungs import LADDER

_SYSCTL: Final = Path("/proc/sys")
_LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")
_BCC: Final = "import bcc, sys; sys.stdout.write(bcc.__version__)"


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; None where it is not there or could not be told."""

    root: bool
    capabilities: int  # effective, as bits
    user: str | None  # to become once everything is attached
    release: str
    machine: str
    lockdown: str | None
    unprivileged_bpf_disabled: str | None
    jit: str | None
    bpf_stats: str | None = None
    btf: bool
    tracefs: str | None
    bpffs: str | None
    cgroup2: str | None
    cgroup1: bool
    container: bool
    host_pids: bool
    bcc: str | None
    bpftool: str | None
    kernel_headers: bool
    cache: str
    cache_warm: bool
    headers_cached: bool
    rungs: tuple[RungResult, ...] = ()
    problem: str = ""
    untyped: str = ""  # why the kernel's BTF could not be used


def gather(cache: str, user: str) -> HostFacts:
    """Look at the host; as root, try every rung for real."""
    root = os.geteuid() == 0
    rungs, problem, untyped = _try_rungs(cache) if root else ((), "", "")
    mounts = _mounts()
    identity = _identity()
    return HostFacts(
        root=root,
        capabilities=_capabilities(),
        user=_account(user),
        release=platform.release(),
        machine=platform.machine(),
        lockdown=_lockdown(),
        unprivileged_bpf_disabled=_read(_SYSCTL / "kernel/unprivileged_bpf_disabled"),
        jit=_read(_SYSCTL / "net/core/bpf_jit_enable"),
        bpf_stats=_read(_SYSCTL / "kernel/bpf_stats_enabled"),
        btf=btf.VMLINUX.exists(),
        tracefs=mounts.get("tracefs"),
        bpffs=mounts.get("bpf"),
        cgroup2=mounts.get("cgroup2"),
        cgroup1="cgroup" in mounts,
        container=_in_container(),
        host_pids=namespaces.has_host_pids(),
        bcc=_output(["/usr/bin/python3", "-P", "-c", _BCC]),
        bpftool=(_output(["bpftool", "version"]) or "").partition("\n")[0] or None,
        kernel_headers=Path(f"/lib/modules/{platform.release()}/build").exists(),
        cache=cache,
        cache_warm=bool(identity) and compiler.is_warm(Path(cache), identity),
        headers_cached=bool(identity) and os.access(headers.tree_path(Path(cache), identity) / "complete", os.F_OK),
        rungs=rungs,
        problem=problem,
        untyped=untyped,
    )


def _try_rungs(cache: str) -> tuple[tuple[RungResult, ...], str, str]:
    results: list[RungResult] = []
    untyped = ""
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
        untyped = reply.untyped
        if reply.problem and reply.problem not in problems:
            problems.append(reply.problem)
    return tuple(results), "; ".join(problems), untyped


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


def _mounts() -> dict[str, str]:
    """Return file system -> where it is mounted first."""
    found: dict[str, str] = {}
    for line in (_read(Path("/proc/self/mountinfo")) or "").splitlines():
        fields, _, rest = line.partition(" - ")
        found.setdefault(rest.split()[0], fields.split()[4])
    return found


def _capabilities() -> int:
    found = re.search(r"^CapEff:\s+(\w+)", _read(Path("/proc/self/status")) or "", re.MULTILINE)
    return int(found[1], 16) if found else 0


def _account(user: str) -> str | None:
    try:
        uid, _ = privileges.account(user)
        return pwd.getpwuid(uid).pw_name
    except (KernelProblem, KeyError):
        return None


def _in_container() -> bool:
    return any(Path(one).exists() for one in ("/.dockerenv", "/run/.containerenv", "/run/systemd/container"))


def _identity() -> str:
    try:
        return headers.btf_hash()
    except KernelProblem:
        return headers.build_hash()
