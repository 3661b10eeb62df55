"""Kill -9, rebalances and broker restarts: nothing lost, nothing doubled, and hardly anything repeated.

A successor does not know which records the API had asked to leave alone for a while, so only where nobody takes over is
`early_retries` held to zero.
"""

import json
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.pipeline import cpu_wait, sizes
from tests.integration.pipeline.commit_probe import CommitProbe
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
COMMIT_S = 0.1  # what the worker itself may take for a commit; how long the broker takes is measured
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
    forgotten: set[str]  # of those, what the API had told the worker of
    in_last_interval: int  # answered so shortly before that the commit may not have been due
    repeated: set[str] = field(default_factory=set)


class Autopsy:
    """Looks at the API's books and the group's commits after each kill."""

    def __init__(self, kafka: KafkaCluster, topic: str, api: Api) -> None:
        self._kafka = kafka
        self._topic = topic
        self._api = api
        self._places = places(kafka, topic)
        self._repeats: dict[str, int] = {}
        self.deaths: list[Death] = []

    def died(self, *, at: float, within_s: float) -> None:
        """Take in a death at a moment; what was answered in the seconds before may be unknown to the group."""
        settled = settled_places(self._kafka.bootstrap, self._topic)
        accounts = self._look()
        answered = {key: one["answered_at"] for key, one in accounts.items() if one["answered_at"] is not None}
        if accounts.keys() - self._places.keys():  # records came in since
            self._places = places(self._kafka, self._topic)
        uncommitted = {key for key in accounts if not settled(*self._places[key])}  # also what is on its way even now
        late = sum(moment > at - within_s for moment in answered.values())
        self.deaths.append(Death(uncommitted, uncommitted & answered.keys(), late))

    def _look(self) -> dict[str, dict[str, Any]]:
        accounts = self._api.accounts()
        repeats = {key: one["repeats"] for key, one in accounts.items()}
        if self.deaths:
            self.deaths[-1].repeated = {key for key, count in repeats.items() if count > self._repeats.get(key, 0)}
        self._repeats = repeats
        return accounts

    def beyond_bounds(self) -> list[str]:
        """Return a line for each death after which more was done again than the group could not know of."""
        lines = []
        before: set[str] = set()
        for number, death in enumerate(self.deaths):
            unaccounted, new = death.repeated - death.uncommitted, len(death.forgotten - before)
            if unaccounted or new > death.in_last_interval + IN_FLIGHT:
                lines.append(f"{number}: {len(unaccounted)} committed ones done again; {new} not committed, answered in the"
                             f" last interval {death.in_last_interval}")  # fmt: skip
            before = death.forgotten
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
            worker = rig.worker(kafka, api, topic, *EAGER)
            wait_for_progress(api, 1)
            without_cpu = cpu_wait.since(worker.process.pid)
            with CommitProbe(kafka.bootstrap, topic) as probe:
                time.sleep(chance.uniform(0.2, 1.2))  # the moment of the kill is the experiment
                at, waited_s = time.monotonic(), without_cpu()
                worker.stop(number=signal.SIGKILL)
            # Killed just before a commit arrives, it had taken stock for the last one before that one was sent.
            autopsy.died(at=at, within_s=INTERVAL_S + 2 * (COMMIT_S + probe.longest_s) + waited_s)
    worker = rig.worker(kafka, api, topic, *EAGER)
    finish(kafka, topic)
    assert worker.stop() == 0
    autopsy.close()
    valid, poison, letters = assert_exact(kafka, topic, api)
    books = api.ledger()
    again = [len(death.repeated) for death in autopsy.deaths]
    print(f"\n{len(again)} kills, {valid} valid, {poison} poison: 0 lost, 0 doubled (rate below {3 / len(again):.2f} a kill at"
          f" 95%); records done again: {sum(again)} in all, {max(again)} after the worst kill, "
          f"{max(death.in_last_interval for death in autopsy.deaths)} answered in the busiest last interval;"
          f" {letters - poison} dead letters repeated")  # fmt: skip
    assert books["doubled"] == books["conflicts"] == 0
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
