"""Giving up root: another user, no capability, none to be had again.

capabilities(7), prctl(2). Only ctypes, because the standard library has neither capset nor prctl.
"""

import ctypes
import os
import platform
import pwd
import struct
from typing import Final

from collector.kernel.errors import KernelProblem

CAP_KILL: Final = 5
CAP_SYS_NICE: Final = 23
CAP_BPF: Final = 39

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522
_LAST_CAPABILITY: Final = 63
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}

_libc = ctypes.CDLL(None, use_errno=True)


def account(preferred: str) -> tuple[int, int]:
    """Return (uid, gid) of the preferred user, else of nobody. Raises KernelProblem where neither exists."""
    for name in (preferred, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry.pw_uid, entry.pw_gid
    raise KernelProblem(f"neither user {preferred} nor nobody exists: create one with `adduser --system {preferred}`")


def permitted(capability: int) -> bool:
    """Tell whether this process has the capability."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        held = next(line for line in status if line.startswith("CapPrm:"))
    return bool(int(held.split()[1], 16) >> capability & 1)


def become(uid: int, gid: int, *, keep: tuple[int, ...] = ()) -> None:
    """Turn this process into `uid` with no capability but `keep`, for ever. Raises KernelProblem where it may not."""
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in keep:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # EINVAL above the kernel's last one is fine
    _require(_libc.prctl(_PR_SET_KEEPCAPS, int(bool(keep)), 0, 0, 0), "PR_SET_KEEPCAPS")
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except PermissionError as problem:
        raise KernelProblem(
            "root cannot be given up here: CAP_SETUID or CAP_SETGID is missing"
            " (containers: --cap-add SETUID,SETGID; systemd: CapabilityBoundingSet=)"
        ) from problem
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _set_capabilities(sum(1 << capability for capability in keep))
    _require(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")


def die_with_parent(signal_number: int) -> None:
    """Ask for `signal_number` when the thread that started this process ends."""
    _require(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "PR_SET_PDEATHSIG")


def _set_capabilities(mask: int) -> None:
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0))
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = ctypes.create_string_buffer(struct.pack("<6I", low, low, 0, high, high, 0))
    _require(_libc.syscall(_CAPSET[platform.machine()], header, data), "capset")


def _require(result: int, what: str) -> None:
    if result != 0:
        raise KernelProblem(f"{what}: {os.strerror(ctypes.get_errno())}")
