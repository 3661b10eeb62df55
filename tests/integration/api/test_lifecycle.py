"""Start, readiness, privileges, coherence and end of the service, on the real kernel."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.serving import ROOT, Service
from tests.support.sockets import exchange, request, response, tcp_pair, trace_id


def test_the_ready_line_names_the_address_and_the_canary_came_through():
    with Service() as running:
        line = next(one for one in running.stderr.splitlines() if one.startswith("observing"))
        assert line.endswith(f"at http://127.0.0.1:{running.port}")
        ready = running.json("/health/ready")
        assert ready["status"] == "pass"
        assert ready["checks"]["canary:passed"][0]["observedValue"] == "passed"


def canary_of(service):
    """The process ID of the service's canary: the second child that it forks, after the broker."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
        forked = [int(one) for one in children if b"loader" not in Path(f"/proc/{one}/cmdline").read_bytes()]
        if len(forked) == 2:
            return forked[1]
        time.sleep(0.002)
    raise AssertionError(service.read())


def test_not_ready_until_the_canary_has_come_through():
    """The canary is stopped before it sings: its exchange is yet to come, and the answer says so."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Service(listen=f"127.0.0.1:{port}", wait=False) as running:
        running.port = port
        canary = canary_of(running)
        os.kill(canary, signal.SIGSTOP)
        status, headers, body = answer_of(running, "/health/ready")
        found = json.loads(body)
        assert (status, headers["content-type"], found["status"]) == (503, "application/health+json", "fail")
        assert "has not come through yet" in found["output"]
        assert running.get("/health/live")[0] == 200
        assert "observing" not in running.read()
        os.kill(canary, signal.SIGCONT)
        running.await_said("^observing")
        assert running.get("/health/ready")[0] == 200


def answer_of(service, path):
    deadline = time.monotonic() + 20
    while True:
        try:
            return service.get(path)
        except OSError:
            assert time.monotonic() < deadline, service.read()
            time.sleep(0.01)


def test_what_parses_bytes_and_serves_has_no_privilege_in_any_thread():
    with Service() as running:
        threads = list(Path(f"/proc/{running.process.pid}/task").iterdir())
        assert len(threads) >= 2
        for thread in threads:
            status = (thread / "status").read_text()
            assert not re.search(r"^Uid:\t0\b", status, re.MULTILINE)
            assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE), status
            assert re.search(r"^CapPrm:\t0+$", status, re.MULTILINE)
            assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
        # the broker puts the others into the background and back; who answers people stays what it is
        for _ in range(10):
            policies = [os.sched_getscheduler(int(thread.name)) for thread in threads]
            assert policies.count(os.SCHED_OTHER) == 1
            time.sleep(0.03)


def test_a_low_port_is_bound_before_root_is_given_up():
    with Service(listen="127.0.0.1:83") as running:
        assert running.port == 83
        assert running.get("/health/live")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_well(number):
    with Service("--pid", os.getpid()) as running:
        assert running.stop(number) == 0
    (ended,) = running.logged("ended")
    assert ended["records"]["lost"] == 0


def test_a_duration_ends_it():
    with Service("--duration", 1, "--pid", os.getpid()) as running:
        assert running.process.wait(20) == 0
        assert running.logged("ended")


@pytest.mark.parametrize("closed", ["before it is ready", "while it serves"])
def test_nobody_reading_its_words_stops_nothing(closed):
    """A stderr that nobody reads any more: the service answers and ends as always."""
    ours, theirs = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "collector", "run", "--listen", f"127.0.0.1:{port}", "--log-level", "debug"]
    process = subprocess.Popen([*command, "--pid", str(os.getpid())], cwd=ROOT, stderr=theirs)
    os.close(theirs)
    running = Service.__new__(Service)
    running.port, running.process, running.read = port, process, lambda: ""
    try:
        if closed == "before it is ready":
            os.close(ours)
        assert answer_of(running, "/health/live")[0] == 200
        ready = time.monotonic() + 20
        while running.get("/health/ready")[0] != 200:
            assert time.monotonic() < ready
            time.sleep(0.02)
        if closed == "while it serves":
            os.close(ours)
        for _ in range(50):
            assert running.get("/nothing")[0] == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_a_port_in_use_ends_it_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = Service(listen=f"127.0.0.1:{taken.getsockname()[1]}", wait=False)
        assert running.process.wait(20) == 1
        assert "Address already in use" in running.read()
        running.process.stderr.close()


def test_the_log_level_changes_while_it_runs():
    with Service() as running:
        running.get("/health/live")
        assert running.logged("request_served") == []
        running.process.send_signal(signal.SIGUSR1)
        running.await_said('"log_level_changed"')
        running.get("/health/live", headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
        running.await_said('"request_served".*"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"')


def test_every_answer_carries_its_identity_and_the_security_headers():
    with Service() as running:
        for path in ("/health/live", "/nothing", "/v1/exchanges?limit=x"):
            _, headers, _ = running.get(path, headers={"X-Request-ID": "mine-1"})
            assert headers["x-request-id"] == "mine-1"
            assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceresponse"])
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "server" not in headers
        assert running.get("/health/live", headers={"X-Request-ID": "bad id"})[1]["x-request-id"] != "bad id"


def test_kernel_counts_equal_exchanges_equal_metrics():
    """Traffic of every kind between this process's sockets; afterwards all counts agree, and with what was done."""
    done = {"answered": 0, "untraced": 0}
    with Service("--pid", os.getpid()) as running:
        for number in range(100):
            with tcp_pair() as (client, server):
                for status in (200, 404, 503, 200):
                    traced = number % 4 > 0
                    ask = request(f"/things/{number}", trace=trace_id() if traced else None, body=b"{}", method="POST")
                    exchange(client, server, ask, response(status=status, body=b"x" * (number * 37)))
                    done["answered"] += 2
                    done["untraced"] += 0 if traced else 2
        # asking for the counts is not observed work of its own: each question's exchange is in the totals by then
        losses = running.until("/v1/losses", lambda found: settled(found, done["answered"]))
        metrics = running.json("/metrics/network?window=5m")
        invariants = {one["id"]: one for one in running.json("/v1/invariants")["invariants"]}
        kept = running.json("/v1/exchanges?route=/things/{id}&limit=500")
        # each end of an exchange sends once and receives once, at least; the programs' runs are asked for once a second
        text = text_when(
            running, lambda found: sum(samples(found, "netscope_probe_runs_total").values()) >= done["answered"]
        )
        assert running.stop() == 0
    measured = metrics["client"]["exchanges"] + metrics["server"]["exchanges"]
    assert sum(losses["exchanges"].values()) <= measured <= sum(losses["exchanges"].values()) + 4
    assert losses["kernel"]["exchanges"] == sum(losses["exchanges"].values())
    assert losses["total"] == 0
    assert losses["untraced"]["exchanges"] >= done["untraced"]
    assert all(one["difference"] == 0 for one in losses["balance"])
    assert invariants["I3"]["status"] == "holds"
    assert len(kept["items"]) == 500
    route = [one for one in metrics["routes"] if one["route"] == "/things/{id}"]
    assert sum(one["traffic"]["exchanges"] for one in route) == done["answered"]
    found = re.findall(
        r'^netscope_http_client_requests_total\{.*route="/things/\{id\}".*\} ([0-9.]+)', text, re.MULTILINE
    )
    assert sum(map(float, found)) == done["answered"] / 2
    runs, spent = samples(text, "netscope_probe_runs_total"), samples(text, "netscope_probe_seconds_total")
    assert runs.keys() == spent.keys()
    assert all(0 < spent[program] / number < 0.001 for program, number in runs.items() if number > 100)


def samples(text, name):
    """Program -> value of a metric."""
    found = re.findall(rf'^{name}\{{program="(\w+)"\}} (\S+)$', text, re.MULTILINE)
    return {program: float(value) for program, value in found}


def text_when(running, holds):
    """What Prometheus would get, once it holds."""
    deadline = time.monotonic() + 20
    while not holds(text := running.get("/metrics")[2].decode()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return text


def settled(found, answered):
    told = sum(found["exchanges"].values())
    return (
        told >= answered
        and found["kernel"]["exchanges"] == told
        and all(one["difference"] == 0 for one in found["balance"])
    )
