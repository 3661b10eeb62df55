"""What the collector concludes from the wire beside what the worker says of itself, in a run with scripted faults.

The worker is the pipeline's, unmodified, on the embedded broker; the collector observes its process from the kernel.
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.serving import Service

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60
MAX_IN_FLIGHT = 8
ATTEMPT_TIMEOUT_S = 1.5  # far above what a busy machine delays an answer by
SERVICE = "pipeline.cli"  # as the worker's process is named

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]


def call(url, method="GET", body=None):
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


@contextlib.contextmanager
def pipeline(*words):
    """`pipeline WORDS`, with what its first line says."""
    process = subprocess.Popen([sys.executable, "-m", "pipeline.cli", *words], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        yield process, json.loads(process.stdout.readline() or b"{}")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


class Worker:
    """The worker's own figures, asked for again and again, each with the time."""

    def __init__(self, url):
        self.url = url + "/resilience"
        self.told = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self._stop.wait(0.03):
            with contextlib.suppress(OSError):
                before = time.time()
                found = call(self.url)
                self.told.append((before, time.time(), found))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        self._thread.join()

    def now(self):
        return call(self.url)

    def opened(self):
        """When the circuit opened: the moments at which its counter grew."""
        return [
            after
            for (_, _, earlier), (_, after, later) in zip(self.told, self.told[1:], strict=False)
            if later["circuit_opened_total"] > earlier["circuit_opened_total"]
        ]

    def closed(self):
        """When it closed again."""
        return [
            after
            for (_, _, earlier), (_, after, later) in zip(self.told, self.told[1:], strict=False)
            if later["circuit"] == "closed" != earlier["circuit"]
        ]


def until(check):
    deadline, last = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < deadline:
        if last := check():
            return last
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE_S} s: {last}")


def seconds(stamp):
    return datetime.fromisoformat(stamp).timestamp()


@pytest.fixture(scope="module")
def run():
    topics = ("--topic", "ingress", "--topic", "ingress.dead-letter", "--topic", "ingress.parked")
    with contextlib.ExitStack() as stack:
        _, broker = stack.enter_context(pipeline("broker", *topics))
        _, api = stack.enter_context(pipeline("external-api", "--port", "0", "--control-port", "0"))
        process, places = stack.enter_context(
            pipeline(
                "worker", "--kafka-bootstrap-servers", broker["bootstrap_servers"], "--api-url", api["url"], "--worker-metrics-port", "0",
                "--worker-log-level", "error", "--worker-ready-line", "--call-attempt-timeout-s", str(ATTEMPT_TIMEOUT_S),
                "--call-max-in-flight", str(MAX_IN_FLIGHT), "--rounds-max", "1", "--breaker-slow-call-s", "1.4",
            )
        )  # fmt: skip
        service = stack.enter_context(
            Service(
                "--pid",
                process.pid,
                env={
                    "NETSCOPE_REQUESTS_PER_MINUTE": "1000000",
                    "NETSCOPE_WORKERS": f"{SERVICE}={places['metrics_url']}/resilience",
                },
            )
        )
        worker = stack.enter_context(Worker(places["metrics_url"]))
        yield Run(api, worker, service, broker["bootstrap_servers"])


class Run:
    def __init__(self, api, worker, service, servers):
        self.host = api["url"].removeprefix("http://")
        self.control = api["control_url"]
        self.worker, self.service, self.servers = worker, service, servers

    def script(self, *faults, median_ms=5):
        call(
            self.control + "/script",
            "PUT",
            {"seed": 7, "routes": {"*": {"latency": {"median_ms": median_ms}, "faults": faults}}},
        )

    def seen(self):
        found = self.service.json("/v1/resilience/state")["destinations"]
        return next((one for one in found if one["destination"] == self.host), None)

    @contextlib.contextmanager
    def load(self):
        """40 records a second; at the end the worker has dealt with all of them."""
        words = ("load", "--bootstrap-servers", self.servers, "--rate", "40", "--duration", "0", "--poison", "0")
        process = subprocess.Popen([sys.executable, "-m", "pipeline.cli", *words], cwd=ROOT, stdout=subprocess.PIPE)
        try:
            yield
        finally:
            process.terminate()
            produced = json.loads(process.communicate(timeout=30)[0] or b"{}").get("acknowledged", 0)
        until(lambda: sum(self.records().values()) >= self.ended + produced)
        self.ended += produced

    ended = 0

    def records(self):
        records = self.worker.now()["records"]
        return {name: records[name] for name in ("succeeded", "dead_lettered", "parked")}

    def settled(self):
        """What both say once all exchanges have been told."""
        own = self.worker.now()
        return own, until(lambda: (seen := self.seen())["attempts_total"] >= own["attempts_total"] and seen)


def test_1_attempts_retries_and_timeouts_equal_the_workers_own(run):
    worker = run.worker
    run.script({"kind": "status", "share": 0.12, "status": 503}, {"kind": "hang", "share": 0.03})
    with run.load():
        until(lambda: worker.now()["timeouts_total"] >= 5 and worker.now()["retries_total"] >= 15)
    own, seen = run.settled()
    figures = ("attempts_total", "retries_total", "timeouts_total")
    assert {name: seen[name] for name in figures} == {name: own[name] for name in figures}
    assert seen["timeout"]["timeout_ms"] == pytest.approx(ATTEMPT_TIMEOUT_S * 1000, rel=0.06)
    assert seen["retries_by_reason"].keys() == {"503", "timeout"}
    assert seen["circuit"]["state"] == own["circuit"] == "closed"
    assert seen["circuit"]["opened_total"] == own["circuit_opened_total"] == 0
    # and side by side: the worker's own word is there, and no difference that timing would not explain
    compared = run.service.until("/v1/resilience/state", lambda found: found["compared"] >= 12)
    assert compared["disagreed"] == 0
    reported = until(
        lambda: (beside := run.seen()["reported"]) and beside["attempts_total"] == own["attempts_total"] and beside
    )
    assert reported["circuit"] == "closed"


def test_2_every_change_of_the_circuit_is_dated_within_a_second(run):
    worker = run.worker
    with run.load():
        run.script({"kind": "status", "share": 1.0, "status": 503})
        until(lambda: worker.now()["circuit_opened_total"] >= 3)
        run.script()
        until(lambda: worker.now()["circuit"] == "closed")
        recovered = worker.now()["attempts_total"]
        until(lambda: worker.now()["attempts_total"] >= recovered + 60)
        asked = time.monotonic()
        until(lambda: run.seen()["circuit"]["state"] == "closed")
        noticed_s = time.monotonic() - asked
    own, seen = run.settled()
    assert noticed_s < 1.0  # it reads the kernel's records every 100 ms, and a backlog's 60 attempts may come at once
    transitions = seen["circuit"]["transitions"]
    opened = [seconds(one["at"]) for one in transitions if one["after"] == "open"]
    closed = [seconds(one["at"]) for one in transitions if one["after"] == "closed"]
    assert seen["circuit"]["opened_total"] == own["circuit_opened_total"], (transitions, worker.opened())
    assert opened == pytest.approx(worker.opened(), abs=1.0)
    assert closed == pytest.approx(worker.closed(), abs=1.0)
    assert (seen["attempts_total"], seen["timeouts_total"]) == (own["attempts_total"], own["timeouts_total"])
    time.sleep(3)  # three more reports
    assert {one["figure"] for one in run.seen()["disagreements"]} <= {
        "retries_total"
    }  # a later round is a retry on the wire


def test_3_saturation_equals_the_workers_own(run):
    worker = run.worker
    run.script(median_ms=400)
    with run.load():
        until(lambda: worker.now()["in_flight"] == MAX_IN_FLIGHT)
        seen = until(lambda: (seen := run.seen())["in_flight"] == MAX_IN_FLIGHT and seen)
        assert worker.now()["in_flight"] == MAX_IN_FLIGHT
        assert (seen["saturation_ratio"], worker.now()["saturation"]) == (1.0, 1.0)
        run.script()
    _, seen = run.settled()
    assert seen["in_flight_peak"] == MAX_IN_FLIGHT
    until(lambda: run.seen()["in_flight"] == 0)


def test_4_the_totals_of_kernel_metrics_and_api_balance(run):
    own, seen = run.settled()
    run.worker.stop()
    network = until(
        lambda: (
            (found := run.service.json("/v1/metrics/network?window=1h"))["coverage"]["answered"]
            == found["coverage"]["kernel"]
            and found
        )
    )
    coverage = network["coverage"]
    assert coverage["lost"] == 0
    assert network["client"]["exchanges"] + network["server"]["exchanges"] == coverage["recorded"]
    assert coverage["recorded"] == coverage["answered"] + seen["timeouts_total"]
    assert seen["attempts_total"] == sum(
        one["traffic"]["exchanges"] for one in network["peers"] if one["peer"] == run.host
    )
    books = call(run.control + "/ledger")
    assert seen["attempts_total"] == own["attempts_total"] == books["arrivals"]
    assert seen["retries_total"] == books["arrivals"] - books["keys"]  # the same key again, also in a later round
