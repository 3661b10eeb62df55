"""Starts and steers the real processes: Kafka by its script, the API, workers and load by their commands."""

import asyncio
import base64
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from pipeline.kafka_settings import KafkaSettings
from pipeline.topics import Topic, ensure

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "vagrant/provision/kafka.sh"
TWENTY_PERCENT: dict[str, Any] = {
    "latency": {"median_ms": 3, "sigma": 0.3},
    "faults": [
        {"kind": "status", "share": 0.07, "status": 503},
        {"kind": "status", "share": 0.02, "status": 503, "retry_after_s": 1},
        {"kind": "status", "share": 0.02, "status": 429, "retry_after_s": 1},
        {"kind": "status", "share": 0.03, "status": 500, "after_effect": True},
        {"kind": "reset", "share": 0.02},
        {"kind": "reset", "share": 0.02, "after_effect": True},
        {"kind": "reset_mid_body", "share": 0.01},
        {"kind": "short_body", "share": 0.006},
        {"kind": "hang", "share": 0.002, "after_effect": True},
        {"kind": "drip", "share": 0.001},
        {"kind": "slow_headers", "share": 0.001},
    ],
}


class KafkaCluster:
    """Kafka, driven by the project's own script."""

    def __init__(self, folder: Path, *, port: int, **environ: str) -> None:
        self._environ = {**os.environ, "KAFKA_DIR": str(folder), "KAFKA_PORT": str(port), **environ}
        self.bootstrap = ""
        self.secure_bootstrap = f"127.0.0.1:{port + 10}"  # where it was given a certificate

    def _script(self, *words: str) -> str:
        done = subprocess.run(
            [str(SCRIPT), *words], env=self._environ, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"kafka.sh {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def start(self, nodes: int) -> None:
        self.bootstrap = self._script("start", str(nodes)).splitlines()[-1]

    def kill(self, node: int = 1) -> None:
        self._script("sig", str(node), "KILL")

    def respawn(self, node: int = 1) -> None:
        self._script("respawn", str(node))

    def stop(self) -> None:
        self._script("stop")


@dataclass
class Program:
    """One process of the pipeline."""

    process: subprocess.Popen[bytes]
    log: Path
    ready: dict[str, Any] = field(default_factory=dict)

    def stop(self, *, number: int = signal.SIGTERM, within_s: float = 20) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end within {within_s} s: {self.words()[-2000:]}") from None
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
        return code

    def words(self) -> str:
        return self.log.read_text(errors="replace")

    def rss_mb(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")


class Rig:
    """All processes of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: list[Program] = []

    def start(self, *words: str, ready_within_s: float = 30, wait: bool = True) -> Program:
        log = self._folder / f"{words[0]}-{len(self._programs)}.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli", *words],
                stdout=subprocess.PIPE, stderr=errors, process_group=0, cwd=ROOT,
            )  # fmt: skip
        program = Program(process, log)
        self._programs.append(program)
        if wait:
            self.await_ready(program, within_s=ready_within_s)
        return program

    def await_ready(self, program: Program, *, within_s: float = 30) -> None:
        assert program.process.stdout is not None
        readable, _, _ = select.select([program.process.stdout], [], [], within_s)
        line = program.process.stdout.readline() if readable else b""
        assert line, f"not ready within {within_s} s: {program.words()[-2000:]}"
        program.ready = json.loads(line)

    def api(self, script: dict[str, Any] | None = None, *words: str) -> "Api":
        text = json.dumps(script or {})
        program = self.start("external-api", "--port", "0", "--control-port", "0", "--script", text, *words)
        return Api(program)

    def worker(
        self, kafka: KafkaCluster, api: "Api", topic: str, *words: str, wait: bool = True, ready_within_s: float = 60
    ) -> Program:
        flags = {
            "--kafka-bootstrap-servers": kafka.bootstrap,
            "--kafka-topic": topic,
            "--kafka-group": f"{topic}-group",
            "--api-url": api.url,
            "--worker-metrics-port": "0",
        }
        pairs = [word for pair in flags.items() for word in pair]
        return self.start("worker", *pairs, "--worker-ready-line", *words, wait=wait, ready_within_s=ready_within_s)

    def load(self, kafka: KafkaCluster, topic: str, *words: str, partitions: int = 4) -> dict[str, Any]:
        program = self.start(
            "load", "--bootstrap-servers", kafka.bootstrap, "--topic", topic, "--partitions", str(partitions), *words,
            ready_within_s=900,
        )  # fmt: skip
        program.stop()
        return program.ready

    def offer(self, kafka: KafkaCluster, topic: str, *, rate: float, seconds: float = 0.0) -> Program:
        """Begin a load at a rate; 0 seconds: until it is stopped."""
        make_topic(kafka, topic)
        return self.start(
            "load", "--bootstrap-servers", kafka.bootstrap, "--topic", topic,
            "--rate", str(rate), "--duration", str(seconds), wait=False,
        )  # fmt: skip

    @contextmanager
    def trickle(self, kafka: KafkaCluster, topic: str, *, rate: float = 50) -> Iterator[None]:
        """Keep a few records coming while the block runs, so that however slow or fast all is, there is work left."""
        make_topic(kafka, topic)
        before = sum(asyncio.run(_ends(kafka.bootstrap, topic)).values())
        load = self.offer(kafka, topic, rate=rate)
        eventually(lambda: sum(asyncio.run(_ends(kafka.bootstrap, topic)).values()) > before, within_s=60, what="load")
        yield
        load.process.send_signal(signal.SIGTERM)
        self.await_ready(load, within_s=120)  # it reports at its end
        assert load.process.wait(30) == 0

    def stop_all(self) -> None:
        for program in self._programs:
            if program.process.poll() is None:
                program.process.kill()
            program.process.wait()
            if program.process.stdout is not None:
                program.process.stdout.close()


class Api:
    """The simulated API and its books."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.url: str = program.ready["url"]
        self._control: str = program.ready["control_url"]

    def ledger(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self._control}/ledger", timeout=30, trust_env=False).json())

    def effects(self) -> int:
        return int(httpx.get(f"{self._control}/ledger/effects", timeout=30, trust_env=False).json())

    def accounts(self) -> dict[str, dict[str, Any]]:
        text = httpx.get(f"{self._control}/ledger/accounts", timeout=60, trust_env=False).text
        return {one["key"]: one for one in map(json.loads, text.splitlines())}

    def script(self, script: dict[str, Any]) -> None:
        httpx.put(f"{self._control}/script", content=json.dumps(script), timeout=10, trust_env=False).raise_for_status()

    def listen(self, *, on: bool) -> None:
        answer = httpx.put(f"{self._control}/listening", content=json.dumps(on), timeout=10, trust_env=False)
        answer.raise_for_status()


def resilience(worker: Program) -> dict[str, Any]:
    """Return what the worker says of itself."""
    return dict(httpx.get(f"{worker.ready['metrics_url']}/resilience", timeout=10, trust_env=False).json())


def eventually(check: Callable[[], bool], *, within_s: float, every_s: float = 0.1, what: str = "") -> float:
    """Wait until the check holds; return how long it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}"
        time.sleep(every_s)
    return time.monotonic() - began


def records(bootstrap: str, topic: str) -> list[Any]:
    """Return every record of a topic."""

    async def read() -> list[Any]:
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=16 * 2**20
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            found: list[Any] = []
            while any([await consumer.position(at) < end for at, end in ends.items()]):
                batches = await consumer.getmany(timeout_ms=500)
                found += [one for batch in batches.values() for one in batch]
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def make_topic(kafka: KafkaCluster, topic: str, *, partitions: int = 4) -> None:
    """See that a topic exists."""
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
    asyncio.run(ensure(settings, [Topic(name=topic, partitions=partitions)], create=True))


def committed_lag(bootstrap: str, topic: str) -> int:
    """Return how many offsets of a topic the worker's group has not committed."""
    ends, found = asyncio.run(_ends(bootstrap, topic)), asyncio.run(_noted(bootstrap, topic))
    return sum(end - (max(found[at].offset, 0) if at in found else 0) for at, end in ends.items())


def settled_places(bootstrap: str, topic: str) -> Callable[[int, int], bool]:
    """Return whether a successor knows that a partition's offset is done: by the committed offset, or by its note."""
    found = asyncio.run(_noted(bootstrap, topic))

    def settled(partition: int, offset: int) -> bool:
        at = found.get(TopicPartition(topic, partition))
        if at is None or at.offset < 0:
            return False
        step, bits = offset - at.offset, base64.b64decode(at.metadata.partition(";")[0])
        return step < 0 or (step // 8 < len(bits) and bool(bits[step // 8] >> step % 8 & 1))

    return settled


async def _ends(bootstrap: str, topic: str) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return dict(await consumer.end_offsets(consumer.assignment()))
    finally:
        await consumer.stop()


async def _noted(bootstrap: str, topic: str) -> dict[TopicPartition, Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return dict(await admin.list_consumer_group_offsets(f"{topic}-group"))
    finally:
        await admin.close()
