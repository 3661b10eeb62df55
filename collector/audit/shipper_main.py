"""The shipper as a process, `python -m collector.audit.shipper_main FD`, started before the collector gives up root.

It alone knows the store's credentials and the signing key; what parses hostile bytes is another process. It ends when
the collector closes the archive, or at once when the collector is gone: everything is on disk.
"""

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from collector.audit.errors import AuditProblem
from collector.audit.settings import ArchiveSettings
from collector.audit.shipper import Shipper
from collector.audit.spool_files import SpoolFiles
from collector.audit.stamps import rfc3339
from collector.audit.stores.opening import open_store

_EVERY_S: Final = 0.25
_PR_SET_DUMPABLE: Final = 4
_MESSAGE: Final = 1 << 16


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the collector may ask for."""

    close_within_s: float


class First(msgspec.Struct, frozen=True, kw_only=True):
    """What the collector says first: its settings, and the AWS variables of its environment."""

    settings: ArchiveSettings
    environment: dict[str, str]


class _Line:
    """The connection to the collector."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._last = b""

    def receive(self) -> bytes:
        """Return the next message; b"" where the collector is gone, however it went."""
        try:
            return self._socket.recv(_MESSAGE)
        except ConnectionResetError:  # it left what we told it unread
            return b""

    def wait(self, seconds: float) -> Order | None:
        """Wait for an order; the collector's end ends this process."""
        ready, _, _ = select.select([self._socket], [], [], seconds)
        if not ready:
            return None
        data = self.receive()
        if not data:
            os._exit(0)  # whatever an upload thread is doing, the next run compares it
        return msgspec.json.decode(data, type=Order)

    def tell(self, status: object) -> None:
        data = msgspec.json.encode(status)
        if data != self._last:
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                self._socket.send(data, socket.MSG_DONTWAIT)
                self._last = data


def _log(event: str, **fields: Any) -> None:
    """One JSON line on stderr."""
    line = {"timestamp": rfc3339(time.time_ns()), "logger": "collector.audit.shipper", "event": event, **fields}
    os.write(2, msgspec.json.encode(line) + b"\n")


def _become(uid: int, gid: int) -> None:
    """Give up root; nobody of the same user may look into this process."""
    if os.geteuid() == 0 and uid:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _locked(files: SpoolFiles, line: _Line) -> int:
    """Wait for the shipper of a run before, if there is one still."""
    while True:
        try:
            files.make()
            return files.lock("ship.lock", whose="shipper")
        except AuditProblem as problem:
            line.tell({"problem": str(problem)})
        except OSError as problem:
            line.tell({"problem": f"the spool cannot be used: {problem}"})
        line.wait(_EVERY_S)


def _shipper(files: SpoolFiles, first: First, line: _Line) -> Shipper:
    """Open store and key; where that fails, say so and try again: a person may mend it meanwhile."""
    settings = first.settings
    store = open_store(settings.store, first.environment)
    key = Path(settings.signing_key).read_bytes() if settings.signing_key else b""
    _become(*settings.account)
    _locked(files, line)
    return Shipper(files, store, settings, key=key, tell=_log)


def _opened(files: SpoolFiles, first: First, line: _Line) -> Shipper:
    while True:
        try:
            return _shipper(files, first, line)
        except (AuditProblem, OSError) as problem:
            fix = getattr(problem, "fix", "")
            line.tell({"problem": str(problem), "fix": fix})
            _log("archive cannot be shipped", problem=str(problem), fix=fix)
        if line.wait(first.settings.retry_seconds):
            sys.exit(1)


def main() -> None:
    """Ship until told to close."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the collector says when to end
    line = _Line(int(sys.argv[1]))
    first = msgspec.json.decode(line.receive(), type=First)
    shipper = _opened(SpoolFiles(Path(first.settings.spool)), first, line)
    gc.collect()
    gc.freeze()
    ends = None
    while True:
        more = shipper.step(closing=ends is not None)
        line.tell(shipper.shipped)
        if ends is not None and (time.monotonic() > ends or shipper.idle):
            os._exit(0 if shipper.idle else 1)
        order = line.wait(0 if more else _EVERY_S if ends is None else 0.02)
        if order:
            ends = time.monotonic() + order.close_within_s


if __name__ == "__main__":
    main()
