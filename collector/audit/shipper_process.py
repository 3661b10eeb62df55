"""The collector's end of the shipper: starts it, starts it again, hears of it, ends it."""

import contextlib
import socket
import subprocess
import time
from typing import Any, Final

import msgspec

from collector import config as configuration
from collector.audit.children import python
from collector.audit.settings import ArchiveSettings

_MESSAGE: Final = 1 << 16
_SMALL: Final = {  # glibc keeps one heap, and gives back what is free: half of the working memory
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "MALLOC_MMAP_THRESHOLD_": "65536",
}
_PAUSE_S: Final = 1.0  # before a shipper that ended is started again


class ShipperProcess:
    """One shipper at a time."""

    def __init__(self, settings: ArchiveSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._status: dict[str, Any] = {}
        self._started = 0.0
        self._closing = False
        self.restarts = 0

    def start(self) -> None:
        """Start it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                python("collector.audit.shipper_main", str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=configuration.environment_with(_SMALL),
            )
        environment = configuration.aws_environment()
        ours.send(msgspec.json.encode({"settings": self._settings, "environment": environment}))
        ours.settimeout(0)
        self._line, self._started = ours, time.monotonic()

    def tend(self) -> None:
        """Start it again where it ended by itself."""
        if self._process is None or self._closing or self._process.poll() is None:
            return
        if time.monotonic() - self._started < _PAUSE_S:
            return
        self.restarts += 1
        if self._line:
            self._line.close()
        self.start()

    @property
    def pid(self) -> int:
        """Return its process ID, or 0."""
        return self._process.pid if self._process else 0

    def status(self) -> dict[str, Any]:
        """Return what it said last."""
        if self._line:
            with contextlib.suppress(OSError):
                while data := self._line.recv(_MESSAGE):
                    self._status = msgspec.json.decode(data)
        return {**self._status, "pid": self.pid, "restarts": self.restarts}

    def close(self, within_s: float) -> bool:
        """Ask it to ship what is there and to end; tell whether everything is in the store."""
        self._closing = True
        if self._process is None or self._line is None:
            return False
        with contextlib.suppress(OSError):
            self._line.send(msgspec.json.encode({"close_within_s": within_s}))
        try:
            code = self._process.wait(within_s + 0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()  # it is waiting for the store; the spool keeps what is not there
            code = self._process.wait()
        self.status()
        self._line.close()
        return code == 0
