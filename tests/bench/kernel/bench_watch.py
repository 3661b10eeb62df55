"""A whole watch as users run it: time to ready, memory of all processes, kernel to stdout, full-speed HTTP, the observed client."""

import json
import os
import re
import statistics
import subprocess
import time
from functools import partial

from tests.support.figures import measured, write
from tests.support.sockets import exchange, request, response, tcp_pair
from tests.support.watching import Watch

COMMAND = "python -m tests.bench.kernel.bench_watch"
figure = partial(measured, COMMAND)


def resident_kib(pid):
    family = [
        pid,
        *map(
            int, subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
        ),
    ]
    total = 0
    for one in family:
        text = open(f"/proc/{one}/status").read()
        total += int(re.search(r"VmRSS:\s+(\d+)", text)[1])
    return total


def start_times():
    times = []
    for _ in range(5):
        started = time.monotonic()
        watch = Watch("--pid", os.getpid())
        times.append(time.monotonic() - started)
        watch.stop()
        watch.__exit__(None)
    return times


def latencies(watch, count=500):
    """Milliseconds from the end of an exchange to its line on stdout."""
    found = []
    lines = watch.process.stdout
    with tcp_pair() as (client, server):
        for number in range(count):
            exchange(client, server, request(f"/{number}"), response())
            ended = time.monotonic()
            lines.readline()
            lines.readline()  # both ends
            found.append((time.monotonic() - ended) * 1000)
    return found


def main():
    figures = [
        figure("start to ready, warm cache", statistics.median(start_times()), "s", 1.5, method="median of 5 starts")
    ]
    watch = Watch("--pid", os.getpid())
    found = sorted(latencies(watch))
    method = "500 exchanges one after another, both ends watched, until both lines are read"
    figures.append(figure("kernel to stdout, p99", found[int(len(found) * 0.99)], "ms", 30, method=method))
    figures.append(
        figure(
            "resident memory of all processes", resident_kib(watch.process.pid) / 1024, "MiB", 70,
            method="VmRSS of collector and broker after 1,000 exchanges; the ring's 16 MiB of mappings included",
        )
    )  # fmt: skip
    watch.process.terminate()
    rest = watch.process.stdout.read().splitlines()
    assert json.loads(rest[-1])["lost"] == {}
    watch.process.wait()
    write("watch", figures)


if __name__ == "__main__":
    main()
