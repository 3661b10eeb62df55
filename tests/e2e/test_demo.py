"""What a newcomer sees: the demo's own counts, the observer's, and what it says about each request."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.kernel, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def shown() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "demo/run.py", "--seconds", "6", "--", "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def events(shown: subprocess.CompletedProcess[str]) -> list[dict]:
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


@pytest.fixture(scope="module")
def seen(events: list[dict]) -> list[dict]:
    return [event for event in events if event["kind"] == "exchange"]


def test_both_ends_and_both_programs_count_the_same(shown: subprocess.CompletedProcess[str], seen: list[dict]) -> None:
    sent = int(re.search(r"itself counts +(\d+) requests", shown.stderr)[1])
    answered = int(re.search(r"itself counts +(\d+) answers", shown.stderr)[1])
    assert sent == answered > 10
    assert Counter(event["role"] for event in seen) == {"client": sent, "server": sent}


def test_each_request_carries_the_same_trace_at_both_ends(seen: list[dict]) -> None:
    ends = {
        role: Counter((e["trace_id"], e["span_id"], e["method"], e["status_code"]) for e in seen if e["role"] == role)
        for role in ("client", "server")
    }
    assert ends["client"] == ends["server"]
    assert all(event["trace_source"] == "traceparent" for event in seen)


def test_a_refused_payment_comes_again_under_its_key(seen: list[dict]) -> None:
    payments = [event for event in seen if event["role"] == "client" and event["method"] == "POST"]
    by_id = {event["id"]: event for event in payments}
    retries = [event for event in payments if event["attempt"] == 2]
    assert retries
    for retry in retries:
        first = by_id[retry["retry_of"]]
        assert (first["status_code"], retry["status_code"]) == (503, 201)
        assert first["idempotency_key"] == retry["idempotency_key"]
        assert first["trace_id"] == retry["trace_id"]


def test_the_busy_event_loop_shows_as_read_delay_not_as_a_slow_server(seen: list[dict]) -> None:
    stock = [event for event in seen if event["role"] == "client" and event["target"].startswith("/stock/")]
    assert stock
    assert all(event["read_delay_ms"] > 100 > event["wait_ms"] for event in stock)


def test_nothing_was_lost(events: list[dict]) -> None:
    summary = events[-1]
    assert summary["kind"] == "summary"
    assert not summary["lost"]
