"""C to BPF instructions, by bcc; the result is kept in a cache, so that a warm start needs no compiler.

The only module that imports bcc. It runs in the loader's short-lived process: the compiler's 150 MB go with it.
"""

import hashlib
import os
import platform
import sys
from pathlib import Path
from typing import Final

import msgspec

from collector.kernel import headers
from collector.kernel.errors import KernelRefused
from collector.kernel.rungs import KERNEL_HEADERS

_SOURCES: Final = Path(__file__).resolve().parents[2] / "bpf"
_INSTALLED_SOURCES: Final = Path("/usr/share/netscope/bpf")
_DISTRIBUTION_PACKAGES: Final = "/usr/lib/python3/dist-packages"  # where Debian keeps bcc for its own python3
_ARCHITECTURES: Final = {"x86_64": "TARGET_X86_64", "aarch64": "TARGET_ARM64"}


def sources() -> Path:
    """Return the directory of the C text: beside the package, else where it was installed."""
    return _SOURCES if _SOURCES.is_dir() else _INSTALLED_SOURCES


def compile_programs(
    cache: Path, identity: str, definitions: tuple[str, ...], names: tuple[str, ...], *, machine: str | None = None
) -> dict[str, bytes]:
    """Return name -> instructions for one rung, from the cache or compiled now. Raises KernelRefused."""
    flags = (f"-D{_ARCHITECTURES[machine or platform.machine()]}", *(f"-D{definition}" for definition in definitions))
    stored = cache / f"programs-{identity}-{_fingerprint(flags, names)}.msgpack"
    if (kept := _read_stored(stored)) is not None:
        return kept
    tree = None
    if KERNEL_HEADERS in definitions:
        headers.check_installed()
    else:
        tree = headers.header_tree(cache, identity)
    programs = _compile(tree, flags, names)
    partial = stored.with_suffix(f".{os.getpid()}")
    partial.write_bytes(msgspec.msgpack.encode(programs))
    partial.rename(stored)
    return programs


def is_warm(cache: Path, identity: str) -> bool:
    """Tell whether something compiled for this kernel is in the cache."""
    return any(cache.glob(f"programs-{identity}-*.msgpack"))


def _fingerprint(flags: tuple[str, ...], names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr((headers.FORMAT, flags, names)).encode())
    for path in sorted(sources().glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _read_stored(path: Path) -> dict[str, bytes] | None:
    """Trust only what root alone can write: these instructions are loaded into the kernel."""
    try:
        for checked in (path, path.parent):
            facts = checked.stat()
            if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
                return None
        return msgspec.msgpack.decode(path.read_bytes(), type=dict[str, bytes])
    except (OSError, msgspec.DecodeError):
        return None


def _compile(tree: Path | None, flags: tuple[str, ...], names: tuple[str, ...]) -> dict[str, bytes]:
    if tree:  # else bcc looks where distributions put headers
        os.environ["BCC_KERNEL_SOURCE"] = str(tree)  # noqa: TID251  # bcc reads it; this process is the loader's own
    sys.path.append(_DISTRIBUTION_PACKAGES)
    try:
        from bcc import BPF  # late: 74 MB, and absent on hosts that doctor still has to run on
    except ImportError as problem:
        raise KernelRefused("bcc is missing: apt-get install python3-bpfcc") from problem
    text = (sources() / "observe.c").read_text()
    quiet = ("-w", "-Wno-macro-redefined", "-Wno-microsoft-anon-tag", "-fms-extensions")
    try:
        module = BPF(text=text, cflags=[f"-I{sources()}", *quiet, *flags])
    except Exception as problem:
        raise KernelRefused(f"bcc could not compile the programs: {problem}") from problem
    return {name: module.dump_func(name) for name in names}
