"""Real exchanges at a steady rate, each with a trace ID of its own: `python -m tests.support.audit_traffic RATE COMM`.

Two events an exchange, one of either end. A line a second, `made seconds p50_us p99_us`, until stdin ends; then a last
one. Exchanges are due by the clock: what is late is made up for, and counts from when it was due.
"""

import contextlib
import os
import select
import sys
import time

from tests.support.sockets import tcp_pair

CONNECTIONS = 8
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ASK = b"GET /orders/%d HTTP/1.1\r\nHost: orders\r\ntraceparent: 00-%032x-00f067aa0ba902b7-01\r\n\r\n"


def main():
    rate, comm = int(sys.argv[1]), sys.argv[2]
    with open("/proc/self/comm", "w") as name:
        name.write(comm)
    sys.stdin.readline()  # until it is observed
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(tcp_pair()) for _ in range(CONNECTIONS)]
        began = told = time.monotonic()
        made, took = 0, []
        while True:
            due = began + (made + 1) / rate
            if (pause := due - time.monotonic()) > 0 and select.select([0], [], [], pause)[0]:
                break
            client, server = pairs[made % CONNECTIONS]
            made += 1
            before = time.monotonic()
            client.sendall(ASK % (made % 1000, made))
            server.recv(4096)
            server.sendall(ANSWER)
            client.recv(4096)
            now = time.monotonic()
            took.append(now - before)
            if now - told >= 1:
                say(made, now - began, took)
                told, took = now, []
        say(made, time.monotonic() - began, took or [0.0])


def say(made, seconds, took):
    took.sort()
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    os.write(1, b"%d %.3f %.1f %.1f\n" % (made, seconds, p50 * 1e6, p99 * 1e6))


if __name__ == "__main__":
    main()
