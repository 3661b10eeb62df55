"""What a newcomer sees: the pipeline's own counts, the observer's, and what it says about each call."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def shown() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "demo/run.py", "--seconds", "8", "--rate", "25", "--", "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def events(shown: subprocess.CompletedProcess[str]) -> list[dict]:
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


@pytest.fixture(scope="module")
def seen(events: list[dict]) -> list[dict]:
    return [event for event in events if event["kind"] == "exchange"]


def at(role: str, seen: list[dict]) -> list[dict]:
    return [event for event in seen if event["role"] == role]


def test_both_ends_and_both_programs_count_the_same(shown: subprocess.CompletedProcess[str], seen: list[dict]) -> None:
    called = int(re.search(r"worker itself counts +(\d+) requests", shown.stderr)[1])
    got = int(re.search(r"API itself counts +(\d+) requests", shown.stderr)[1])
    assert called == got > 50
    assert Counter(event["role"] for event in seen) == {"client": called, "server": called}


def test_each_process_has_its_name(seen: list[dict]) -> None:
    assert {(event["role"], event["service"]) for event in seen} == {("client", "worker"), ("server", "external-api")}


def test_each_call_carries_the_same_trace_at_both_ends(seen: list[dict]) -> None:
    ends = [
        Counter((e["trace_id"], e["span_id"], e["method"], e["route"], e["status_code"]) for e in at(role, seen))
        for role in ("client", "server")
    ]
    assert ends[0] == ends[1]
    assert all(event["trace_source"] == "traceparent" for event in seen)


def test_a_failed_call_comes_again_under_its_key_and_once_has_an_effect(
    shown: subprocess.CompletedProcess[str], seen: list[dict]
) -> None:
    calls = at("client", seen)
    by_id = {event["id"]: event for event in calls}
    retries = [event for event in calls if event["attempt"] > 1]
    assert len(retries) == int(re.search(r"(\d+) of them retries", shown.stderr)[1]) > 0
    for retry in retries:
        first = by_id[retry["retry_of"]]
        assert first["outcome"] in ("http_error", "reset")
        assert (first["idempotency_key"], first["trace_id"]) == (retry["idempotency_key"], retry["trace_id"])
    assert " 0 of them doubled" in shown.stderr


def test_a_worker_that_stands_still_shows_as_read_delay_not_as_a_slow_api(seen: list[dict]) -> None:
    late = [event for event in at("client", seen) if (event["read_delay_ms"] or 0) > 50]
    assert late
    waited = {event["trace_id"] + event["span_id"]: event["wait_ms"] for event in at("server", seen)}
    for event in late:
        there = waited[event["trace_id"] + event["span_id"]]
        if there is not None:  # how long the API took, by the API's own end
            assert event["wait_ms"] + event["read_delay_ms"] > there
    assert max(event["read_delay_ms"] for event in late) > 100


def test_nothing_was_lost(events: list[dict]) -> None:
    summary = events[-1]
    assert summary["kind"] == "summary"
    assert not summary["lost"]
