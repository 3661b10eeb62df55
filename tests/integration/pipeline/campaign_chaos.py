"""Kill -9, rebalances and broker restarts: nothing lost, nothing doubled, and hardly anything repeated."""

import os
import random
import signal
import time

import pytest

from tests.integration.pipeline.campaign_delivery import assert_exact
from tests.integration.pipeline.rig import TWENTY_PERCENT, Api, KafkaCluster, Program, Rig, committed_lag, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(3600)]

FULL = bool(os.environ.get("NETSCOPE_FULL"))
RECORDS = 100_000 if FULL else 20_000
KILLS, REBALANCES, RESTARTS = (50, 20, 5) if FULL else (10, 5, 2)
IN_FLIGHT = 32
INTERVAL_S = 0.2
QUIET = ("--worker-log-level", "error", "--call-max-in-flight", str(IN_FLIGHT))
EAGER = (*QUIET, "--intake-commit-interval-s", str(INTERVAL_S), "--kafka-session-timeout-ms", "6000")


def done(api: Api) -> int:
    return int(api.ledger()["effects"])


def wait_for_progress(api: Api, more: int, *, within_s: float = 60) -> None:
    target = done(api) + more
    eventually(lambda: done(api) >= target, within_s=within_s, every_s=0.05, what=f"{more} more effects")


def finish(kafka: KafkaCluster, topic: str, *, within_s: float) -> None:
    eventually(lambda: committed_lag(kafka.bootstrap, topic) == 0, within_s=within_s, every_s=1.0, what="all committed")


def test_killed_at_random_nothing_is_lost_doubled_or_repeated_beyond_the_bound(kafka: KafkaCluster, rig: Rig) -> None:
    topic, chance = "killed", random.Random(11)
    api = rig.api({"seed": 3, "routes": {"*": {"latency": {"median_ms": 15, "sigma": 0.3}}}})
    rig.load(kafka, topic, "--count", str(RECORDS), "--unpaced", "--poison", "0.01")
    worst = 0
    most = 0
    replays = 0
    for _ in range(KILLS):
        worker = rig.worker(kafka, api, topic, *EAGER)
        began = time.monotonic()
        before = done(api)
        time.sleep(chance.uniform(0.2, 1.2))  # the moment of the kill is the experiment
        per_s = (done(api) - before) / (time.monotonic() - began)
        worker.stop(number=signal.SIGKILL)
        now = api.ledger()["replays"]
        worst, replays = max(worst, now - replays), now
        most = max(most, int(per_s * 1.5 * INTERVAL_S) + IN_FLIGHT)
    worker = rig.worker(kafka, api, topic, *EAGER)
    finish(kafka, topic, within_s=RECORDS / 100)
    assert worker.stop() == 0
    valid, poison, letters = assert_exact(kafka, topic, api)
    books = api.ledger()
    print(f"\n{KILLS} kills, {valid} valid: 0 lost, 0 doubled (rate below {3 / KILLS:.2f} a kill at 95%); re-attempts"
          f" {books['replays']} in all, worst {worst}, bound {most}; {letters - poison} dead letters repeated")  # fmt: skip
    assert worst <= most
    assert books["doubled"] == books["conflicts"] == 0


def test_rebalances_lose_nothing(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "rebalanced"
    api = rig.api({"seed": 4, "routes": {"*": {"latency": {"median_ms": 15, "sigma": 0.3}}}})
    rig.load(kafka, topic, "--count", str(RECORDS), "--unpaced", "--poison", "0.01")
    stayer = rig.worker(kafka, api, topic, *EAGER)
    for _ in range(REBALANCES):
        guest = rig.worker(kafka, api, topic, *EAGER)
        wait_for_progress(api, 20)
        assert guest.stop() == 0
    finish(kafka, topic, within_s=RECORDS / 100)
    assert stayer.stop() == 0
    valid, *_ = assert_exact(kafka, topic, api)
    books = api.ledger()
    print(f"\n{REBALANCES} guests came and went, {valid} valid: 0 lost, 0 doubled; re-attempts {books['replays']}")
    assert books["replays"] <= REBALANCES * 2 * IN_FLIGHT


def test_broker_restarts_lose_nothing(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "restarted"
    api = rig.api({"seed": 5, "routes": {"*": TWENTY_PERCENT}})
    rig.load(kafka, topic, "--count", str(RECORDS // 2), "--unpaced", "--poison", "0.01")
    worker = rig.worker(kafka, api, topic, *EAGER)
    for n in range(RESTARTS):
        wait_for_progress(api, 200)
        kafka.kill()
        time.sleep(0.5 * (n % 3))  # from a blink to an outage
        kafka.respawn()
    finish(kafka, topic, within_s=RECORDS / 50)
    assert worker.stop() == 0
    valid, poison, letters = assert_exact(kafka, topic, api)
    books = api.ledger()
    print(f"\n{RESTARTS} broker restarts, {valid} valid: 0 lost, 0 doubled; {letters - poison} dead letters repeated")
    assert books["early_retries"] == 0


def test_a_worker_that_is_stopped_and_continued_is_fenced(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "fenced"
    api = rig.api({"routes": {"*": {"latency": {"median_ms": 30}}}})
    rig.load(kafka, topic, "--count", "4000", "--unpaced")
    sleeper: Program = rig.worker(kafka, api, topic, *EAGER)
    wait_for_progress(api, 100)
    sleeper.process.send_signal(signal.SIGSTOP)
    heir = rig.worker(kafka, api, topic, *EAGER, wait=False)
    rig.await_ready(heir, within_s=40)
    wait_for_progress(api, 500)
    sleeper.process.send_signal(signal.SIGCONT)
    finish(kafka, topic, within_s=60)
    assert sleeper.stop() == heir.stop() == 0
    assert_exact(kafka, topic, api)
