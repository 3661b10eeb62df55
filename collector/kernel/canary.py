"""The proof that a rung fires: a known request and response over loopback, looked for in the ring."""

import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from collector.domain.observed import Direction, Moved
from collector.kernel.namespaces import has_host_pids
from collector.kernel.request import Filters
from collector.kernel.ring import Ring

_REQUEST: Final = b"GET /canary HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: netscope-canary\r\n\r\n"
_RESPONSE: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_DEADLINE_NS: Final = 300_000_000
_RUNS: Final = 5
_PAIRS: Final = 600  # a run; fewer where that takes longer than:
_RUN_NS: Final = 30_000_000
_FIRST: Final = 20


@contextlib.contextmanager
def _pair(announce: Callable[[int], None] | None = None) -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        if announce:
            announce(server.getsockname()[1])
        with socket.create_connection(server.getsockname(), timeout=1) as client:
            accepted, _ = server.accept()
            with accepted:
                yield client, accepted


def sing(ring: Ring, watch: Callable[[Filters], None]) -> str:
    """Send both ways and read the ring; return "" where exactly that was seen, by the right end, else what was not.

    `watch` puts filters into force: this process alone, or where it has another number than the kernel's, the port.
    """
    own = os.getpid() if has_host_pids() else 0
    with _pair(lambda port: watch(Filters(pids=(own,)) if own else Filters(ports=(port,)))) as (client, accepted):
        ours, theirs = client.getsockname()[1], accepted.getsockname()[1]
        client.sendall(_REQUEST)
        accepted.recv(4096)
        accepted.sendall(_RESPONSE)
        client.recv(4096)
    wanted = Counter(
        (
            (Direction.SENT, ours, _REQUEST),
            (Direction.RECEIVED, theirs, _REQUEST),
            (Direction.SENT, theirs, _RESPONSE),
            (Direction.RECEIVED, ours, _RESPONSE),
        )
    )
    seen: Counter[tuple[Direction, int, bytes]] = Counter()
    deadline = time.monotonic_ns() + _DEADLINE_NS
    while seen.total() < wanted.total() and time.monotonic_ns() < deadline:
        for record in ring.drain():
            if isinstance(record, Moved) and (
                record.caller.pid == own if own else record.caller.local_port in {ours, theirs}
            ):
                seen[Direction(record.direction), record.caller.local_port, record.payload] += 1
        time.sleep(0.001)
    if seen == wanted:
        return ""
    missed, others = (wanted - seen).total(), (seen - wanted).total()
    return f"{missed} of 4 known calls were not recorded as they were, {others} others were"


def pair_cost_ns() -> float:
    """Return the CPU time that one small send and its receive take now: the best of several runs, nanoseconds."""
    with _pair() as (client, accepted):

        def run(pairs: int) -> float:
            started = time.thread_time_ns()
            for _ in range(pairs):
                client.send(b"0123456789abcdef")
                accepted.recv(64)
            return (time.thread_time_ns() - started) / pairs

        pairs = max(_FIRST, min(_PAIRS, int(_RUN_NS / run(_FIRST))))
        return min(run(pairs) for _ in range(_RUNS))
