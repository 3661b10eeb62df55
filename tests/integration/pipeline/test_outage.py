"""Total outage of the API: no storm, no growth, no impatience, and a quick recovery."""

import time
from typing import Any

import pytest

from tests.integration.pipeline import cpu_wait, sizes
from tests.integration.pipeline.rig import Api, KafkaCluster, Program, Rig, eventually, resilience

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1800)]

RATE = 300
OPEN_WITHIN_S = 2.0
PROBE_CYCLE_S = 5.0  # breaker_open_max_s
A_FEW = 0 if sizes.FULL else 5  # retries that may always be had weigh much among the few requests of a short outage
WELL: dict[str, Any] = {"routes": {"*": {"latency": {"median_ms": 10}}}}
SICK: dict[str, dict[str, Any]] = {
    "503": {"routes": {"*": {"faults": [{"kind": "status", "share": 1.0, "status": 503, "retry_after_s": 2}]}}},
    "hang": {"routes": {"*": {"faults": [{"kind": "hang", "share": 1.0}]}}},
}

SICK_AND_GONE = (*SICK, "refused")


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


@pytest.mark.parametrize("kind", SICK_AND_GONE)
def test_an_outage_is_neither_amplified_nor_prolonged(kind: str, kafka: KafkaCluster, rig: Rig) -> None:
    topic = f"outage-{kind}"
    api = rig.api(WELL)
    load = rig.offer(kafka, topic, rate=RATE)
    worker = rig.worker(kafka, api, topic, "--worker-log-level", "error")
    eventually(lambda: api.effects() > RATE, within_s=60)
    before, then = api.accounts(), resilience(worker)
    without_cpu = cpu_wait.since("self", worker.process.pid, api.program.process.pid)
    begin(kind, api)
    opened_s = eventually(lambda: circuit(worker) != "closed", within_s=30, every_s=0.02, what="the circuit opens")
    open_within_s = OPEN_WITHIN_S + without_cpu()
    time.sleep(sizes.SHORT_OUTAGE_S)
    state = resilience(worker)
    assert state["circuit"] != "closed"
    if kind == "refused":  # what did not reach the API is not in its books
        tried = state["attempts_total"] - then["attempts_total"]
        sent = state["requests_total"] - then["requests_total"]
    else:
        tried, sent = per_key(api, before)
    without_cpu = cpu_wait.since("self", worker.process.pid, api.program.process.pid)
    end(kind, api)
    recovered_s = eventually(lambda: circuit(worker) == "closed", within_s=60, every_s=0.02, what="recovery")
    recover_within_s = 2 * PROBE_CYCLE_S + without_cpu()
    caught_up_s = eventually(lambda: resilience(worker)["waiting"] < 50, within_s=120)
    books = api.ledger()
    print(f"\n{kind}: open after {opened_s:.2f} s, {tried} attempts for {sent} requests ({tried / sent:.2f}),"
          f" closed {recovered_s:.2f} s after the end, caught up in {caught_up_s:.1f} s, early {books['early_retries']}")  # fmt: skip
    assert opened_s <= open_within_s
    assert tried <= 1.2 * sent + A_FEW
    assert recovered_s <= recover_within_s
    assert books["early_retries"] == books["doubled"] == 0
    assert resilience(worker)["records"]["parked"] == 0
    load.stop()
    assert worker.stop() == 0


def test_memory_stays_flat_while_kafka_is_paused(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "flat"
    api = rig.api(WELL)
    rig.load(kafka, topic, "--count", "3000", "--unpaced")
    worker = rig.worker(kafka, api, topic, "--worker-log-level", "error")
    eventually(lambda: api.effects() >= 3000, within_s=60)
    begin("503", api)
    load = rig.offer(kafka, topic, rate=sizes.OUTAGE_RATE, seconds=sizes.OUTAGE_S)
    eventually(lambda: bool(resilience(worker)["paused"]), within_s=30, what="Kafka is paused")
    time.sleep(3)  # what was fetched ahead has settled
    sizes_mb = []
    while load.process.poll() is None:
        sizes_mb.append(worker.rss_mb())
        now = resilience(worker)
        assert now["paused"]
        assert now["waiting"] + now["in_flight"] <= 1200
        time.sleep(1.0)
    rig.await_ready(load)
    before = api.effects()
    end("503", api)
    eventually(lambda: api.effects() > before + 2000 and circuit(worker) == "closed", within_s=60, what="it goes on")
    print(f"\n{sizes.OUTAGE_S:.0f} s of outage at {load.ready['achieved_per_s']:.0f} records/s (offered {sizes.OUTAGE_RATE}):"
          f" RSS {sizes_mb[0]:.1f} to {sizes_mb[-1]:.1f} MB, most {max(sizes_mb):.1f}")  # fmt: skip
    assert load.ready["achieved_per_s"] > 0.9 * sizes.OUTAGE_RATE or not sizes.FULL
    assert max(sizes_mb) - sizes_mb[0] < 3.0
    assert api.ledger()["early_retries"] == 0
    assert worker.stop() == 0
