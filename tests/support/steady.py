"""Traced exchanges at a steady rate over raw loopback connections, from a process of its own; each gives two events.

`python -m tests.support.steady RATE SECONDS CONNECTIONS HOST COMM` prints what it did. HOST tells its exchanges from others.
"""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.serving import ROOT
from tests.support.sockets import tcp_pair

COMM = f"steady-{os.getpid()}"  # the traffic's process gets this name: `--comm` of it observes nothing else
_TICK_S = 0.01


def run(rate, seconds, connections, host):
    """Make `rate` exchanges a second; return (made, seconds it took)."""
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(tcp_pair()) for _ in range(connections)]
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        started = time.monotonic()
        made = 0
        while (now := time.monotonic() - started) < seconds:
            for _ in range(int(now * rate) - made):
                client, server = pairs[made % connections]
                made += 1
                ask = b"GET /orders/%d HTTP/1.1\r\nHost: %b\r\ntraceparent: 00-%032x-00f067aa0ba902b7-01\r\n\r\n" % (
                    made % 1000,
                    host,
                    made,
                )
                client.sendall(ask)
                server.recv(4096)
                server.sendall(answer)
                client.recv(4096)
            time.sleep(_TICK_S)
        return made, time.monotonic() - started


@contextlib.contextmanager
def traffic(rate, seconds, host, connections=8):
    """The same in another process; `.wait()` it, then it is over."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.steady", str(rate), str(seconds), str(connections), host, COMM],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    Path("/proc/self/comm").write_text(sys.argv[5])
    made, took = run(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode())
    print(f"{made} {took:.3f}")
