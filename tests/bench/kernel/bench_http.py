"""Real HTTP, watched and unwatched in turns: an httpx2 client against uvicorn, and wrk against nginx at full speed."""

import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.support.figures import measured, write
from tests.support.sockets import exchange, request, response, tcp_pair
from tests.support.watching import Watch

COMMAND = "python -m tests.bench.kernel.bench_http"
figure = partial(measured, COMMAND)
TURNS = 24
REQUESTS = 1_000
UNWATCHED, AGAIN, WATCHED = "unwatched", "unwatched again", "watched"
SETTLED_S = 0.3  # what starts it is another figure
CLIENT = """
import asyncio, httpx2, json, sys, time
async def main():
    times = []
    async with httpx2.AsyncClient(base_url="http://127.0.0.1:%d", trust_env=False) as client:
        for line in sys.stdin:
            times.clear()
            started = time.perf_counter()
            for n in range(%d):
                t = time.perf_counter()
                await client.get("/x", headers={"traceparent": "00-%%032x-00f067aa0ba902b7-01" %% (n + 1)})
                times.append(time.perf_counter() - t)
            took = time.perf_counter() - started
            times.sort()
            print(json.dumps([times[len(times) // 2], times[len(times) * 99 // 100], len(times) / took]), flush=True)
asyncio.run(main())
"""
SERVER = "import http.server,sys\nclass H(http.server.BaseHTTPRequestHandler):\n    protocol_version='HTTP/1.1'\n    wbufsize=-1\n    def do_GET(self):\n        self.send_response(200); self.send_header('Content-Length','2'); self.end_headers(); self.wfile.write(b'ok')\n    def log_message(self,*a): pass\nhttp.server.ThreadingHTTPServer(('127.0.0.1',%d),H).serve_forever()\n"


def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def turns(port):
    """[{UNWATCHED, AGAIN, WATCHED: (median s, p99 s, requests/s)}], in random order within each turn."""
    server = subprocess.Popen([sys.executable, "-c", SERVER % port])
    time.sleep(0.5)
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT % (port, REQUESTS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def one():
        client.stdin.write("go\n")
        client.stdin.flush()
        return json.loads(client.stdout.readline())

    def watched(output):
        with Watch("--port", port, output=output) as watch:
            time.sleep(SETTLED_S)
            result = one()
            watch.stop()
            assert watch.lost() == {}
        return result

    found = []
    try:
        one()  # warm up
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(TURNS):
                order = random.sample((UNWATCHED, AGAIN, WATCHED), 3)
                found.append({what: watched(f"{folder}/events") if what == WATCHED else one() for what in order})
    finally:
        client.stdin.close()
        client.wait()
        client.stdout.close()
        server.terminate()
        server.wait()
    return found


def ratio(found, what, column):
    """What it comes to in percent of the unwatched, with the half-width of a 95% interval, over turns."""
    logs = [math.log(turn[what][column] / turn[UNWATCHED][column]) for turn in found]
    half = 1.96 * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(statistics.mean(logs)) * 100, half * 100


def client_figures(found):
    """What watching does to a client; not judged where the interval holds the limit, or where the client differs as
    much from itself."""
    method = f"httpx2 client, http.server, {TURNS} turns of {REQUESTS} requests, watched, unwatched and unwatched again in random order; ± is the 95% interval"
    for name, column, limit, sign in (
        ("median latency", 0, 101, 1), ("p99 latency", 1, 103, 1), ("throughput", 2, 99, -1),
    ):  # fmt: skip
        value, half = ratio(found, WATCHED, column)
        itself, noise = ratio(found, AGAIN, column)
        settled = abs(value - limit) > max(half, noise)
        met = value * sign <= limit * sign
        yield figure(
            f"observed client: {name} (±{half:.1f})",
            value,
            "% of unwatched",
            limit,
            met=met,
            settled=settled,
            method=method,
        )
        yield figure(
            f"the same client, unwatched again: {name} (±{noise:.1f})", itself, "% of unwatched", None, method=method
        )


def wrk(port):
    text = subprocess.run(
        ["wrk", "-t1", "-c8", "-d3", f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    ).stdout
    return int(re.search(r"(\d+) requests in", text)[1]), float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def full_speed():
    """(requests/s alone, requests/s watched, requests made, exchanges told, records lost, CPU s of the collector)."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "nginx.conf"
        conf.write_text(
            f"worker_processes 1; daemon off; pid {folder}/pid; error_log /dev/null; events {{}} http {{ access_log off; keepalive_requests 1000000000;"
            f" server {{ listen 127.0.0.1:{port}; location / {{ return 200 'ok'; }} }} }}"
        )
        nginx = subprocess.Popen(["nginx", "-c", conf], stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        try:
            _, alone = wrk(port)
            with Watch("--comm", "nginx", "--port", port, "status>=900") as watch:
                made, watched = wrk(port)
                ticks = Path(f"/proc/{watch.process.pid}/stat").read_text().split()[13:15]
                watch.stop()
                summary = watch.summary
        finally:
            nginx.terminate()
            nginx.wait()
    cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return alone, watched, made, summary["kernel"]["exchanges"], summary["records"]["lost"], cpu


def main():
    figures = list(client_figures(turns(free_port())))
    alone, watched, made, told, lost, cpu = full_speed()
    method = "wrk -t1 -c8 -d3 against nginx (1 worker), server side watched, 2 CPUs shared by all three"
    figures += [
        figure("wrk to nginx: records lost at the default ring", lost, "records", 0, method=method),
        figure(
            "wrk to nginx: kernel's count of exchanges",
            told,
            "exchanges",
            made,
            met=abs(told - made) <= 8,
            method=method,
        ),
        figure(
            "wrk to nginx: requests/s left",
            watched / alone * 100,
            "%",
            None,
            method=method,
            baseline=round(alone),
        ),
        figure(
            "wrk to nginx: CPU of the collector per exchange",
            cpu / max(told, 1) * 1e6,
            "us",
            8,
            method=method,
        ),
    ]
    with tcp_pair() as (client, server):
        exchange(client, server, request("/"), response())
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as cache, Watch("--pid", os.getpid(), env={"NETSCOPE_CACHE": cache}) as watch:
        figures.append(
            figure(
                "start to ready, cold cache",
                time.monotonic() - started,
                "s",
                3,
                method="empty cache: headers from BTF, compile, load, prove",
            )
        )
        watch.stop()
    write("http", figures)


if __name__ == "__main__":
    main()
