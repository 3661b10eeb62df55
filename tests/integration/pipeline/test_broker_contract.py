"""One contract for the broker in memory, the demo's embedded one, and real Kafka: what the worker relies on."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from pipeline.errors import Fenced
from pipeline.ingest.assignment import Position
from pipeline.ingest.kafka_source import KafkaSource
from pipeline.kafka_outbox import KafkaOutbox
from pipeline.kafka_settings import KafkaSettings
from pipeline.ports import Listener, Outbox, Source
from pipeline.records import Record
from pipeline.simulators.embedded_broker import EmbeddedBroker
from pipeline.simulators.memory_broker import MemoryBroker, MemorySource
from pipeline.topics import Topic, ensure

pytestmark = pytest.mark.timeout(180)

KAFKA = pytest.param("kafka", marks=pytest.mark.kafka)
# librdkafka's mock cluster answers a second member's SyncGroup with InvalidRequest; the demo has one member only.
several_members = pytest.mark.parametrize("broker", ["memory", KAFKA], indirect=True)

names = (f"contract-{n}" for n in itertools.count())


@dataclass
class Broker:
    """One topic with two partitions, and what a worker needs of it."""

    topic: str
    outbox: Outbox
    member: Callable[[], Source]


class Ear:
    """Notes what a source says of rebalances."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.assigned = asyncio.Event()

    def listener(self) -> Listener:
        return Listener(revoked=self._revoked, assigned=self._assigned)

    async def _revoked(self) -> None:
        self.heard.append("revoked")
        self.assigned.clear()

    async def _assigned(self) -> None:
        self.heard.append("assigned")
        self.assigned.set()


@pytest.fixture(params=["memory", "embedded", KAFKA])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    topic = next(names)
    if request.param == "memory":
        memory = MemoryBroker()
        yield Broker(topic, memory, lambda: MemorySource(memory, topic=topic, group="g"))
        return
    if request.param == "embedded":
        embedded = EmbeddedBroker((topic,))
        servers = embedded.bootstrap_servers
    else:
        servers = request.getfixturevalue("kafka").bootstrap
    settings = KafkaSettings(bootstrap_servers=servers, topic=topic, group=f"{topic}-g", session_timeout_ms=6000)
    await ensure(settings, [Topic(name=topic, partitions=2)], create=True)
    outbox = KafkaOutbox(settings)
    await outbox.start()
    yield Broker(topic, outbox, lambda: KafkaSource(settings))
    await outbox.stop()


async def joined(source: Source) -> Ear:
    ear = Ear()
    await source.start(ear.listener())
    async with asyncio.timeout(60):
        await ear.assigned.wait()
    return ear


async def read(source: Source, count: int) -> list[Record]:
    found: list[Record] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            found += await source.poll(limit=100, timeout_s=0.1)
    return found


async def nothing_comes(source: Source) -> bool:
    return not [one for _ in range(5) for one in await source.poll(limit=100, timeout_s=0.1)]


async def produce(broker: Broker, *values: bytes | None, key: bytes | None = b"k") -> None:
    for value in values:
        await broker.outbox.put((broker.topic, ("origin", 1)), key=key, value=value, headers=(("h", b"\x00\xff"),))


async def test_records_come_byte_for_byte_and_in_order(broker: Broker) -> None:
    source = broker.member()
    await joined(source)
    values = [b"%d" % n for n in range(50)] + [b"\x00\xff\r\n", None, b""]
    await produce(broker, *values)
    found = await read(source, len(values))
    assert [one.value for one in found] == values
    assert {one.headers for one in found} == {(("h", b"\x00\xff"),)}
    assert len({one.partition for one in found}) == 1
    assert [one.offset for one in found] == sorted({one.offset for one in found})
    await source.stop()


async def test_a_null_key_and_a_large_value_pass(broker: Broker) -> None:
    source = broker.member()
    await joined(source)
    large = bytes(range(256)) * 2000  # more than one fetch asks for
    await produce(broker, large, key=None)
    (found,) = await read(source, 1)
    assert (found.key, found.value) == (None, large)
    await source.stop()


async def test_what_was_put_is_found_from_where_it_landed(broker: Broker) -> None:
    here, same, there = ((broker.topic, ("origin", number)) for number in (1, 3, 2))
    offsets = [
        await broker.outbox.put(here, key=None, value=b"x" * 100_000, headers=(("n", b"%d" % n),)) for n in range(20)
    ]
    assert offsets == sorted(set(offsets))
    tails = await broker.outbox.tails({here: offsets[5], same: None, there: 0})
    assert [dict(words)["n"] for words in tails[here].headers] == [b"%d" % n for n in range(5, 20)]
    assert tails[here].end > offsets[-1]
    assert (tails[same].headers, tails[there].headers) == ([], [])
    await broker.outbox.put(here, key=None, value=b"", headers=(("n", b"later"),))
    again = await broker.outbox.tails({here: tails[here].end, there: tails[there].end})
    assert ([dict(words)["n"] for words in again[here].headers], again[there].headers) == ([b"later"], [])


async def test_positions_and_their_notes_outlive_a_member(broker: Broker) -> None:
    first = broker.member()
    await joined(first)
    await produce(broker, b"a", b"b", b"c")
    found = await read(first, 3)
    at = found[0].partition
    await first.commit({at: Position(offset=found[1].offset, note="bm90ZQ==")})
    await first.stop()
    second = broker.member()
    await joined(second)
    positions = await second.positions()
    assert positions[at] == Position(offset=found[1].offset, note="bm90ZQ==")
    assert set(positions) == {(broker.topic, 0), (broker.topic, 1)} or len(positions) > 2
    assert [one.value for one in await read(second, 2)] == [b"b", b"c"]
    await second.stop()


async def test_a_paused_source_gives_nothing_and_loses_nothing(broker: Broker) -> None:
    source = broker.member()
    await joined(source)
    source.flow(on=False)
    await produce(broker, b"a", b"b")
    assert await nothing_comes(source)
    source.flow(on=True)
    assert [one.value for one in await read(source, 2)] == [b"a", b"b"]
    await source.stop()


@several_members
async def test_a_second_member_has_everything_revoked_and_shared_out(broker: Broker) -> None:
    first, second = broker.member(), broker.member()
    ear = await joined(first)
    async with asyncio.TaskGroup() as group:
        polling = group.create_task(_keep_polling(first))
        await joined(second)
        await _until(lambda: ear.heard[-2:] == ["revoked", "assigned"])
        polling.cancel()
    ours, theirs = await first.positions(), await second.positions()
    assert ours
    assert theirs
    assert not ours.keys() & theirs.keys()
    with pytest.raises(Fenced):
        await first.commit({next(iter(theirs)): Position(offset=0)})
    await second.stop()
    await first.stop()


async def _keep_polling(source: Source) -> None:
    while True:
        await source.poll(limit=10, timeout_s=0.05)


@several_members
async def test_revoking_is_awaited_before_anything_is_shared_out(broker: Broker) -> None:
    order: list[str] = []

    async def revoked() -> None:
        order.append("revoking")
        await asyncio.sleep(0.3)
        order.append("revoked")

    async def assigned() -> None:
        order.append("assigned")

    first, second = broker.member(), broker.member()
    await first.start(Listener(revoked=revoked, assigned=assigned))
    await _until(lambda: "assigned" in order)
    order.clear()
    async with asyncio.TaskGroup() as group:
        polling = group.create_task(_keep_polling(first))
        await joined(second)
        await _until(lambda: "assigned" in order)
        polling.cancel()
    assert order[:3] == ["revoking", "revoked", "assigned"]
    await second.stop()
    await first.stop()


@several_members
async def test_a_poll_under_way_does_not_hold_up_a_rebalance(broker: Broker) -> None:
    """Who polls under a lock, and takes that lock when told to stop, must not wait for ever."""
    reading, ended = asyncio.Lock(), asyncio.Event()

    async def revoked() -> None:
        async with reading:
            pass

    async def assigned() -> None:
        pass

    async def read_under_the_lock(source: Source) -> None:
        while not ended.is_set():
            async with reading:
                await source.poll(limit=1, timeout_s=0.2)

    async def keep_producing() -> None:
        while not ended.is_set():
            await produce(broker, b"x")

    first = broker.member()
    await first.start(Listener(revoked=revoked, assigned=assigned))
    async with asyncio.TaskGroup() as group:
        group.create_task(read_under_the_lock(first))
        group.create_task(keep_producing())
        for _ in range(3):
            second = broker.member()
            await joined(second)
            await second.stop()
        ended.set()
    await first.stop()


async def _until(check: Callable[[], bool], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    async with asyncio.timeout(60):
        while not check():
            await sleep(0.02)
