"""What the kernel has, from its symbols: for kernels whose own description of their types (BTF) cannot be had.

Then nothing is typed: programs are raw tracepoints and kprobes, named by name, compiled against the kernel's headers.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from collector.kernel.btf import KernelTypes
from collector.kernel.errors import KernelRefused

_SYMBOLS: Final = Path("/proc/kallsyms")
_TRACEPOINT: Final = "__traceiter_"  # one function for each tracepoint, since 5.10
_UNKNOWN: Final = (0, 0)  # neither an ID nor a number of arguments


def read_symbols(functions: frozenset[str], path: Path = _SYMBOLS) -> KernelTypes:
    """Find every tracepoint and the named functions. Raises KernelRefused."""
    try:
        with path.open(encoding="ascii", errors="replace") as lines:
            return _find(lines, functions)
    except OSError as problem:
        raise KernelRefused(f"{path}: {problem.strerror}") from problem


def _find(lines: Iterable[str], functions: frozenset[str]) -> KernelTypes:
    tracepoints: dict[str, int] = {}
    found: dict[str, tuple[int, int]] = {}
    for line in lines:
        name = line.split(None, 3)[2].rstrip("\n")
        if name.startswith(_TRACEPOINT):
            tracepoints[name.removeprefix(_TRACEPOINT)] = 0
        elif name in functions:
            found[name] = _UNKNOWN
    return KernelTypes(tracepoints=tracepoints, functions=found, typed=False)
