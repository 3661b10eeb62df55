"""What doctor says of each fact about the host: good or not, in words, with the fix."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from collector.kernel.host_facts import HostFacts

Status = Literal["ok", "note", "warning", "failed"]
_MACHINES: Final = frozenset({"x86_64", "aarch64"})
_OLDEST: Final = (5, 10)
_TO_LOAD: Final = {"CAP_PERFMON": 38, "CAP_BPF": 39}
_TO_GIVE_UP_ROOT: Final = {"CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SETPCAP": 8}
NOT_PROVEN: Final = frozenset({"giving up root", "user"})  # by a rung that loads and fires: wanted afterwards
_SYS_ADMIN: Final = 1 << 21  # stands for BPF and PERFMON


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `failed`: nothing can be observed; `warning`: less than could be; `note`: good to know."""

    group: str
    name: str
    status: Status
    detail: str
    fix: str = ""


class _Group:
    """Makes the checks of one group."""

    def __init__(self, name: str) -> None:
        self._name = name

    def good(self, name: str, detail: str) -> Check:
        return Check(group=self._name, name=name, status="ok", detail=detail)

    def vital(self, name: str, good: object, detail: str, fix: str) -> Check:
        """Without it nothing can be observed."""
        return self.good(name, detail) if good else self._bad(name, "failed", detail, fix)

    def useful(self, name: str, good: object, detail: str, fix: str) -> Check:
        """Without it less can be observed."""
        return self.good(name, detail) if good else self._bad(name, "warning", detail, fix)

    def _bad(self, name: str, status: Status, detail: str, fix: str) -> Check:
        return Check(group=self._name, name=name, status=status, detail=detail, fix=fix)


def host_checks(facts: HostFacts) -> tuple[Check, ...]:
    """Judge everything but the rungs."""
    return (*_privileges(facts), *_kernel(facts), *_mounts(facts), *_tools(facts))


def _privileges(facts: HostFacts) -> Iterator[Check]:
    group = _Group("privileges")
    yield group.vital("root", facts.root, "root" if facts.root else "not root", "sudo collector doctor")
    if facts.root:
        held = facts.capabilities | ((1 << 38 | 1 << 39) if facts.capabilities & _SYS_ADMIN else 0)
        for what, wanted in (("capabilities", _TO_LOAD), ("giving up root", _TO_GIVE_UP_ROOT)):
            missing = [name for name, bit in wanted.items() if not held >> bit & 1]
            detail = f"missing: {', '.join(missing)}" if missing else "complete"
            names = ",".join(name.removeprefix("CAP_") for name in missing)
            fix = f"--cap-add {names} (containers), CapabilityBoundingSet= (systemd)"
            yield group.vital(what, not missing, detail, fix)
    locked = facts.lockdown or "none"
    yield group.vital(
        "lockdown",
        locked != "confidentiality",
        f"kernel lockdown: {locked}",
        "lockdown=confidentiality forbids BPF to read memory: boot with lockdown=integrity or without Secure Boot",
    )
    yield group.good(
        "other users",
        f"kernel.unprivileged_bpf_disabled = {facts.unprivileged_bpf_disabled or '?'}: any value does, the broker keeps"
        " CAP_BPF",
    )
    yield group.vital(
        "user",
        facts.user,
        f"becomes {facts.user} once everything is attached" if facts.user else "no user to become",
        "adduser --system netscope (or set `user` to one that exists)",
    )
    where = "in a container" if facts.container else "on the host"
    yield group.useful(
        "namespaces",
        facts.host_pids,
        f"{where}, {'with the PIDs of the host' if facts.host_pids else 'with PIDs of its own'}",
        "--pid, commands, names of services want the host's PIDs: run on the host or with --pid=host --cgroupns=host",
    )


def _version(release: str) -> tuple[int, int]:
    parts = release.replace("-", ".").split(".")
    major, minor = (int(part) if part.isdigit() else 0 for part in (*parts, "0", "0")[:2])
    return major, minor


def _kernel(facts: HostFacts) -> Iterator[Check]:
    group = _Group("kernel")
    yield group.vital(
        "version",
        _version(facts.release) >= _OLDEST,
        f"Linux {facts.release}",
        "Linux 5.10 or later is needed: install a newer kernel",
    )
    yield group.vital(
        "architecture",
        facts.machine in _MACHINES,
        facts.machine,
        "x86-64 and arm64 have a register layout; add yours to bpf/arch.h",
    )
    yield group.vital(
        "BTF",
        facts.btf and not facts.untyped,
        facts.untyped or ("/sys/kernel/btf/vmlinux" if facts.btf else "/sys/kernel/btf/vmlinux is missing"),
        "use a kernel with CONFIG_DEBUG_INFO_BTF=y (every Debian and Ubuntu kernel has it); in a container, mount /sys;"
        f" or do with its headers: apt-get install linux-headers-{facts.release}",
    )
    yield group.useful(
        "JIT",
        facts.jit != "0",
        f"net.core.bpf_jit_enable = {facts.jit or 'not readable'}",
        "sysctl -w net.core.bpf_jit_enable=1: interpreted programs cost several times as much",
    )
    yield group.useful(
        "statistics",
        facts.bpf_stats != "1",
        f"kernel.bpf_stats_enabled = {facts.bpf_stats or 'not readable'}",
        "sysctl -w kernel.bpf_stats_enabled=0: it reads the clock twice more for every run of every program",
    )


def _mounts(facts: HostFacts) -> Iterator[Check]:
    group = _Group("mounts")
    yield group.useful(
        "tracefs",
        facts.tracefs,
        facts.tracefs or "not mounted",
        "mount -t tracefs tracefs /sys/kernel/tracing (only kprobes on old kernels want it)",
    )
    hybrid = " (hybrid: v1 beside it)" if facts.cgroup1 else ""
    yield group.useful(
        "cgroup v2",
        facts.cgroup2,
        f"{facts.cgroup2}{hybrid}" if facts.cgroup2 else "not mounted",
        "mount -t cgroup2 none /sys/fs/cgroup/unified: without it there is no --cgroup and no container names",
    )
    yield group.good("bpffs", facts.bpffs or "not mounted; not needed, nothing is pinned")


def _tools(facts: HostFacts) -> Iterator[Check]:
    group = _Group("tools")
    warm = "; not needed now, the programs for this kernel are in the cache" if facts.cache_warm else ""
    yield (group.useful if warm else group.vital)(
        "bcc",
        facts.bcc,
        facts.bcc or f"not importable by /usr/bin/python3{warm}",
        "apt-get install python3-bpfcc",
    )
    kept = warm or ("; not needed now, the headers for this kernel are in the cache" if facts.headers_cached else "")
    yield (group.useful if kept else group.vital)(
        "bpftool",
        facts.bpftool,
        facts.bpftool or f"not found, or not for this kernel{kept}",
        "apt-get install bpftool (Ubuntu: linux-tools-common linux-tools-$(uname -r))",
    )
    headers = "installed" if facts.kernel_headers else "not installed"
    if facts.untyped:
        yield group.vital(
            "kernel headers",
            facts.kernel_headers or facts.cache_warm,
            f"{headers}; needed, the types cannot come from BTF",
            f"apt-get install linux-headers-{facts.release}",
        )
    else:
        yield group.good("kernel headers", f"{headers}; not needed, the types come from BTF")
    cold = "cold: the first start compiles" if facts.root else "only root can look into it"
    state = "holds the programs for this kernel" if facts.cache_warm else cold
    yield group.good("cache", f"{facts.cache}: {state}")
