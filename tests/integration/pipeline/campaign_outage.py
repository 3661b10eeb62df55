"""Total outage of the API: no storm, no growth, no impatience, and a quick recovery."""

import os
import time
from typing import Any

import pytest

from tests.integration.pipeline.rig import Api, KafkaCluster, Program, Rig, eventually, resilience

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1800)]

FULL = bool(os.environ.get("NETSCOPE_FULL"))
OUTAGE_S = 600 if FULL else 20
OFFERED_PER_S = 2000
PROBE_CYCLE_S = 5.0  # breaker_open_max_s
WELL: dict[str, Any] = {"routes": {"*": {"latency": {"median_ms": 10}}}}
SICK: dict[str, dict[str, Any]] = {
    "503": {"routes": {"*": {"faults": [{"kind": "status", "share": 1.0, "status": 503, "retry_after_s": 2}]}}},
    "hang": {"routes": {"*": {"faults": [{"kind": "hang", "share": 1.0}]}}},
}


def begin(kind: str, api: Api) -> None:
    api.listen(on=False) if kind == "refused" else api.script(SICK[kind])


def end(kind: str, api: Api) -> None:
    api.listen(on=True) if kind == "refused" else api.script(WELL)


def per_key(api: Api, since: dict[str, dict[str, Any]]) -> tuple[int, int]:
    """Return the arrivals, and the keys that they are of, since an earlier reading."""
    now = api.accounts()
    grown = [one["arrivals"] - since.get(key, {"arrivals": 0})["arrivals"] for key, one in now.items()]
    return sum(grown), sum(more > 0 for more in grown)


def circuit(worker: Program) -> str:
    return str(resilience(worker)["circuit"])


def offer(rig: Rig, kafka: KafkaCluster, topic: str, *, rate: int, seconds: float) -> Program:
    return rig.start(
        "load", "--bootstrap-servers", kafka.bootstrap, "--topic", topic, "--partitions", "4",
        "--rate", str(rate), "--duration", str(seconds), wait=False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["503", "hang", "refused"])
def test_an_outage_is_neither_amplified_nor_prolonged(kind: str, kafka: KafkaCluster, rig: Rig) -> None:
    topic, seconds, rate = f"outage-{kind}", 12.0, 300
    api = rig.api(WELL)
    load = offer(rig, kafka, topic, rate=rate, seconds=seconds + 25)
    eventually(lambda: load.process.poll() is None and bool(load.process.pid), within_s=5)
    time.sleep(1.5)  # the topic is made by the load
    worker = rig.worker(kafka, api, topic, "--worker-log-level", "error")
    eventually(lambda: api.ledger()["effects"] > rate, within_s=20)
    before, attempts_before = api.accounts(), resilience(worker)
    begin(kind, api)
    opened_s = eventually(lambda: circuit(worker) != "closed", within_s=2.0, every_s=0.02, what="the circuit opens")
    time.sleep(seconds)
    state = resilience(worker)
    assert state["circuit"] != "closed"
    if kind == "refused":
        tried = state["attempts_total"] - attempts_before["attempts_total"]
        sent = state["requests_total"] - attempts_before["requests_total"]
    else:
        tried, sent = per_key(api, before)
    end(kind, api)
    recovered_s = eventually(
        lambda: circuit(worker) == "closed", within_s=2 * PROBE_CYCLE_S + 1, every_s=0.02, what="recovery"
    )
    caught_up = eventually(lambda: resilience(worker)["waiting"] < 50, within_s=30)
    books = api.ledger()
    print(f"\n{kind}: open after {opened_s:.2f} s, {tried} attempts for {sent} requests ({tried / sent:.2f}),"
          f" closed {recovered_s:.2f} s after the end, caught up in {caught_up:.1f} s, early {books['early_retries']}")  # fmt: skip
    assert tried / sent <= 1.2
    assert recovered_s <= 2 * PROBE_CYCLE_S
    assert books["early_retries"] == 0
    assert books["doubled"] == 0
    assert resilience(worker)["records"]["parked"] == 0
    load.stop()
    assert worker.stop() == 0


def test_memory_stays_flat_while_kafka_is_paused(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "flat"
    api = rig.api(WELL)
    rig.load(kafka, topic, "--count", "3000", "--unpaced")
    worker = rig.worker(kafka, api, topic, "--worker-log-level", "error")
    eventually(lambda: api.ledger()["effects"] >= 3000, within_s=30)
    begin("503", api)
    load = offer(rig, kafka, topic, rate=OFFERED_PER_S, seconds=OUTAGE_S)
    eventually(lambda: bool(resilience(worker)["paused"]), within_s=15, what="Kafka is paused")
    time.sleep(3)
    sizes = []
    began = time.monotonic()
    while time.monotonic() - began < OUTAGE_S - 8:
        sizes.append(worker.rss_mb())
        now = resilience(worker)
        assert now["paused"]
        assert now["waiting"] + now["in_flight"] <= 1200
        time.sleep(1.0)
    rig.await_ready(load, within_s=60)
    print(f"\n{OUTAGE_S} s of outage at {load.ready['achieved_per_s']:.0f} records/s (offered {OFFERED_PER_S}):"
          f" RSS {sizes[0]:.1f} to {sizes[-1]:.1f} MB, most {max(sizes):.1f}")  # fmt: skip
    assert load.ready["achieved_per_s"] > 0.9 * OFFERED_PER_S
    assert max(sizes) - sizes[0] < 3.0
    assert api.ledger()["early_retries"] == 0
    assert worker.stop() == 0
