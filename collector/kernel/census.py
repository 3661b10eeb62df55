"""Cookies for sockets older than the watch: a sock_diag dump makes the kernel give each TCP socket its cookie.

Rungs without typed sockets read the cookie from the socket and cannot make one. Every network namespace is asked.
"""

import ctypes
import os
import socket
from pathlib import Path
from typing import Final

from collector.kernel.errors import KernelRefused

_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def give_cookies() -> int:
    """Dump all TCP sockets of all network namespaces; return how many there were. Raises KernelRefused."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        return sum(_in_namespace(path) for path in _namespaces())
    finally:
        _libc.setns(home, _CLONE_NEWNET)
        os.close(home)


def _namespaces() -> list[Path]:
    found: dict[int, Path] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            path = process / "ns/net"
            try:
                found.setdefault(path.stat().st_ino, path)
            except OSError:
                continue
    return list(found.values())


def _in_namespace(path: Path) -> int:
    from pyroute2 import DiagSocket  # late: only rungs 3 and 4 need it

    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return 0  # its last process has gone
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET):
            return 0
        with DiagSocket() as diag:
            diag.bind()
            return sum(len(list(diag.get_sock_stats(family=family))) for family in (socket.AF_INET, socket.AF_INET6))
    except OSError as problem:
        raise KernelRefused(f"sock_diag: {problem}") from problem
    finally:
        os.close(descriptor)
