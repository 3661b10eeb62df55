"""From facts to findings: each with what it means and how to fix it. Pure; tests give it broken hosts."""

from typing import Final, Literal

import msgspec

from collector.kernel.host_facts import HostFacts

Status = Literal["ok", "warning", "failed"]
_MACHINES: Final = frozenset({"x86_64", "aarch64"})
_OLDEST: Final = (5, 15)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `failed`: nothing can be observed; `warning`: less can be seen than could be."""

    group: str
    name: str
    status: Status
    detail: str
    fix: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, and the rung that a watch would use."""

    checks: tuple[Check, ...]
    rung: str | None
    cannot_see: tuple[str, ...]

    @property
    def can_observe(self) -> bool:
        """Tell whether a watch would start."""
        return all(check.status != "failed" for check in self.checks)


def diagnose(facts: HostFacts) -> Diagnosis:
    """Judge the facts."""
    best = next((rung for rung in facts.rungs if rung.fired), None)
    checks = (*_privileges(facts), *_kernel(facts), *_tools(facts), *_ladder(facts))
    return Diagnosis(
        checks=checks, rung=best.name if best else None, cannot_see=best.blind_to if best else ("anything",)
    )


def _check(  # noqa: PLR0913  # one finding
    group: str,
    name: str,
    good: bool,  # noqa: FBT001
    detail: str,
    fix: str,
    *,
    vital: bool = True,
) -> Check:
    if good:
        return Check(group=group, name=name, status="ok", detail=detail)
    return Check(group=group, name=name, status="failed" if vital else "warning", detail=detail, fix=fix)


def _privileges(facts: HostFacts) -> tuple[Check, ...]:
    locked = facts.lockdown or "none"
    return (
        _check("privileges", "root", facts.root, "root" if facts.root else "not root", "sudo collector doctor"),
        _check(
            "privileges",
            "lockdown",
            locked != "confidentiality",
            f"kernel lockdown: {locked}",
            "lockdown=confidentiality forbids BPF to read memory: boot with lockdown=integrity or without Secure Boot",
        ),
        _check(
            "privileges",
            "container",
            not facts.container,
            "in a container" if facts.container else "on the host",
            "run on the host, or with --privileged --pid=host --cgroupns=host and /sys/kernel/btf readable",
            vital=False,
        ),
    )


def _version(release: str) -> tuple[int, int]:
    parts = release.replace("-", ".").split(".")
    major, minor = (int(part) if part.isdigit() else 0 for part in (*parts, "0", "0")[:2])
    return major, minor


def _kernel(facts: HostFacts) -> tuple[Check, ...]:
    return (
        _check(
            "kernel",
            "version",
            _version(facts.release) >= _OLDEST,
            f"Linux {facts.release}",
            "Linux 5.15 or later is needed (bpf_task_pt_regs): install a newer kernel",
        ),
        _check(
            "kernel",
            "architecture",
            facts.machine in _MACHINES,
            facts.machine,
            "x86-64 and arm64 have a register layout; add yours to bpf/arch.h",
        ),
        _check(
            "kernel",
            "BTF",
            facts.btf,
            "/sys/kernel/btf/vmlinux" if facts.btf else "/sys/kernel/btf/vmlinux is missing",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y (every Debian and Ubuntu kernel has it)",
        ),
        _check(
            "kernel",
            "JIT",
            facts.jit != "0",
            f"net.core.bpf_jit_enable = {facts.jit or 'not readable'}",
            "sysctl -w net.core.bpf_jit_enable=1: interpreted programs cost several times as much",
            vital=False,
        ),
        _check(
            "kernel",
            "tracefs",
            facts.tracefs,
            "mounted" if facts.tracefs else "not mounted",
            "mount -t tracefs tracefs /sys/kernel/tracing (only kprobes on old kernels want it)",
            vital=False,
        ),
        _check(
            "kernel",
            "cgroup v2",
            facts.cgroup2 is not None,
            facts.cgroup2 or "not mounted",
            "mount -t cgroup2 none /sys/fs/cgroup/unified: without it there is no --cgroup and no container names",
            vital=False,
        ),
    )


def _tools(facts: HostFacts) -> tuple[Check, ...]:
    warm = "; not needed now: the programs for this kernel are in the cache" if facts.cache_warm else ""
    return (
        _check(
            "tools",
            "bcc",
            facts.bcc is not None,
            (facts.bcc or "not importable by /usr/bin/python3") + ("" if facts.bcc else warm),
            "apt-get install python3-bpfcc",
            vital=not facts.cache_warm,
        ),
        _check(
            "tools",
            "bpftool",
            facts.bpftool,
            "found" if facts.bpftool else "not found" + warm,
            "apt-get install bpftool (Ubuntu: linux-tools-common linux-tools-$(uname -r))",
            vital=not facts.cache_warm and not facts.kernel_headers,
        ),
    )


def _ladder(facts: HostFacts) -> tuple[Check, ...]:
    if not facts.root:
        return ()
    checks = []
    fired = False
    for rung in facts.rungs:
        cost = f", {rung.cost_ns:.0f} ns per send and receive" if rung.cost_ns else ""
        detail = f"loads and fires{cost}" if rung.fired else rung.reason
        checks.append(
            _check("ladder", rung.name, rung.fired, detail, "a better rung is in use" if fired else "", vital=False)
        )
        fired = fired or rung.fired
    if not fired:
        reason = facts.problem or "no rung of the ladder loads and fires on this kernel"
        checks.append(
            Check(
                group="ladder",
                name="any rung",
                status="failed",
                detail=reason,
                fix="Linux 6.3+ with BTF, fentry, kprobes or raw tracepoints; the lines above say what each lacks",
            )
        )
    return tuple(checks)
