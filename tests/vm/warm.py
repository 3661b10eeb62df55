"""Compiles the programs for another kernel here, from the BTF inside its image: under emulation it takes ten times longer.

What comes out is what the collector's cache on that kernel would hold; the machine copies it there.
"""

import hashlib
import platform
import struct
from dataclasses import dataclass
from pathlib import Path

from collector.kernel import btf, compiler, headers
from collector.kernel.rungs import FUNCTIONS, LADDER, Plan, plan

VARIANTS = ((False, False), (True, False), (True, True))  # by process, follow children


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """The cache, and why a rung has no place in it."""

    cache: Path
    identity: str
    plans: dict[str, Plan]
    impossible: dict[str, str]


def btf_section(vmlinux: Path) -> bytes:
    """The section .BTF of an ELF file: byte for byte what /sys/kernel/btf/vmlinux is on the booted kernel."""
    raw = vmlinux.read_bytes()
    (sections,) = struct.unpack_from("<Q", raw, 0x28)
    size, count, names_at = struct.unpack_from("<HHH", raw, 0x3A)
    headers_of = [struct.unpack_from("<IIQQQQ", raw, sections + i * size) for i in range(count)]
    names = headers_of[names_at][4]
    for name, _kind, _flags, _address, offset, length in headers_of:
        start = names + name
        if raw[start : raw.index(b"\0", start)] == b".BTF":
            return raw[offset : offset + length]
    raise ValueError(f"{vmlinux} has no BTF")


def btf_in_image(image: Path) -> bytes:
    """The BTF inside an uncompressed image that is no ELF file (arm64): found by its header (Documentation/bpf/btf.rst)."""
    raw = image.read_bytes()
    at = raw.find(struct.pack("<HBBI", 0xEB9F, 1, 0, 24))
    while at >= 0:
        types_at, types, text_at, text = struct.unpack_from("<IIII", raw, at + 8)
        if types_at == 0 and types == text_at > 1 << 20:  # a module's or a program's own is far smaller
            return raw[at : at + 24 + text_at + text]
        at = raw.find(raw[at : at + 8], at + 8)
    raise ValueError(f"{image} has no BTF")


def _preempts(release: str) -> bool:
    """Tell how Debian sets its kernels up: voluntary until 6.12, lazy from then on."""
    return headers.kernel_version(release)[:2] > (6, 12)


def warm(blob: bytes, release: str, cache: Path, *, machine: str | None = None, rungs: tuple[str, ...] = (),
         variants: tuple[tuple[bool, bool], ...] = VARIANTS) -> Warmed:  # fmt: skip
    """Fill `cache` with every rung (or those named) that the kernel's types allow, in every variant."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity = hashlib.sha256(blob).hexdigest()[:16]
    source = cache / f"btf-{identity}"
    source.write_bytes(blob)
    headers.header_tree(cache, identity, types=source, release=release)
    types = btf.read_kernel_types(blob, FUNCTIONS)
    plans: dict[str, Plan] = {}
    impossible: dict[str, str] = {}
    for rung in (rung for rung in LADDER if not rungs or rung.name in rungs):
        for by_process, follow_children in variants:
            asked = {"by_process": by_process, "follow_children": follow_children, "preempts": _preempts(release)}
            chosen = plan(rung, types, **asked)
            if isinstance(chosen, str):
                impossible[rung.name] = chosen
                continue
            names = tuple(program.name for program in chosen.programs)
            compiler.compile_programs(cache, identity, chosen.definitions, names, machine=machine or platform.machine())
            plans[rung.name] = chosen
    return Warmed(cache=cache, identity=identity, plans=plans, impossible=impossible)
