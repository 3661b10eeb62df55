"""A known exchange through the whole way, at the start of a service: a child talks to itself over loopback.

The loader's canary proves the programs; this one proves that what they record arrives, is understood and is told.
It is forked while the collector is small and root, becomes the collector's user, and waits for our word.
"""

import contextlib
import os
import secrets
import signal
import socket
import time
from typing import Final, NoReturn

from collector.domain.events import Exchange
from collector.domain.watching import Told
from collector.kernel import privileges

_STATUS: Final = 204
_EXPECTED: Final = 4  # the exchange and its connection, from both ends


class SelfTest:
    """A child that waits, and what was heard of it."""

    def __init__(self, user: str) -> None:
        self._token = f"netscope-canary-{secrets.token_hex(8)}"
        held, self._release = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._release)
            _live(held, self._token, user)
        os.close(held)
        self.exchanges = 0  # heard
        self._connections: set[int] = set()
        self._ended = 0
        self._reaped = False

    def release(self) -> None:
        """Let it speak."""
        os.write(self._release, b"\n")
        os.close(self._release)

    @property
    def passed(self) -> bool:
        """Tell whether both ends of its exchange came through."""
        return self.exchanges == _EXPECTED // 2

    @property
    def over(self) -> bool:
        """Tell whether everything of it was heard: what still comes is somebody else's."""
        return self.exchanges + self._ended >= _EXPECTED

    def is_foreign(self, event: Told) -> bool:
        """Take note of the child's own events; tell whether an event is somebody else's."""
        if self.over:
            return True
        if isinstance(event, Exchange):
            if event.request_id != self._token:
                return True
            self.exchanges += event.status_code == _STATUS
            self._connections.add(event.connection_id)
            return False
        self._ended += event.connection_id in self._connections
        return event.connection_id not in self._connections

    def reap(self) -> None:
        """Collect the child where it has ended."""
        if not self._reaped:
            with contextlib.suppress(ChildProcessError):
                self._reaped = bool(os.waitpid(self.pid, os.WNOHANG)[0])


def _live(held: int, token: str, user: str) -> NoReturn:
    status = 1
    with contextlib.suppress(OSError):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        privileges.become(*privileges.account(user))
        privileges.die_with_parent(signal.SIGKILL)
        if os.read(held, 1):
            _speak(token.encode())
        status = 0
    os._exit(status)


def _speak(token: bytes) -> None:
    request = b"GET /canary HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: " + token + b"\r\n\r\n"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=2) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            client.sendall(request)
            accepted.recv(4096)
            accepted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            client.recv(4096)
    time.sleep(0.05)  # while the sockets' last records name us
