"""Exactly one effect for every valid record, and a dead letter for every other, on real Kafka."""

import hashlib
import json
from typing import Any

import pytest

from tests.integration.pipeline import sizes
from tests.integration.pipeline.rig import (
    TWENTY_PERCENT,
    Api,
    KafkaCluster,
    Program,
    Rig,
    eventually,
    records,
    resilience,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

RECORDS = sizes.RECORDS


def expected(bootstrap: str, topic: str) -> tuple[dict[str, str], dict[str, tuple[bytes | None, bytes | None]]]:
    """Return the valid records (key to the body's hash) and the poison (place to key and value), from the topic itself."""
    valid, poison = {}, {}
    for one in records(bootstrap, topic):
        message = _valid(one.value)
        if message is None:
            poison[f"{one.topic}/{one.partition}/{one.offset}"] = (one.key, one.value)
        else:
            valid[message["id"]] = hashlib.sha256(
                json.dumps(message["payload"], separators=(",", ":")).encode()
            ).hexdigest()
    return valid, poison


def _valid(value: bytes | None) -> dict[str, Any] | None:
    """Tell by hand, without the worker's own schema."""
    try:
        message = json.loads((value or b"").decode("utf-8"))
    except ValueError:
        return None
    whole = isinstance(message, dict) and set(message) == {"id", "method", "route", "payload"}
    return message if whole and isinstance(message["route"], str) else None


def assert_exact(kafka: KafkaCluster, topic: str, api: Api) -> tuple[int, int, int]:
    """Hold the ledger and the letters to the topic; return how many valid, poison and dead letters there are."""
    valid, poison = expected(kafka.bootstrap, topic)
    accounts = api.accounts()
    assert accounts.keys() == valid.keys()
    assert all(one["effects"] == 1 for one in accounts.values())
    assert all(one["conflicts"] == 0 for one in accounts.values())
    assert {key: one["sha256"] for key, one in accounts.items()} == valid
    letters = records(kafka.bootstrap, f"{topic}.dead-letter")
    found = {}
    for letter in letters:
        headers = dict(letter.headers)
        place = "/".join(headers[f"x-origin-{part}"].decode() for part in ("topic", "partition", "offset"))
        assert headers["x-dead-letter-reason"]
        assert headers["x-origin-sha256"].decode() == hashlib.sha256(letter.value or b"").hexdigest()
        found[place] = (letter.key, letter.value)
    assert found == poison
    assert records(kafka.bootstrap, f"{topic}.parked") == []
    return len(valid), len(poison), len(letters)


def settled(worker: Program, count: int) -> bool:
    now = resilience(worker)["records"]
    return bool(now["succeeded"] + now["dead_lettered"] + now["parked"] >= count)


def test_every_record_ends_exactly_once(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "exact"
    api = rig.api({"seed": 7, "routes": {"*": TWENTY_PERCENT}})
    report = rig.load(kafka, topic, "--count", str(RECORDS), "--unpaced", "--poison", "0.01")
    assert report["acknowledged"] == RECORDS
    worker = rig.worker(kafka, api, topic, "--worker-log-level", "error")
    took = eventually(lambda: settled(worker, RECORDS), within_s=max(180, RECORDS / 100), every_s=0.5)
    counts = resilience(worker)["records"]
    assert worker.stop() == 0
    valid, poison, letters = assert_exact(kafka, topic, api)
    # fenced: let go in a rebalance, which a machine too busy for a heartbeat can bring about, and read again
    assert counts["consumed"] - counts["fenced"] == RECORDS
    assert (counts["succeeded"], counts["dead_lettered"], counts["parked"]) == (valid, poison, 0)
    assert letters == poison
    books = api.ledger()
    assert books["early_retries"] == 0
    faults = sum(books["faults"].values()) / books["arrivals"]
    assert 0.17 < faults < 0.23
    print(f"\n{RECORDS} records in {took:.1f} s, {poison} poison, {books['arrivals']} arrivals, {faults:.1%} faults,"
          f" {books['replays']} replays, amplification {books['arrivals'] / valid:.3f}, doubled {books['doubled']}")  # fmt: skip


def test_a_restart_repeats_nothing_that_was_committed(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "restart"
    api = rig.api()
    rig.load(kafka, topic, "--count", "500", "--unpaced")
    first = rig.worker(kafka, api, topic)
    eventually(lambda: settled(first, 500), within_s=90)
    assert first.stop() == 0
    second = rig.worker(kafka, api, topic)
    rig.load(kafka, topic, "--count", "100", "--unpaced", "--run", "more")
    eventually(lambda: settled(second, 100), within_s=90)
    assert second.stop() == 0
    assert api.ledger()["arrivals"] == 600


def test_what_the_api_refuses_for_good_is_parked_with_its_outcome(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "refused"
    refused = {"faults": [{"kind": "status", "share": 1.0, "status": 404}]}
    failing = {"faults": [{"kind": "status", "share": 1.0, "status": 500}]}
    api = rig.api({"routes": {"gone": refused, "broken": failing}})
    words = ("--count", "200", "--unpaced", "--route", "/orders", "--route", "/gone", "--route", "/orders/a")
    rig.load(kafka, topic, *words)
    rig.load(kafka, topic, "--count", "5", "--unpaced", "--route", "/broken", "--run", "broken")
    worker = rig.worker(
        kafka, api, topic, "--rounds-max", "3", "--rounds-pause-s", "0.1", "--breaker-failure-rate", "1",
        "--breaker-consecutive-failures", "10000", "--breaker-min-calls", "10000",
    )  # fmt: skip
    eventually(lambda: settled(worker, 205), within_s=90)
    counts = resilience(worker)["records"]
    assert worker.stop() == 0
    parked = records(kafka.bootstrap, f"{topic}.parked")
    sent = {one.key: one.value for one in records(kafka.bootstrap, topic)}
    assert counts["consumed"] == 205 == counts["succeeded"] + counts["parked"]
    assert len(parked) == counts["parked"]
    outcomes = {}
    for one in parked:
        assert sent[one.key] == one.value
        outcome = json.loads(dict(one.headers)["x-parked-outcome"])
        outcomes[one.key] = (outcome["type"], outcome.get("status"))
    routes = {key: json.loads(value)["route"] for key, value in sent.items()}
    assert {outcomes[key] for key in outcomes if routes[key] == "/gone"} == {("http_error", 404)}
    assert {key for key, route in routes.items() if route in ("/gone", "/broken")} == set(outcomes)


def test_replicated_on_three_nodes_one_of_which_is_killed(kafka_of_three: KafkaCluster, rig: Rig) -> None:
    topic, count = "three", 3000
    api = rig.api({"routes": {"*": {"latency": {"median_ms": 20}}}})
    rig.load(kafka_of_three, topic, "--count", str(count), "--unpaced", "--poison", "0.01")
    worker = rig.worker(kafka_of_three, api, topic, "--worker-log-level", "error", "--call-max-in-flight", "16")
    eventually(lambda: settled(worker, count // 10), within_s=90)
    kafka_of_three.kill(2)
    eventually(lambda: settled(worker, count), within_s=180, every_s=0.5)
    assert worker.stop(within_s=40) == 0
    assert_exact(kafka_of_three, topic, api)
