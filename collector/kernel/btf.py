"""BTF, the kernel's own description of its types: which tracepoints and functions it has, with their IDs.

Format: Documentation/bpf/btf.rst of Linux 6.12. Only type names, kinds and prototypes are read.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from collector.kernel.errors import KernelRefused

VMLINUX: Final = Path("/sys/kernel/btf/vmlinux")

_MAGIC: Final = 0xEB9F
_KIND_ENUM: Final = 6
_KIND_TYPEDEF: Final = 8
_KIND_FUNC: Final = 12
_KIND_FUNC_PROTO: Final = 13
# Bytes that follow the common 12 of a type, per kind: (fixed, per member).
_EXTRA: Final = {
    0: (0, 0), 1: (4, 0), 2: (0, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 7: (0, 0), 8: (0, 0), 9: (0, 0),
    10: (0, 0), 11: (0, 0), 12: (0, 0), 13: (0, 8), 14: (4, 0), 15: (0, 12), 16: (0, 0), 17: (4, 0), 18: (0, 0),
    19: (0, 12),
}  # fmt: skip
_PREFIX: Final = b"btf_trace_"
_HELPERS: Final = b"bpf_func_id\0"
_HELPER_PREFIX: Final = "BPF_FUNC_"
_UNDER_SRCU: Final = b"\0class_srcu_fast_notrace_t\0"  # what guards them, include/linux/tracepoint.h


class KernelTypes(msgspec.Struct, frozen=True):
    """What the loader asks of BTF: tracepoint -> type ID; function -> (type ID, number of arguments)."""

    tracepoints: dict[str, int]
    functions: dict[str, tuple[int, int]]
    helpers: frozenset[str] = frozenset()  # that this kernel has for some kind of program
    typed: bool = True  # False: from the symbols alone, without BTF
    preemptible: bool = False  # programs at tracepoints may be preempted (from 7.0 on they run under SRCU)


def vmlinux() -> bytes:
    """Return the running kernel's BTF. Raises KernelRefused."""
    try:
        return VMLINUX.read_bytes()
    except OSError as problem:
        raise KernelRefused(f"BTF cannot be read: {VMLINUX}: {problem.strerror}") from problem


def read_kernel_types(blob: bytes, functions: frozenset[str]) -> KernelTypes:
    """Find every tracepoint and the named functions. Raises KernelRefused where the blob is no BTF."""
    try:
        return _read(blob, functions)
    except (struct.error, IndexError, KeyError, ValueError) as problem:
        raise KernelRefused(f"BTF cannot be read: {problem}") from problem


def _read(blob: bytes, wanted: frozenset[str]) -> KernelTypes:
    magic, _version, _flags, header_size, type_offset, type_size, text_offset, text_size = struct.unpack_from(
        "<HBBIIIII", blob
    )
    if magic != _MAGIC:
        raise ValueError("wrong magic number")
    position, end, text = header_size + type_offset, header_size + type_offset + type_size, header_size + text_offset
    if (whole := max(end, text + text_size)) > len(blob):
        raise ValueError(f"cut short: {len(blob)} of {whole} bytes")
    common = struct.Struct("<III")
    names = {at - text: name for name in wanted for at in _places(blob, name, text)}
    tracepoints: dict[str, int] = {}
    found: dict[str, tuple[int, int]] = {}  # function -> (own ID, prototype's ID)
    prototypes: dict[int, int] = {}
    helpers: frozenset[str] = frozenset()
    number = 1
    while position < end:
        name, info, other = common.unpack_from(blob, position)
        kind, members = (info >> 24) & 0x1F, info & 0xFFFF
        if kind == _KIND_TYPEDEF and blob.startswith(_PREFIX, text + name):
            tracepoints[_text(blob, text + name + len(_PREFIX))] = number
        elif kind == _KIND_FUNC and name in names:
            found[names[name]] = (number, other)
        elif kind == _KIND_FUNC_PROTO:
            prototypes[number] = members
        elif kind == _KIND_ENUM and blob.startswith(_HELPERS, text + name):
            starts = (
                entry[0] for entry in struct.iter_unpack("<II", blob[position + 12 : position + 12 + 8 * members])
            )
            helpers = frozenset(_text(blob, text + start).removeprefix(_HELPER_PREFIX) for start in starts)
        fixed, each = _EXTRA[kind]
        position += 12 + fixed + each * members
        number += 1
    return KernelTypes(
        tracepoints=tracepoints,
        functions={n: (own, prototypes[proto]) for n, (own, proto) in found.items()},
        helpers=helpers,
        preemptible=blob.find(_UNDER_SRCU, text) >= 0,
    )


def _places(blob: bytes, name: str, start: int) -> Iterator[int]:
    """Yield where the text `name` begins, whole, from `start` on."""
    while (start := blob.find(b"\0" + name.encode() + b"\0", start) + 1) > 0:
        yield start


def _text(blob: bytes, start: int) -> str:
    return blob[start : blob.index(b"\0", start)].decode("ascii", "replace")
