"""The service under load: REST latency and CPU at 5,000 exchanges/s, memory, fan-out, kernel to client."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collector.kernel import canary
from tests.support.figures import measured, write
from tests.support.listeners import Listeners
from tests.support.serving import Service
from tests.support.steady import COMM, traffic
from tests.support.watching import Watch

COMMAND = "python -m tests.bench.api.bench_api"
EXCHANGES = 5_000  # a second, as the observer tells them: each end is one
FOLDER = Path(tempfile.mkdtemp(prefix="netscope-bench-"))
FOLDER.chmod(0o755)  # the service is nobody in particular
ENVIRONMENT = {
    "NETSCOPE_REQUESTS_PER_MINUTE": "1000000", "NETSCOPE_AUDIT": "on", "NETSCOPE_AUDIT_SPOOL": str(FOLDER / "spool"),
    "NETSCOPE_AUDIT_DIRECTORY": str(FOLDER / "archive"),
}  # fmt: skip
ROUTES = (
    "/health/ready", "/v1/metrics/network?window=10s", "/v1/resilience/state", "/v1/exchanges?limit=100",
    "/v1/exchanges?status>=500&limit=100", "/v1/losses", "/v1/invariants", "/v1/connections",
)  # fmt: skip
WINDOWS, WINDOW_S = 6, 2
FIGURES = []
LOAD_BEFORE = os.getloadavg()[0]


def busy():
    """What else the machine did, where it was more than this."""
    load, cpus = LOAD_BEFORE, os.cpu_count()
    return f"; other work ran at the same time (load {load:.0f} on {cpus} CPUs before)" if load > cpus else ""


def figure(name, value, unit, target, method, **more):
    FIGURES.append(measured(COMMAND, name, value, unit, target, method=method + busy(), **more))


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def ask(connection, path):
    began = time.perf_counter()
    connection.request("GET", path)
    connection.getresponse().read()
    return (time.perf_counter() - began) * 1000


def p95(values):
    return statistics.quantiles(values, n=20)[-1]


def cpu_per_exchange(service):
    """Microseconds over one window."""
    seen, used = told(service), cpu_s(service.process.pid)
    time.sleep(WINDOW_S)
    return (cpu_s(service.process.pid) - used) / (told(service) - seen) * 1e6


def told(service):
    return sum(service.json("/v1/losses")["exchanges"].values())


@contextlib.contextmanager
def bare():
    """A bare uvicorn application, asked at the same moments: what the machine itself costs then."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "tests.bench.api.bare:app", "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen([*command, "--lifespan", "off"])
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait()


def rest_and_cost():
    """One client asks every route in turn, 20 questions a second, while 5,000 exchanges a second pass."""
    with Service("--comm", COMM, env=ENVIRONMENT) as service, bare() as least:
        pid = service.process.pid
        connection = http.client.HTTPConnection("127.0.0.1", service.port)
        baseline = []
        with traffic(EXCHANGES // 2, 17 + WINDOWS * WINDOW_S, "bench-rest.test") as running:
            time.sleep(3)
            seen, used, began = told(service), cpu_s(pid), time.monotonic()
            found = {path: [] for path in ROUTES}
            while time.monotonic() - began < 12:
                for path in ROUTES:
                    found[path].append(ask(connection, path))
                    baseline.append(ask(least, "/"))
                    time.sleep(0.05)
            asked_s = time.monotonic() - began
            cpu_while_asked = (cpu_s(pid) - used) / (told(service) - seen) * 1e6
            rate = (told(service) - seen) / asked_s
            windows = [cpu_per_exchange(service) for _ in range(WINDOWS)]
            memory = resident_mib(pid)
            running.wait()
        lost = service.json("/v1/losses")["records"]["lost"]
        connection.close()
    every = [value for values in found.values() for value in values]
    method = f"8 routes in turn on one connection, 20/s, while {rate:.0f} exchanges/s are observed; {lost} records lost; baseline: a bare uvicorn application asked at the same moments"
    figure("REST p95 under 5,000 exchanges/s", p95(every), "ms", 5, method, baseline=round(p95(baseline), 2))
    for path, values in found.items():
        figure(f"REST p95, {path}", p95(values), "ms", None, method)
    figure(
        "CPU of the service per exchange, everything on",
        min(windows),
        "us",
        25,
        f"user and system time of the process at {rate:.0f} exchanges/s, archive included; least of {WINDOWS} windows of {WINDOW_S} s: what others do on the same core costs us caches",
        baseline=round(statistics.median(windows), 2),
    )
    figure("CPU of the service per exchange, while asked", cpu_while_asked, "us", None, method)
    figure("resident memory of the service", memory * 1.048576, "MB", 90, "VmRSS at the end of that")


def fan_out():
    """450 clients that read and 50 that do not, 2,000 events/s."""
    environment = {**ENVIRONMENT, "NETSCOPE_RECENT_BYTES": str(48 << 20)}
    with tempfile.TemporaryDirectory() as folder, Service("--comm", COMM, env=environment) as service:
        pid = service.process.pid
        with Listeners(Path(folder), service, healthy=450, stalled=50, path="/v1/feed?host=bench-feed.test") as clients:
            memory, used, began = resident_mib(pid), cpu_s(pid), time.monotonic()
            with traffic(1_000, 8, "bench-feed.test") as running:
                running.wait()
            report = clients.report()
            busy, took = cpu_s(pid) - used, time.monotonic() - began
            delivered = sum(one["delivered"] for one in report["clients"])
            grown = resident_mib(pid) - memory
    short = sum(one["missed"] > 0 for one in report["clients"][:450])
    method = "450 reading and 50 stalled clients, 2,000 events/s of 1.0 KB for 8 s, clients in C on the same 2 CPUs"
    figure(
        "feed fan-out on one core",
        delivered / busy,
        "client-events/s",
        200_000,
        f"{method}; per CPU second",
        at_least=True,
    )
    figure("feed fan-out reached", delivered / took, "client-events/s", None, method)
    figure("healthy clients that missed something", short, "clients", 0, method)
    figure(
        "kernel to client, p99, 500 clients",
        report["p99_us"] / 1000,
        "ms",
        100,
        f"{method}; end of exchange to frame read",
    )
    figure("memory that 500 clients and 2,000 events/s add", grown, "MiB", None, method)
    with (
        tempfile.TemporaryDirectory() as folder,
        Service("--comm", COMM, env=ENVIRONMENT) as service,
        Listeners(Path(folder), service, healthy=20, path="/v1/feed?host=bench-feed.test") as clients,
    ):
        with traffic(1_000, 6, "bench-feed.test") as running:
            running.wait()
        report = clients.report()
    figure(
        "kernel to client, p99, 20 clients", report["p99_us"] / 1000, "ms", 100, "20 clients, 2,000 events/s for 6 s"
    )


def timing():
    """What it adds to a send and receive that the kernel times the programs: on and off by turns."""
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    Path("/proc/self/comm").write_text("bench-timing")
    spent = {"0": [], "1": []}
    try:
        with Watch("--comm", "bench-timing") as watch:
            for _ in range(40):
                for state, costs in spent.items():
                    switch.write_text(state)
                    costs.append(canary.pair_cost_ns())
            switch.write_text("0")
            watch.stop()
    finally:
        switch.write_text(before)
    off, on = (min(costs) for costs in spent.values())
    figure(
        "what timing the programs adds to a send and receive", on - off, "ns", None,
        "kernel.bpf_stats_enabled off and on by turns, 40 times each, the least of each; both ends observed", baseline=round(off),
    )  # fmt: skip


def main():
    try:
        timing()
        rest_and_cost()
        fan_out()
    finally:
        shutil.rmtree(FOLDER)
    write("api", FIGURES)


if __name__ == "__main__":
    main()
