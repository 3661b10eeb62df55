"""The header tree that lets bcc compile without kernel headers: made from the kernel's BTF, kept by its hash."""

import hashlib
import itertools
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from collector.kernel import btf
from collector.kernel.errors import BadTypes, KernelRefused

_EMPTY: Final = (
    "uapi/linux/bpf.h", "uapi/linux/if_packet.h", "uapi/linux/ptrace.h", "uapi/linux/if_ether.h",
    "linux/log2.h", "linux/types.h", "linux/bpf_common.h",
)  # fmt: skip
_KCONFIG: Final = """#pragma once
#define BPF_NO_PRESERVE_ACCESS_INDEX
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#define _UAPI__LINUX_BPF_H__
#define __LINUX_BPF_H__
#define CONFIG_BPF_SYSCALL 1
#define BPF_PSEUDO_MAP_FD 1
#define BPF_FUNC_CURRENT_CPU -1
#include "linux/helper_fill.h"
"""
# bpftool writes the holes of a struct as nameless bit fields. clang 14 lays out a run of them as one wide integer, with
# that integer's alignment, and so moves what follows (sched_entity, and with it task_struct, on 5.10): give them names.
_HOLE: Final = re.compile(r"^(\t+)(long|int|short|char)\s*:\s*(\d+);$", re.MULTILINE)
_WIDTHS: Final = {"long": "64", "int": "32", "short": "16", "char": "8"}
INSTALLED: Final = Path("/lib/modules")
FORMAT: Final = 2  # of the tree; what was compiled from an older one is not used
_HELPER_NUMBERS: Final = Path(__file__).with_name("helper_numbers.txt")


def btf_hash() -> str:
    """Return the identity of the running kernel's types."""
    return identity_of(btf.vmlinux())


def identity_of(blob: bytes) -> str:
    """Return the identity of a kernel by its BTF."""
    return hashlib.sha256(blob).hexdigest()[:16]


def build_hash() -> str:
    """Return the identity of the running kernel where its types cannot be had: of its release and build."""
    kernel = os.uname()
    return hashlib.sha256(f"{kernel.release} {kernel.version} {kernel.machine}".encode()).hexdigest()[:16]


def check_installed() -> None:
    """Raise KernelRefused where the distribution's headers for this kernel are not installed."""
    if not (INSTALLED / platform.release() / "build").exists():
        raise KernelRefused(f"neither BTF nor kernel headers: apt-get install linux-headers-{platform.release()}")


def tree_path(cache: Path, identity: str) -> Path:
    """Return where the tree for this kernel stands once it is made."""
    return cache / f"headers-{identity}-{FORMAT}"


def header_tree(cache: Path, identity: str, *, types: Path = btf.VMLINUX, release: str | None = None) -> Path:
    """Return the tree for this kernel, made now if the cache does not hold it. bpftool dumps the types.

    Raises KernelRefused, BadTypes.

    `types` and `release` name another kernel than the running one.
    """
    tree = tree_path(cache, identity)
    if (tree / "complete").exists():
        return tree
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    try:
        _write_tree(making / "include", _dump_types(types), kernel_version(release))
        (making / "complete").touch()
        shutil.rmtree(tree, ignore_errors=True)
        making.rename(tree)
    except FileExistsError:  # another collector was faster: its tree is as good
        shutil.rmtree(making, ignore_errors=True)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return tree


def _dump_types(source: Path) -> str:
    command = ["bpftool", "btf", "dump", "file", str(source), "format", "c"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as problem:
        raise KernelRefused("bpftool is missing: apt-get install bpftool") from problem
    except subprocess.CalledProcessError as problem:
        raise BadTypes(f"BTF cannot be used: bpftool: {problem.stderr.strip()}") from problem


def _write_tree(include: Path, types: str, version: tuple[int, int, int]) -> None:
    for name in _EMPTY:
        (include / name).parent.mkdir(parents=True, exist_ok=True)
        (include / name).touch()
    (include / "asm").mkdir(exist_ok=True)
    (include / "vmlinux.h").write_text(_with_named_holes(types))
    (include / "linux/kconfig.h").write_text(_KCONFIG)
    (include / "linux/helper_fill.h").write_text(_missing_helpers(types))
    (include / "linux/version.h").write_text(_version_header(*version))
    (include / "asm/page.h").write_text(f"#define PAGE_SIZE {os.sysconf('SC_PAGESIZE')}\n")


def _with_named_holes(types: str) -> str:
    numbers = itertools.count()

    def name(hole: re.Match[str]) -> str:
        indent, kind, width = hole.groups()
        return f"{indent}{kind} hole_{next(numbers)};" if width == _WIDTHS[kind] else hole[0]

    return _HOLE.sub(name, types)


def _missing_helpers(types: str) -> str:
    """bcc's own header names every helper it knows; a kernel older than bcc lacks the newer numbers (frozen UAPI)."""
    lines = (line.split() for line in _HELPER_NUMBERS.read_text().splitlines() if line and not line.startswith("#"))
    return "".join(
        f"#define BPF_FUNC_{name} {number}\n" for name, number in lines if f"BPF_FUNC_{name} = " not in types
    )


def _version_header(a: int, b: int, c: int) -> str:
    macro = "#define KERNEL_VERSION(a,b,c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n"
    return f"#define LINUX_VERSION_CODE {(a << 16) + (b << 8) + min(c, 255)}\n{macro}"


def kernel_version(release: str | None = None) -> tuple[int, int, int]:
    """Return a kernel's version (the running one's) as numbers; what is not a number counts as 0."""
    parts = (release or platform.release()).replace("-", ".").split(".")
    numbers = [int(part) if part.isdigit() else 0 for part in (*parts, "0", "0")[:3]]
    return numbers[0], numbers[1], numbers[2]
