"""The worker on a broker in memory: where every record ends, across rebalances, outages and refusals."""

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import structlog

from pipeline.config import WorkerConfig
from pipeline.errors import BrokerGone, WorkerStalled
from pipeline.ingest.letter_marks import Place
from pipeline.outbound.attempt import Answered, AttemptResult, NotAnswered
from pipeline.outbound.gateway import ResilientGateway
from pipeline.outbound.request import OutboundRequest
from pipeline.records import Headers
from pipeline.simulators.memory_broker import MemoryBroker, MemorySource, Stored
from pipeline.worker import Worker

TOPIC, DEAD, PARKED = "in", "in.dead-letter", "in.parked"
BASE: dict[str, Any] = {
    "kafka_topic": TOPIC, "kafka_group": "g", "call_max_in_flight": 4, "intake_commit_interval_s": 0.02,
    "intake_drain_s": 0.3, "rounds_max": 2, "rounds_pause_s": 0.01, "rounds_pause_cap_s": 0.02, "retry_max_attempts": 1,
    "breaker_open_s": 0.05, "breaker_open_max_s": 0.1,
}  # fmt: skip


class Sender:
    """The API: answers by the first word of the route, and notes each key."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers: dict[str, AttemptResult] = {"gone": Answered(status=404), "broken": Answered(status=500)}

    async def attempt(self, request: OutboundRequest, *, until: float) -> AttemptResult:
        self.keys.append(request.idempotency_key)
        try:
            async with asyncio.timeout_at(until):
                await self.gate.wait()
        except TimeoutError:
            return NotAnswered(kind="timeout", sent=True)
        return self.answers.get(request.route.split("/")[1], Answered(status=201))

    async def aclose(self) -> None:
        pass


class Bench:
    """A broker, an API, and workers between them."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.sender = Sender()

    async def put(self, lane: int = 0, *, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        await self.broker.put((TOPIC, ("anywhere", lane)), key=key, value=value, headers=headers)

    async def produce(self, *names: str, route: str = "/ok") -> None:
        for name in names:
            value = json.dumps({"id": name, "route": route, "payload": {}}).encode()
            await self.put(zlib.crc32(name.encode()), key=name.encode(), value=value)

    @contextlib.asynccontextmanager
    async def worker(self, **settings: Any) -> AsyncIterator[tuple[Worker, MemorySource]]:
        config = WorkerConfig(**{**BASE, **settings})
        gateway = ResilientGateway("api", self.sender, config.policies())
        source = MemorySource(self.broker, topic=TOPIC, group="g")
        log = structlog.wrap_logger(structlog.ReturnLogger(), wrapper_class=structlog.make_filtering_bound_logger(50))
        worker = Worker(config, source=source, outbox=self.broker, gateway=gateway, log=log)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(worker.run())
            yield worker, source
            worker.stop()
            await task

    def uncommitted(self) -> int:
        done = sum(one.offset for (_, at), one in self.broker.committed.items() if at[0] == TOPIC)
        return len(self.broker.topic(TOPIC)) - done


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - the worker has no event for every state
            await asyncio.sleep(0.005)


async def test_valid_records_reach_the_api_and_the_others_are_buried(bench: Bench) -> None:
    await bench.produce("a", "b", "c")
    await bench.put(key=None, value=b"\xff", headers=(("h", b"v"),))
    await bench.put(key=b"n", value=None)
    async with bench.worker() as (worker, _):
        await until(lambda: worker.tally.ended == 5 and bench.uncommitted() == 0)
    assert sorted(bench.sender.keys) == ["a", "b", "c"]
    letters = {letter.value: dict(letter.headers) for letter in bench.broker.topic(DEAD)}
    assert letters[b"\xff"]["x-dead-letter-reason"] == b"encoding"
    assert letters[b"\xff"]["h"] == b"v"
    assert letters[None]["x-dead-letter-reason"] == b"null_value"
    tally = worker.tally
    assert (tally.consumed, tally.succeeded, tally.dead_lettered, tally.parked) == (5, 3, 2, 0)


async def test_refused_records_are_parked_at_once_and_failing_ones_after_their_rounds(bench: Bench) -> None:
    await bench.produce("no", route="/gone")
    await bench.produce("bad", route="/broken")
    async with bench.worker() as (worker, _):
        await until(lambda: worker.tally.parked == 2 and bench.uncommitted() == 0)
    assert bench.sender.keys.count("no") == 1
    assert bench.sender.keys.count("bad") == 2
    outcomes = {
        letter.key: json.loads(dict(letter.headers)["x-parked-outcome"]) for letter in bench.broker.topic(PARKED)
    }
    assert outcomes[b"no"]["status"] == 404
    assert outcomes[b"bad"]["status"] == 500


async def test_nothing_is_committed_before_its_letter_is_safe(bench: Bench) -> None:
    put, letters = bench.broker.put, asyncio.Event()

    async def slow_put(place: Place, **record: Any) -> int:
        if place[0] == DEAD:
            await letters.wait()
        return await put(place, **record)

    await bench.put(key=b"x", value=b"poison")
    bench.broker.put = slow_put  # type: ignore[method-assign]
    async with bench.worker() as (worker, _):
        await asyncio.sleep(0.1)
        assert bench.uncommitted() == 1
        letters.set()
        await until(lambda: bench.uncommitted() == 0)
    assert worker.tally.dead_lettered == 1


async def test_a_letter_too_large_for_its_topic_keeps_all_but_the_bytes(bench: Bench) -> None:
    bench.broker.logs[TOPIC, 0].append(Stored(key=b"k", value=b"x" * 2_000_000, headers=()))
    async with bench.worker() as (worker, _):
        await until(lambda: worker.tally.dead_lettered == 1)
    (letter,) = bench.broker.topic(DEAD)
    headers = dict(letter.headers)
    assert (letter.value, headers["x-value-omitted"], headers["x-origin-offset"]) == (b"", b"2000000", b"0")
    assert headers["x-dead-letter-reason"] == b"too_large"


@pytest.mark.parametrize(("route", "topic"), [("", DEAD), ("/gone", PARKED)])
async def test_who_takes_over_writes_no_letter_again(bench: Bench, route: str, topic: str) -> None:
    lanes = range(bench.broker.partitions)
    value = json.dumps({"route": route, "payload": {}}).encode()
    async with bench.worker() as (worker, source):
        commit, lost = source.commit, asyncio.Event()

        async def fail(positions: Any) -> None:  # as a worker that is killed
            if lost.is_set():
                raise BrokerGone("killed")
            await commit(positions)

        source.commit = fail  # type: ignore[method-assign]
        await until(worker.ready.is_set)
        lost.set()
        for lane in lanes:
            await bench.put(lane, key=b"x", value=value)
        await until(lambda: len(bench.broker.topic(topic)) == len(lanes))
    assert bench.uncommitted() == len(lanes)
    for lane in lanes:
        await bench.put(lane, key=b"y", value=value)
    async with bench.worker() as (heir, _):
        await until(lambda: bench.uncommitted() == 0)
    assert heir.tally.skipped == len(lanes)
    ids = [dict(letter.headers)["x-letter-id"] for letter in bench.broker.topic(topic)]
    assert sorted(ids) == sorted(f"g/{TOPIC}/{lane}/{offset}".encode() for lane in lanes for offset in (0, 1))


async def test_letters_wait_for_a_broker_that_is_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.lanes.LETTER_AGAIN_S", 0.01)
    await bench.put(key=b"x", value=b"poison")
    bench.sender.gate.clear()
    await bench.produce("a")
    async with bench.worker() as (worker, _):
        await until(lambda: worker.tally.consumed == 2 and worker.tally.dead_lettered == 1)
        bench.broker.up = False
        bench.sender.gate.set()
        await until(lambda: worker.tally.succeeded == 1 and worker.tally.commit_failures > 0)
        bench.broker.up = True
        await until(lambda: bench.uncommitted() == 0)
    assert len(bench.broker.topic(DEAD)) == 1


async def test_no_more_is_done_beyond_the_commits_than_one_interval_and_what_is_in_flight(bench: Bench) -> None:
    async with bench.worker(intake_commit_interval_s=0.2) as (worker, source):
        await until(worker.ready.is_set)
        await bench.produce("a")
        commit, safe = source.commit, asyncio.Event()

        async def slow_commit(positions: Any) -> None:
            await safe.wait()
            await commit(positions)

        source.commit = slow_commit  # type: ignore[method-assign]
        await until(lambda: worker.tally.succeeded == 1)
        await asyncio.sleep(0.3)
        await bench.produce(*(f"n{n}" for n in range(20)))
        await until(lambda: worker.tally.consumed == 21)
        await asyncio.sleep(0.1)
        assert bench.sender.keys == ["a"]
        safe.set()
        await until(lambda: bench.uncommitted() == 0)
    assert len(bench.sender.keys) == 21


async def test_a_full_worker_pauses_and_goes_on(bench: Bench) -> None:
    await bench.produce(*(f"n{n}" for n in range(200)))
    bench.sender.gate.clear()
    async with bench.worker(
        intake_max_records=50, intake_resume_records=10, call_deadline_s=9.0, call_attempt_timeout_s=8.0
    ) as (worker, _):
        await until(lambda: worker.state().paused())
        assert worker.tally.consumed <= 50 + 100
        bench.sender.gate.set()
        await until(lambda: bench.uncommitted() == 0)
    assert sorted(bench.sender.keys) == sorted(f"n{n}" for n in range(200))


async def test_a_rebalance_drains_what_is_under_way_and_lets_the_rest_go(bench: Bench) -> None:
    await bench.produce(*(f"n{n}" for n in range(40)))
    bench.sender.gate.clear()
    async with bench.worker() as (first, _):
        await until(lambda: len(bench.sender.keys) == 4)
        async with bench.worker() as (second, _):
            await until(lambda: first.tally.fenced > 0)
            bench.sender.gate.set()
            await until(lambda: bench.uncommitted() == 0)
        await until(lambda: bench.uncommitted() == 0)
    assert sorted(bench.sender.keys) == sorted(f"n{n}" for n in range(40)), "each was sent once, whoever sent it"
    assert first.tally.succeeded + second.tally.succeeded == 40


async def test_what_ends_after_its_partition_is_gone_is_fenced_and_repeated_under_the_same_key(bench: Bench) -> None:
    await bench.produce("slow")
    bench.sender.gate.clear()
    async with bench.worker(intake_drain_s=0.05) as (first, _):
        await until(lambda: bench.sender.keys == ["slow"])
        async with bench.worker() as (second, _):
            await until(lambda: bench.sender.keys == ["slow", "slow"])
            bench.sender.gate.set()
            await until(lambda: bench.uncommitted() == 0 and first.tally.ended > 0)
    assert first.tally.fenced + second.tally.fenced == 1
    assert first.tally.succeeded + second.tally.succeeded == 1


async def test_who_was_taken_for_dead_cannot_commit(bench: Bench) -> None:
    await bench.produce("a")
    bench.sender.gate.clear()
    async with bench.worker() as (sleeper, source):
        await until(lambda: bench.sender.keys == ["a"])
        await bench.broker.drop(source)
        bench.sender.gate.set()
        await until(lambda: sleeper.tally.commit_failures > 0)
        assert bench.uncommitted() == 1
        async with bench.worker() as (_, _):
            await until(lambda: bench.uncommitted() == 0)
    assert bench.sender.keys == ["a", "a"]


async def test_an_outage_parks_nothing_and_tries_new_records_before_failed_ones(bench: Bench) -> None:
    bench.sender.answers["ok"] = Answered(status=503)
    await bench.produce(*(f"n{n:03}" for n in range(100)))
    rounds = {"rounds_max": 5}  # more than failures before the circuit opens: short pauses let one record have several
    async with bench.worker(breaker_consecutive_failures=4, breaker_half_open_calls=1, **rounds) as (worker, _):
        await asyncio.sleep(0.6)
        tried = list(bench.sender.keys)
        assert worker.tally.parked == 0
        assert len(tried) - len(set(tried)) <= 0.2 * len(set(tried))
        bench.sender.answers["ok"] = Answered(status=200)
        await until(lambda: bench.uncommitted() == 0)
    assert worker.tally.succeeded == 100


async def test_a_restarted_worker_skips_what_the_note_says_is_done(bench: Bench) -> None:
    await bench.produce("stuck", route="/stuck")
    (at, log), = ((at, log) for at, log in bench.broker.logs.items() if log)  # fmt: skip
    bench.sender.answers["stuck"] = Answered(status=503, retry_after_s=200.0)
    extra = [f"n{n}" for n in range(10)]
    for name in extra:
        value = json.dumps({"id": name, "route": "/ok", "payload": {}}).encode()
        log.append(Stored(key=None, value=value, headers=()))
    async with bench.worker() as (worker, _):
        await until(lambda: worker.tally.succeeded == 10)
        await until(
            lambda: bench.broker.committed.get(("g", at)) is not None and bool(bench.broker.committed["g", at].note)
        )
    assert bench.broker.committed["g", at].offset == 0
    bench.sender.answers["stuck"] = Answered(status=200)
    async with bench.worker() as (second, _):
        await until(lambda: bench.uncommitted() == 0)
    assert second.tally.skipped == 10
    assert sorted(bench.sender.keys) == sorted(["stuck", "stuck", *extra])


async def test_a_stall_ends_the_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.worker._LOOK_EVERY_S", 0.02)
    await bench.produce("a")

    async def never(_: OutboundRequest, *, until: float) -> AttemptResult:
        await asyncio.Event().wait()
        raise AssertionError

    bench.sender.attempt = never  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup) as caught:
        async with bench.worker(worker_stall_s=0.1):
            await asyncio.sleep(5)
    assert caught.group_contains(WorkerStalled, depth=None)
