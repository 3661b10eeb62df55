"""What the running kernel has, read as the collector reads it."""

from functools import cache

from collector.kernel import btf
from collector.kernel.rungs import FUNCTIONS


@cache
def tracepoint(name: str) -> bool:
    return name in btf.read_kernel_types(btf.vmlinux(), FUNCTIONS).tracepoints
