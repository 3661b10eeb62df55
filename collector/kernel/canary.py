"""The proof that a rung fires: a known request and response over loopback, looked for in the ring."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Final

from collector.domain.observed import Direction, Moved
from collector.kernel.ring import Ring

_REQUEST: Final = b"GET /canary HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: netscope-canary\r\n\r\n"
_RESPONSE: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_DEADLINE_NS: Final = 300_000_000
_PAIRS: Final = 3000


@contextlib.contextmanager
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=1) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            yield client, accepted


def sing(ring: Ring) -> str:
    """Send both ways and read the ring; return "" where everything was seen as it was, else what was not."""
    with _pair() as (client, accepted):
        client.sendall(_REQUEST)
        accepted.recv(4096)
        accepted.sendall(_RESPONSE)
        client.recv(4096)
    wanted = {(Direction.SENT, _REQUEST), (Direction.RECEIVED, _REQUEST), (Direction.SENT, _RESPONSE)}
    wanted.add((Direction.RECEIVED, _RESPONSE))
    deadline = time.monotonic_ns() + _DEADLINE_NS
    while wanted and time.monotonic_ns() < deadline:
        for record in ring.drain():
            if isinstance(record, Moved) and record.pid == os.getpid():
                wanted.discard((Direction(record.direction), record.payload))
        time.sleep(0.001)
    return "" if not wanted else f"{len(wanted)} of 4 known calls were not recorded as they were"


def pair_cost_ns() -> float:
    """Return the time that one small send and its receive take now: the best of several runs, nanoseconds."""
    best = float("inf")
    with _pair() as (client, accepted):
        for _ in range(5):
            started = time.perf_counter_ns()
            for _ in range(_PAIRS // 5):
                client.send(b"0123456789abcdef")
                accepted.recv(64)
            best = min(best, (time.perf_counter_ns() - started) / (_PAIRS // 5))
    return best
