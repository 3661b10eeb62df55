"""A real Prometheus scrapes the engine's exposition, keeps its exemplars, and answers queries, rules and alerts."""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from collector.domain.metrics import KernelFacts
from collector.metrics.engine import Engine
from tests.support.exchanges import exchange
from tests.support.serving import Service

RULES = Path(__file__).parents[3] / "packaging/prometheus"
HOSTILE = r"""}\a{"}c#{x="y"}5"""  # an x-trace-id may be any visible ASCII
SECONDS = 1_000_000_000
PATIENCE_S = 60
ELAPSED_MS = (3, 4, 20, 30, 40, 80, 400, 1800)  # of every turn

pytestmark = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="prometheus is not installed (apt-get install prometheus)"
)


class Target:
    """An engine behind HTTP, fed a turn of exchanges before each scrape."""

    def __init__(self):
        self.engine = Engine(version="test")
        self.scrapes = 0
        self.accepted = ""

    def scrape(self, accept):
        self.scrapes += 1
        self.accepted = accept
        now = self.scrapes * SECONDS
        self.engine.record(
            [
                exchange(
                    began_ns=now + number, elapsed_ms=elapsed, trace_id=HOSTILE if number == 1 else f"{self.scrapes:016x}{number:016x}",
                    **({"status_code": 503, "outcome": "http_error"} if number == 0 else {}),
                )
                for number, elapsed in enumerate(ELAPSED_MS)
            ],
            now,
        )  # fmt: skip
        self.engine.tick(
            now,
            KernelFacts(
                totals={"exchanges": len(ELAPSED_MS) * self.scrapes}, records={"captured": 9, "decoded": 9, "lost": 0}
            ),
        )
        return self.engine.exposition(openmetrics="openmetrics" in accept)


@pytest.fixture
def target():
    found = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = found.scrape(self.headers.get("accept", ""))
            self.send_response(200)
            kind = (
                "application/openmetrics-text; version=1.0.0"
                if "openmetrics" in found.accepted
                else "text/plain; version=0.0.4"
            )
            self.send_header("content-type", f"{kind}; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    found.port = server.server_address[1]
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


class Prometheus:
    def __init__(self, port):
        self.at = f"http://127.0.0.1:{port}/api/v1/"

    def get(self, path, **query):
        with urllib.request.urlopen(f"{self.at}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, expression):
        """The single value of an expression; None where there is none."""
        result = self.get("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def prometheus_of(port_of_target, folder):
    """A Prometheus with the project's rules that scrapes one target every second."""
    port = free_port()
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n"
        f"rule_files: ['{RULES}/recording.yml', '{RULES}/alerts.yml']\n"
        f"scrape_configs: [{{job_name: netscope, static_configs: [{{targets: ['127.0.0.1:{port_of_target}']}}]}}]\n"
    )
    words = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def prometheus(tmp_path, target):
    with prometheus_of(target.port, tmp_path) as found:
        yield found


def eventually(check):
    """The first truthy answer; AssertionError with the last one after the patience is out."""
    until, last = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < until:
        try:
            last = check()
            if last:
                return last
        except OSError as problem:
            last = problem
        time.sleep(0.2)
    raise AssertionError(f"not in {PATIENCE_S} s: {last}")


def test_prometheus_scrapes_and_answers(target, prometheus):
    eventually(
        lambda: target.scrapes >= 8 and (prometheus.value("max_over_time(netscope_exchanges_total[1m])") or 0) >= 48
    )
    assert "openmetrics" in target.accepted
    assert prometheus.value('up{job="netscope"}') == 1

    # quantiles lie in the bucket of the true one
    quantile = "histogram_quantile({}, sum by (le) (rate(netscope_http_client_request_duration_seconds_bucket[1m])))"
    assert 0.025 <= prometheus.value(quantile.format(0.5)) <= 0.05
    assert 1.0 <= prometheus.value(quantile.format(0.99)) <= 2.5
    assert prometheus.value(
        'netscope_http_client_duration_percentile_seconds{percentile="50",window="10s"}'
    ) == pytest.approx(0.030, rel=0.001)

    # recording rules
    expected = {"code": 503, "share": 1 / len(ELAPSED_MS)}
    found = eventually(lambda: prometheus.value("service:netscope_http_client_errors:ratio5m"))
    assert found == pytest.approx(expected["share"], rel=0.01)
    eventually(lambda: prometheus.value("service_route:netscope_http_client_requests:rate5m"))
    eventually(lambda: prometheus.value("service_route:netscope_http_client_request_duration_seconds:p95_5m"))
    assert prometheus.value("netscope:coverage:ratio5m") == pytest.approx(1.0)

    # the exemplar of the slowest bucket leads to a trace
    exemplars = prometheus.get(
        "query_exemplars", query='netscope_http_client_request_duration_seconds_bucket{le="2.5"}',
        start=time.time() - 300, end=time.time() + 5,
    )  # fmt: skip
    assert {one["labels"]["trace_id"][16:] for series in exemplars for one in series["exemplars"]} == {f"{7:016x}"}

    # an eighth fails: the budget burns
    alerts = eventually(
        lambda: [one for one in prometheus.get("alerts")["alerts"] if one["labels"]["severity"] == "page"]
    )
    assert {"NetscopeErrorBudgetBurnsFast"} <= {one["labels"]["alertname"] for one in alerts}

    # no scrape was refused, no sample was out of order or twice
    assert prometheus.value("sum(scrape_samples_post_metric_relabeling)") > 80
    rules = prometheus.get("rules")["groups"]
    assert [rule["name"] for group in rules for rule in group["rules"] if rule["health"] == "err"] == []


@pytest.mark.kernel
def test_prometheus_scrapes_the_collector_itself(tmp_path):
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        port = server.server_address[1]
        with Service("--port", port) as service, prometheus_of(service.port, tmp_path) as prometheus:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            for _ in range(200):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/scraped/page", timeout=10) as answer:
                    answer.read()
            total = 'sum(netscope_http_{}_requests_total{{route="/scraped/page",method="GET",status_class="2xx",outcome="ok"}})'
            for role in ("client", "server"):
                eventually(lambda role=role: prometheus.value(total.format(role)) == 200)
            quantile = 'histogram_quantile(0.99, sum by (le) (netscope_http_client_request_duration_seconds_bucket{route="/scraped/page"}))'
            assert 0 < prometheus.value(quantile) <= 10
            eventually(lambda: prometheus.value("netscope_kernel_exchanges_total") == 400)
            assert prometheus.value("sum(netscope_answered_exchanges_total)") == 400
            assert prometheus.value("sum(netscope_events_lost_total) or vector(0)") == 0
            assert prometheus.value("netscope_ring_fill_ratio") < 0.5
            assert prometheus.value("netscope_memory_bytes") > 1e6
            _, headers, body = service.get("/metrics")
            assert headers["content-type"].startswith("text/plain")
            checked = subprocess.run(
                ["promtool", "check", "metrics"], input=body, capture_output=True, timeout=60, check=False
            )
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
            server.shutdown()
            thread.join()
