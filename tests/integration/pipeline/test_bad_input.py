"""Hostile records on real Kafka and an API that lies: each ends in its place, nothing reaches the wire, the worker goes on."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import Producer

from pipeline.kafka_settings import KafkaSettings
from pipeline.simulators.hostile_api import HostileApi
from pipeline.topics import Topic, ensure
from tests.integration.pipeline.rig import Api, KafkaCluster, Program, Rig, eventually, records, resilience

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]  # the first to need Kafka: it may have to be fetched

INJECTION = "x\r\nX-Injected: 1"
TEN_MB = b'{"route":"/ok","payload":"' + b"x" * 10_000_000 + b'"}'
POISON: dict[str, tuple[bytes | None, str]] = {
    "not JSON": (b"\x00\x01\x02", "not_json"),
    "empty": (b"", "not_json"),
    "cut off": (b'{"route":"/ok","id":"a', "not_json"),
    "two documents": (b'{"route":"/ok"}{"route":"/ok"}', "not_json"),
    "a list": (b"[1,2]", "schema"),
    "wrong type": (b'{"route":7}', "schema"),
    "no route": (b'{"payload":1}', "schema"),
    "unknown member": (b'{"route":"/ok","surprise":1}', "schema"),
    "unknown method": (b'{"route":"/ok","method":"BREW"}', "schema"),
    "line end in the id": (json.dumps({"route": "/ok", "id": INJECTION}).encode(), "schema"),
    "line end in the route": (json.dumps({"route": "/ok HTTP/1.1\r\nX-Injected: 1"}).encode(), "schema"),
    "climbing route": (b'{"route":"/ok/{n}","params":{"n":".."}}', "schema"),
    "UTF-16": ('{"route":"/ok"}'.encode("utf-16"), "encoding"),
    "Latin-1 in the payload": ('{"route":"/ok","payload":"\u00e9t\u00e9"}'.encode("latin-1"), "encoding"),
    "nested without end": (b'{"route":"/ok","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
    "10 MB": (TEN_MB, "too_large"),
    "null": (None, "null_value"),
}
HOSTILE_HEADERS = [
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Injected: 1"),
    ("tracestate", b"a=1\r\nX-Injected: 1"),
    ("x-request-id", INJECTION.encode()),
    ("idempotency-key", INJECTION.encode()),
    ("h\r\nX-Injected", b"1"),
]
CODECS = ("gzip", "snappy", "lz4", "zstd")
LIES = ("short-body", "bad-chunks", "two-lengths", "garbage", "endless", "endless-head", "reset-mid-body", "long-body")


@pytest.fixture
async def api() -> AsyncIterator[HostileApi]:
    server = HostileApi(keep=True)
    await server.start()
    yield server
    await server.stop()


class _Place(Api):
    def __init__(self, server: HostileApi) -> None:
        self.url = f"http://127.0.0.1:{server.port}"


async def started(kafka: KafkaCluster, rig: Rig, server: HostileApi, topic: str) -> Program:
    return await asyncio.to_thread(
        rig.worker, kafka, _Place(server), topic, "--worker-log-level", "error", "--rounds-max", "2",
        "--rounds-pause-s", "0.05", "--call-attempt-timeout-s", "1", "--call-deadline-s", "2.5",
        "--breaker-min-calls", "100000", "--breaker-consecutive-failures", "100000",
    )  # fmt: skip


async def until(check: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, check, within_s=60)


async def producer(kafka: KafkaCluster, topic: str) -> AIOKafkaProducer:
    await ensure(KafkaSettings(bootstrap_servers=kafka.bootstrap), [Topic(name=topic, partitions=2)], create=True)
    one = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=12_000_000)
    await one.start()
    return one


def counts(worker: Program) -> dict[str, int]:
    return dict(resilience(worker)["records"])


async def test_poison_is_buried_byte_for_byte_and_its_neighbours_arrive(
    kafka: KafkaCluster, rig: Rig, api: HostileApi
) -> None:
    topic = "bad-input"
    sending = await producer(kafka, topic)
    for number, (name, (value, _)) in enumerate(POISON.items()):
        good = json.dumps({"route": "/ok", "id": f"good-{number}", "payload": number}).encode()
        await sending.send_and_wait(topic, value=value, key=name.encode(), partition=0)
        await sending.send_and_wait(topic, value=good, partition=0, headers=HOSTILE_HEADERS)
    await sending.stop()
    worker = await started(kafka, rig, api, topic)
    await until(lambda: counts(worker)["succeeded"] + counts(worker)["dead_lettered"] == 2 * len(POISON))
    assert await asyncio.to_thread(worker.stop) == 0
    letters = {
        letter.key.decode(): letter
        for letter in await asyncio.to_thread(records, kafka.bootstrap, f"{topic}.dead-letter")
    }
    assert {
        name: (letter.value, dict(letter.headers)["x-dead-letter-reason"].decode()) for name, letter in letters.items()
    } == POISON
    for name, letter in letters.items():
        expected = hashlib.sha256(POISON[name][0] or b"").hexdigest()
        assert dict(letter.headers)["x-origin-sha256"].decode() == expected
    assert len(api.requests) == len(POISON)
    for _, head, body in api.requests:
        assert b"injected" not in head.lower()
        assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r")
        assert body.isdigit()


class _Latin1(str):
    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


async def produce_batch_with_a_bad_header_name(kafka: KafkaCluster, topic: str) -> None:
    """Three records in one batch, the second with a header whose name is not UTF-8; and another one behind it."""
    sending = await producer(kafka, topic)
    batch = _DefaultRecordBatchBuilderPy(2, 0, False, -1, -1, 0, 2**20)
    for number, name in enumerate((_Latin1("h"), _Latin1("\u00fc"), _Latin1("h"))):
        value = json.dumps({"route": "/ok", "id": f"batch-{number}"}).encode()
        batch.append(number, int(time.time() * 1000), None, value, [(name, b"1")])
    request = ProduceRequest(
        transactional_id=None, required_acks=-1, timeout=5000, topics=[(topic, [(0, bytes(batch.build()))])]
    )
    await sending.partitions_for(topic)  # so that it knows who leads them
    leader = sending.client.cluster.leader_for_partition(TopicPartition(topic, 0))
    answer = await sending.client.send(leader, request)
    assert "error_code=0" in str(answer)
    await sending.send_and_wait(topic, value=b'{"route":"/ok","id":"behind"}', partition=0)
    await sending.stop()


async def test_what_other_clients_produce_is_read(kafka: KafkaCluster, rig: Rig, api: HostileApi) -> None:
    """Compressed in every way, with key and value both null, with a header's name in Latin-1: aiokafka makes none of these."""
    topic = "others"
    await (await producer(kafka, topic)).stop()
    for codec in CODECS:
        sending = Producer({"bootstrap.servers": kafka.bootstrap, "compression.type": codec})
        sending.produce(topic, value=json.dumps({"route": "/ok", "id": codec, "payload": "x" * 1000}).encode())
        assert sending.flush(30) == 0
    sending.produce(topic, key=None, value=None, headers=[("h", b"\x00\xff")])
    sending.produce(topic, key=b"", value=b"", headers=[])
    assert sending.flush(30) == 0
    worker = await started(kafka, rig, api, topic)
    await until(lambda: counts(worker)["dead_lettered"] == 2 and counts(worker)["succeeded"] == len(CODECS))
    await produce_batch_with_a_bad_header_name(kafka, topic)
    await until(lambda: counts(worker)["dead_lettered"] == 4 and counts(worker)["succeeded"] == len(CODECS) + 2)
    assert await asyncio.to_thread(worker.stop) == 0
    letters = await asyncio.to_thread(records, kafka.bootstrap, f"{topic}.dead-letter")
    unreadable = [words for words in (dict(one.headers) for one in letters) if "x-value-omitted" in words]
    assert {words["x-dead-letter-reason"] for words in unreadable} == {b"unreadable"}
    offsets = [int(words["x-origin-offset"]) for words in unreadable]
    assert offsets == [offsets[0], offsets[0] + 1], "the one with the bad name, and the one behind it in its batch"
    letters = [one for one in letters if "x-value-omitted" not in dict(one.headers)]
    found = {dict(one.headers)["x-dead-letter-reason"]: (one.key, one.value, dict(one.headers)) for one in letters}
    key, value, headers = found[b"null_value"]
    assert (key, value, headers["x-null-value"], headers["h"]) == (None, b"", b"1", b"\x00\xff")
    assert found[b"not_json"][:2] == (b"", b"")


async def test_an_api_that_lies_costs_only_the_record_it_lies_about(
    kafka: KafkaCluster, rig: Rig, api: HostileApi
) -> None:
    topic = "lies"
    sending = await producer(kafka, topic)
    for number, behaviour in enumerate(LIES):
        for route in (f"/{behaviour}", "/ok"):
            value = json.dumps({"route": route, "id": f"{route[1:]}-{number}"}).encode()
            await sending.send_and_wait(topic, value=value, key=route.encode(), partition=number % 2)
    await sending.stop()
    worker = await started(kafka, rig, api, topic)
    await until(lambda: counts(worker)["succeeded"] + counts(worker)["parked"] == 2 * len(LIES))
    assert worker.rss_mb() < 120
    assert await asyncio.to_thread(worker.stop) == 0
    parked = await asyncio.to_thread(records, kafka.bootstrap, f"{topic}.parked")
    outcomes = {one.key.decode(): json.loads(dict(one.headers)["x-parked-outcome"])["type"] for one in parked}
    assert outcomes == {
        f"/{lie}": "unknown" for lie in LIES if lie != "long-body"
    }  # whose answer is whole; the rest is dropped
    keys = [head.lower().partition(b"idempotency-key: ")[2].partition(b"\r\n")[0] for _, head, _ in api.requests]
    assert len(set(keys)) == 2 * len(LIES)
