import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from collector import worker_reports
from collector.errors import ConfigurationProblem
from collector.worker_reports import WorkerReports

REPORT = {"destination": "api:80", "circuit": "closed", "attempts_total": 7, "retries_total": 1, "outcomes": {"ok": 6}}


@pytest.fixture
def worker():
    """A worker whose answer the test chooses."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = server.answer
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer = (200, json.dumps(REPORT).encode())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asked(worker, monkeypatch, log=lambda *_, **__: None):
    monkeypatch.setattr(worker_reports, "_EVERY_S", 0.01)
    reports = WorkerReports((("worker", f"http://127.0.0.1:{worker.server_port}/resilience"),), log)
    reports.start()
    found, waiting = None, threading.Event()
    for _ in range(1_000):
        if (found := reports.take()) is not None:
            break
        waiting.wait(0.01)
    reports.stop()
    reports._thread.join()
    return found


def test_a_worker_is_asked_and_named(worker, monkeypatch):
    (report,) = asked(worker, monkeypatch)
    assert (report.service, report.destination, report.attempts_total) == ("worker", "api:80", 7)


def test_a_worker_may_have_several_destinations(worker, monkeypatch):
    worker.answer = (200, json.dumps([REPORT, {**REPORT, "destination": "other:80"}]).encode())
    assert [report.destination for report in asked(worker, monkeypatch)] == ["api:80", "other:80"]


@pytest.mark.parametrize("answer", [(500, b"{}"), (200, b"no json"), (200, b"{}"), (200, b"[" * 100_000)])
def test_an_answer_that_is_none_is_logged_and_left_out(worker, monkeypatch, answer):
    worker.answer = answer
    told = []
    assert asked(worker, monkeypatch, lambda level, event, **more: told.append((level, event, more["service"]))) == ()
    assert told[0] == ("warning", "worker_not_asked", "worker")


@pytest.mark.parametrize("url", ["https://a/", "file:///etc/passwd", "http://", "worker:80", "http://a:x/"])
def test_only_http_urls(url):
    with pytest.raises(ConfigurationProblem, match="http://HOST"):
        WorkerReports((("worker", url),), print)
