"""Kill -9, rebalances and broker restarts: nothing lost, nothing doubled, and hardly anything repeated.

A successor does not know which records the API had asked to leave alone for a while, so only where nobody takes over is
`early_retries` held to zero.
"""

import json
import random
import signal
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.pipeline import sizes
from tests.integration.pipeline.rig import (
    TWENTY_PERCENT,
    Api,
    KafkaCluster,
    Program,
    Rig,
    committed_lag,
    eventually,
    records,
    settled_places,
)
from tests.integration.pipeline.test_delivery import assert_exact

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(3600)]

RECORDS = sizes.RECORDS_UNDER_CHAOS
IN_FLIGHT = 32
INTERVAL_S = 0.5
EAGER = (
    "--worker-log-level", "error", "--call-max-in-flight", str(IN_FLIGHT),
    "--intake-commit-interval-s", str(INTERVAL_S), "--kafka-session-timeout-ms", "6000",
)  # fmt: skip
SICK = {"*": {**TWENTY_PERCENT, "latency": {"median_ms": 20, "sigma": 0.3}}}


def wait_for_progress(api: Api, more: int) -> None:
    target = api.effects() + more
    eventually(lambda: api.effects() >= target, within_s=180, every_s=0.05, what=f"{more} more effects")


def finish(kafka: KafkaCluster, topic: str) -> None:
    within_s = max(300, RECORDS / 50)
    eventually(lambda: committed_lag(kafka.bootstrap, topic) == 0, within_s=within_s, every_s=1.0, what="all committed")


def places(kafka: KafkaCluster, topic: str) -> dict[str, tuple[int, int]]:
    """Return where the record of each idempotency key is; poison has none."""
    found = {}
    for one in records(kafka.bootstrap, topic):
        try:
            found[json.loads(one.value)["id"]] = (one.partition, one.offset)
        except (ValueError, TypeError, KeyError):
            continue
    return found


@dataclass
class Death:
    """One kill: what no commit knows of all that had come to the API, and what the next worker did again."""

    uncommitted: set[str]
    forgotten: list[float]  # when the API had told this worker of those that it had; in order
    repeated: set[str] = field(default_factory=set)

    @property
    def in_one_interval(self) -> int:
        """The most that were forgotten of what was answered within any one commit interval."""
        return max(
            (bisect_right(self.forgotten, first + INTERVAL_S) - n for n, first in enumerate(self.forgotten)), default=0
        )


class Autopsy:
    """Looks at the API's books and the group's commits after each kill."""

    def __init__(self, kafka: KafkaCluster, topic: str, api: Api) -> None:
        self._kafka = kafka
        self._topic = topic
        self._api = api
        self._places = places(kafka, topic)
        self._repeats: dict[str, int] = {}
        self.deaths: list[Death] = []

    def died(self, *, born: float) -> None:
        """Take in the death of a worker that was born at a moment."""
        settled = settled_places(self._kafka.bootstrap, self._topic)
        accounts = self._look()
        if accounts.keys() - self._places.keys():  # records came in since
            self._places = places(self._kafka, self._topic)
        uncommitted = {key for key in accounts if not settled(*self._places[key])}  # also what is on its way even now
        answered = (accounts[key]["answered_at"] for key in uncommitted)
        self.deaths.append(Death(uncommitted, sorted(at for at in answered if at is not None and at >= born)))

    def _look(self) -> dict[str, dict[str, Any]]:
        accounts = self._api.accounts()
        repeats = {key: one["repeats"] for key, one in accounts.items()}
        if self.deaths:
            self.deaths[-1].repeated = {key for key, count in repeats.items() if count > self._repeats.get(key, 0)}
        self._repeats = repeats
        return accounts

    def beyond_bounds(self) -> list[str]:
        """Return a line for each death that forgot more than one commit interval and what was in flight."""
        lines = []
        for number, death in enumerate(self.deaths):
            unaccounted, beyond = death.repeated - death.uncommitted, len(death.forgotten) - death.in_one_interval
            if unaccounted or beyond > IN_FLIGHT:
                lines.append(f"{number}: {len(unaccounted)} committed ones done again; {len(death.forgotten)} forgotten,"
                             f" {beyond} of them beyond one interval")  # fmt: skip
        return lines

    def close(self) -> None:
        """Take in what came after the last death."""
        self._look()


def test_killed_at_random_nothing_is_lost_doubled_or_repeated_beyond_the_bound(kafka: KafkaCluster, rig: Rig) -> None:
    topic, chance = "killed", random.Random(11)
    api = rig.api({"seed": 3, "routes": SICK})
    rig.load(kafka, topic, "--count", str(RECORDS), "--unpaced", "--poison", "0.01")
    autopsy = Autopsy(kafka, topic, api)
    with rig.trickle(kafka, topic):
        for _ in range(sizes.KILLS):
            born = time.monotonic()
            worker = rig.worker(kafka, api, topic, *EAGER)
            wait_for_progress(api, 1)
            time.sleep(chance.uniform(0.2, 1.2))  # the moment of the kill is the experiment
            worker.stop(number=signal.SIGKILL)
            autopsy.died(born=born)
    worker = rig.worker(kafka, api, topic, *EAGER)
    finish(kafka, topic)
    assert worker.stop() == 0
    autopsy.close()
    valid, poison, letters = assert_exact(kafka, topic, api)
    books = api.ledger()
    again = [len(death.repeated) for death in autopsy.deaths]
    print(f"\n{len(again)} kills, {valid} valid, {poison} poison: 0 lost, 0 doubled (rate below {3 / len(again):.2f} a kill at"
          f" 95%); records done again: {sum(again)} in all, {max(again)} after the worst kill, "
          f"{max(len(death.forgotten) - death.in_one_interval for death in autopsy.deaths)} of them beyond one commit interval"
          f" ({IN_FLIGHT} in flight); {letters - poison} dead letters repeated")  # fmt: skip
    assert books["doubled"] == books["conflicts"] == 0
    assert letters == poison
    assert autopsy.beyond_bounds() == []


def test_rebalances_lose_nothing(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "rebalanced"
    api = rig.api({"seed": 4, "routes": SICK})
    rig.load(kafka, topic, "--count", str(RECORDS), "--unpaced", "--poison", "0.01")
    stayer = rig.worker(kafka, api, topic, *EAGER)
    with rig.trickle(kafka, topic):
        for _ in range(sizes.REBALANCES):
            guest = rig.worker(kafka, api, topic, *EAGER)
            wait_for_progress(api, 20)
            assert guest.stop() == 0
    finish(kafka, topic)
    assert stayer.stop() == 0
    valid, poison, letters = assert_exact(kafka, topic, api)
    books = api.ledger()
    print(f"\n{sizes.REBALANCES} guests came and went, {valid} valid, {poison} poison: 0 lost, 0 doubled; repeated"
          f" {books['repeats']}; {letters - poison} dead letters repeated")  # fmt: skip
    assert books["doubled"] == books["conflicts"] == 0
    assert letters == poison
    assert books["repeats"] <= 2 * sizes.REBALANCES * IN_FLIGHT


def test_broker_restarts_lose_nothing(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "restarted"
    api = rig.api({"seed": 5, "routes": SICK})
    rig.load(kafka, topic, "--count", str(RECORDS), "--unpaced", "--poison", "0.01")
    worker = rig.worker(kafka, api, topic, *EAGER)
    with rig.trickle(kafka, topic):
        for n in range(sizes.RESTARTS):
            wait_for_progress(api, 200)
            kafka.kill()
            time.sleep(0.5 * (n % 3))  # from a blink to an outage
            kafka.respawn()
    finish(kafka, topic)
    assert worker.stop() == 0
    valid, poison, letters = assert_exact(kafka, topic, api)
    books = api.ledger()
    print(f"\n{sizes.RESTARTS} broker restarts, {valid} valid, {poison} poison: 0 lost, 0 doubled; repeated {books['repeats']};"
          f" {letters - poison} dead letters repeated")  # fmt: skip
    assert books["doubled"] == books["conflicts"] == books["early_retries"] == 0
    assert letters == poison


def test_a_worker_that_is_stopped_and_continued_is_fenced(kafka: KafkaCluster, rig: Rig) -> None:
    topic = "fenced"
    api = rig.api({"routes": {"*": {"latency": {"median_ms": 30}}}})
    rig.load(kafka, topic, "--count", "2000", "--unpaced")
    with rig.trickle(kafka, topic):
        sleeper: Program = rig.worker(kafka, api, topic, *EAGER)
        wait_for_progress(api, 100)
        sleeper.process.send_signal(signal.SIGSTOP)
        heir = rig.worker(kafka, api, topic, *EAGER, wait=False)
        rig.await_ready(heir, within_s=90)
        wait_for_progress(api, 100)
        sleeper.process.send_signal(signal.SIGCONT)
        wait_for_progress(api, 100)
    finish(kafka, topic)
    assert sleeper.stop() == heir.stop() == 0
    assert_exact(kafka, topic, api)
    assert api.ledger()["doubled"] == 0
