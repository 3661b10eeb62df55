"""What the running kernel has, read as the collector reads it."""

from functools import cache

from collector.kernel import btf
from collector.kernel.rungs import FUNCTIONS


@cache
def socket_cookies() -> bool:
    """Tell whether programs name a connection by its socket's cookie: before 5.15 it gets a number of ours."""
    return "task_pt_regs" in btf.read_kernel_types(btf.vmlinux(), FUNCTIONS).helpers


@cache
def preemptible_programs() -> bool:
    """Tell whether a task may be preempted within a program (decision 0505)."""
    return btf.read_kernel_types(btf.vmlinux(), FUNCTIONS).preemptible


@cache
def tracepoint(name: str) -> bool:
    return name in btf.read_kernel_types(btf.vmlinux(), FUNCTIONS).tracepoints
