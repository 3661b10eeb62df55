"""What the policies cost: the worker from Kafka to the API against the bare HTTP client, each on one core of its own."""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from aiokafka import AIOKafkaConsumer
from hdrh.histogram import HdrHistogram

from pipeline.simulators.hostile_api import OK, HostileApi
from tests.integration.pipeline.conftest import free_ports
from tests.integration.pipeline.rig import KafkaCluster, Program, Rig, committed_lag, eventually, resilience
from tests.support.figures import Figure, write

COMMAND = "python -m tests.bench.pipeline.bench_worker"
DELAY_MS = 10
PLACES = 64
RECORDS = 20_000
ROUNDS = 3
PACED_S = 4
PACED_ROUNDS = 31
ADDED_P99_MS = 3
TARGET_PER_S = 2000.0
CLIENT_CORE, REST_CORE = 0, 1
BODY = b'{"intended_ns":1790000000000000000,"order":1,"pad":"' + b"x" * 100 + b'"}'
_HERE = "tests.bench.pipeline.bench_worker"


class Place:
    """The API of the benchmark where the worker is to find it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/delay-{DELAY_MS}"


async def serve() -> None:
    """Serve an API that takes 10 ms; each line on standard input is answered with the requests so far and when."""
    api = HostileApi()
    await api.start()
    print(api.port, flush=True)
    await asyncio.Event().wait()


async def bare(url: str, count: int) -> float:
    """Call in a loop with the client alone, as fast as 64 places allow; return the calls per second."""
    limits = httpx2.Limits(max_connections=PLACES, max_keepalive_connections=PLACES)
    numbers = iter(range(count))
    async with httpx2.AsyncClient(limits=limits, timeout=60.0, trust_env=False) as client:

        async def place() -> None:
            for number in numbers:
                headers = {
                    "content-type": "application/json",
                    "idempotency-key": f"bench-{number}",
                    "x-request-id": f"r-{number}",
                    "traceparent": f"00-{number + 1:032x}-00f067aa0ba902b7-01",
                }
                response = await client.post(f"{url}/orders", content=BODY, headers=headers)
                assert response.status_code == 200

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(PLACES):
                group.create_task(place())
        return count / (time.perf_counter() - began)


class _Line(asyncio.Protocol):
    """A connection of the barest client there is: it counts bytes."""

    def __init__(self, answered: Callable[["_Line"], None]) -> None:
        self._answered = answered
        self._left = 0
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes, since: float) -> None:
        self._left, self.since = len(OK), since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left == 0:
            self._answered(self)


class _Barest:
    """The barest worker there is: from Kafka to bare sockets, without a policy, a commit, or a look at the record."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        path = self._parts.path.encode()
        head = b"POST %s/orders HTTP/1.1\r\nHost: api\r\nContent-Length: %d\r\n\r\n" % (path, len(BODY))
        self._request = head + BODY
        self._free: list[_Line] = []
        self._waiting: deque[float] = deque()
        self.took: list[float] = []

    async def connect(self) -> None:
        loop, parts = asyncio.get_running_loop(), self._parts
        for _ in range(PLACES):
            _, line = await loop.create_connection(lambda: _Line(self._answered), parts.hostname, parts.port)
            self._free.append(line)

    def take(self, count: int) -> None:
        self._waiting.extend([time.perf_counter()] * count)
        while self._waiting and self._free:
            self._free.pop().ask(self._request, self._waiting.popleft())

    def _answered(self, line: _Line) -> None:
        self.took.append(time.perf_counter() - line.since)
        self._free.append(line)
        self.take(0)


async def barest(url: str, bootstrap: str, topic: str, count: int) -> None:
    """Carry what comes to a topic from now on; print when ready, and then the quantiles of the latency."""
    worker = _Barest(url)
    await worker.connect()
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="latest", fetch_max_wait_ms=100)
    await consumer.start()
    await consumer.seek_to_end()
    print("ready", flush=True)
    while len(worker.took) < count:
        batches = await consumer.getmany(timeout_ms=200, max_records=100)
        worker.take(sum(map(len, batches.values())))
    await consumer.stop()
    took = sorted(worker.took[count // 20 :])  # it has just begun; the worker is warm
    print(json.dumps({"p99_ms": took[int(len(took) * 0.99)] * 1000, "p50_ms": took[len(took) // 2] * 1000}))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Have what is started within run on this core; only there where the machine has several."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core} if core in before else before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run_alone(*words: str) -> Any:
    """Run one of the clients in a process of its own, on the worker's core."""
    with on_core(CLIENT_CORE):
        done = subprocess.run([sys.executable, "-m", _HERE, *words], capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


def start_worker(rig: Rig, kafka: KafkaCluster, url: str, topic: str) -> Program:
    place = Place(0)
    place.url = url
    with on_core(CLIENT_CORE):
        return rig.worker(kafka, place, topic, "--worker-log-level", "error", "--call-max-in-flight", str(PLACES))


def settled(worker: Program) -> int:
    return int(resilience(worker)["records"]["succeeded"])


def whole_topic(rig: Rig, kafka: KafkaCluster, url: str, topic: str) -> float:
    """Return the records per second from the first one delivered until every offset is committed."""
    rig.load(kafka, topic, "--count", str(RECORDS), "--unpaced")
    worker = start_worker(rig, kafka, url, topic)
    eventually(lambda: settled(worker) > 500, within_s=30, every_s=0.01)  # connections are open
    first, began = settled(worker), time.perf_counter()
    eventually(lambda: settled(worker) >= RECORDS, within_s=120, every_s=0.05)
    seconds = time.perf_counter() - began
    eventually(lambda: committed_lag(kafka.bootstrap, topic) == 0, within_s=10, every_s=0.1)
    assert worker.stop() == 0
    return (RECORDS - first) / seconds


class Paced:
    """The worker, and the barest there is, each offered the target rate for a while, again and again."""

    def __init__(self, rig: Rig, kafka: KafkaCluster, url: str) -> None:
        self._rig, self._kafka, self._url = rig, kafka, url
        for topic in ("paced", "bare"):
            rig.load(kafka, topic, "--count", "1", "--unpaced")  # the topic has to be there
        self.worker = start_worker(rig, kafka, url, "paced")
        self._sent = 1
        self.round()  # connections are open, and what is imported on first use is there

    def _offer(self, topic: str) -> dict[str, Any]:
        with on_core(REST_CORE):
            words = ("--rate", str(TARGET_PER_S), "--duration", str(PACED_S), "--run", f"round-{self._sent}")
            return self._rig.load(self._kafka, topic, *words)

    def bare(self) -> dict[str, float]:
        """Return the latency of the barest worker, of one round: the API, the kernel, Kafka's bursts and the machine."""
        words = ("barest", self._url, self._kafka.bootstrap, "bare", str(int(TARGET_PER_S * PACED_S)))
        with on_core(CLIENT_CORE):
            process = subprocess.Popen([sys.executable, "-m", _HERE, *words], stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            self._offer("bare")
            return dict(json.loads(process.stdout.readline()))

    def round(self) -> dict[str, float]:
        """Return the worker's latency and the rate that came, of one round."""
        before = self._histograms()
        report = self._offer("paced")
        self._sent += report["acknowledged"]
        eventually(lambda: settled(self.worker) >= self._sent, within_s=60)
        total, call = map(since, self._histograms(), before)
        return {
            "achieved_per_s": report["achieved_per_s"],
            "p99_ms": total.get_value_at_percentile(99.0) / 1000,
            "p50_ms": total.get_value_at_percentile(50.0) / 1000,
            "call_p99_ms": call.get_value_at_percentile(99.0) / 1000,
        }

    def _histograms(self) -> tuple[HdrHistogram, HdrHistogram]:
        url = f"{self.worker.ready['metrics_url']}/latency"
        both = httpx2.get(url, trust_env=False).json()["histograms"]
        return HdrHistogram.decode(both["total_us"]), HdrHistogram.decode(both["call_us"])


def since(now: HdrHistogram, before: HdrHistogram) -> HdrHistogram:
    """Return what a histogram took in since an earlier reading."""
    new = HdrHistogram(1, 600_000_000, 3)
    for item in now.get_recorded_iterator():
        at = item.value_iterated_to
        if count := item.count_at_value_iterated_to - before.get_count_at_value(at):
            new.record_value(at, count)
    return new


def between(differences: list[float]) -> tuple[float, float]:
    """Return where the median of what these are a sample of lies, with 95% confidence (bootstrap)."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(differences, k=len(differences))) for _ in range(4000))
    return medians[100], medians[-101]


def start_to_first(rig: Rig, kafka: KafkaCluster, url: str) -> float:
    """Return the seconds from the start of the process until the first record is delivered."""
    topic = "first"
    rig.load(kafka, topic, "--count", "10", "--unpaced")
    began = time.perf_counter()
    worker = start_worker(rig, kafka, url, topic)
    eventually(lambda: settled(worker) > 0, within_s=30, every_s=0.005)
    seconds = time.perf_counter() - began
    assert worker.stop() == 0
    return seconds


def figures(measured: dict[str, float]) -> list[Figure]:
    share = measured["worker_per_s"] / measured["bare_per_s"] * 100
    low, high = measured["added_p99_low_ms"], measured["added_p99_high_ms"]
    api = f"an API that takes {DELAY_MS} ms, {PLACES} places, client or worker alone on one core"
    open_load = f"open load of {TARGET_PER_S:.0f}/s for {PACED_S} s ({measured['achieved_per_s']:.0f}/s came)"
    against = f"{PACED_ROUNDS} pairs of rounds in turns, one of them with bare sockets behind a bare consumer under the same load"

    def figure(name: str, value: float, unit: str, target: float | None, *, met: bool | None, how: str, base: float | None = None) -> Figure:  # fmt: skip
        return Figure(
            figure=name, value=round(value, 2), unit=unit, target=target, met=met,
            baseline=None if base is None else round(base, 2), method=how, command=COMMAND,
        )  # fmt: skip

    return [
        figure("worker, Kafka to committed, of the bare client", share, "%", 75, met=share >= 75, base=100.0,
               how=f"{RECORDS} records against as many httpx2 posts in a loop, in turns, medians of {ROUNDS}; {api}"),
        figure("worker, Kafka to committed", measured["worker_per_s"], "1/s", TARGET_PER_S,
               met=measured["worker_per_s"] >= TARGET_PER_S, base=measured["bare_per_s"],
               how=f"median of {ROUNDS}; baseline: the bare client; {api}"),
        figure("worker: p99 added to the API's", measured["added_p99_ms"], "ms", ADDED_P99_MS, met=_told(low, high),
               base=measured["api_p99_ms"],
               how=f"p99 from read to answered less that of bare sockets behind a bare consumer, so the API's under the same bursts; {open_load}; median of the differences of {against};"
                   f" 95% confidence: {low:.2f} to {high:.2f} ms (bootstrap)"),
        figure("worker: p99 from read to answered less p99 of the call", measured["before_p99_ms"], "ms", None, met=None,
               how=f"both by the worker's own histograms: what waits and is prepared before the call; median of {against}"),
        figure("worker: median added to the API's", measured["added_p50_ms"], "ms", None, met=None,
               base=measured["api_p50_ms"], how=f"as the p99; median of {against}"),
        figure("worker: resident memory", measured["rss_mb"], "MiB", 120, met=measured["rss_mb"] <= 120,
               how=f"VmRSS after {PACED_ROUNDS} rounds of an {open_load}"),
        figure("worker: start to first record delivered", measured["first_s"], "s", 3, met=measured["first_s"] <= 3,
               how="median of 3, from exec to delivered, joining the group included"),
    ]  # fmt: skip


def _told(low_ms: float, high_ms: float) -> bool | None:
    """Return whether the target is met; None where it lies within the interval, so that it is not settled."""
    return None if low_ms <= ADDED_P99_MS < high_ms else high_ms <= ADDED_P99_MS


def measure(rig: Rig, kafka: KafkaCluster, url: str) -> dict[str, float]:
    bares, workers = [], []
    for number in range(ROUNDS):
        bares.append(run_alone("bare", url, str(RECORDS)))
        workers.append(whole_topic(rig, kafka, url, f"whole-{number}"))
        print(f"bare {bares[-1]:.0f}/s, worker {workers[-1]:.0f}/s", flush=True)
    return {
        **paired(rig, kafka, url),
        "bare_per_s": statistics.median(bares),
        "worker_per_s": statistics.median(workers),
        "first_s": statistics.median(start_to_first(rig, kafka, url) for _ in range(3)),
    }


def paired(rig: Rig, kafka: KafkaCluster, url: str) -> dict[str, float]:
    """Return what the worker adds to the barest one, each in its turn, so that the machine's moods hit both."""
    paced, pairs = Paced(rig, kafka, url), []
    for number in range(PACED_ROUNDS):
        first = paced.bare() if number % 2 else None
        under = paced.round()
        pairs.append((first or paced.bare(), under))
        print(f"barest {pairs[-1][0]}, worker {under}", flush=True)
    rss_mb = paced.worker.rss_mb()
    assert paced.worker.stop() == 0
    added = [under["p99_ms"] - alone["p99_ms"] for alone, under in pairs]
    low, high = between(added)
    return {
        "achieved_per_s": statistics.median(under["achieved_per_s"] for _, under in pairs),
        "api_p99_ms": statistics.median(alone["p99_ms"] for alone, _ in pairs),
        "api_p50_ms": statistics.median(alone["p50_ms"] for alone, _ in pairs),
        "added_p99_ms": statistics.median(added),
        "added_p99_low_ms": low,
        "added_p99_high_ms": high,
        "before_p99_ms": statistics.median(under["p99_ms"] - under["call_p99_ms"] for _, under in pairs),
        "added_p50_ms": statistics.median(under["p50_ms"] - alone["p50_ms"] for alone, under in pairs),
        "rss_mb": rss_mb,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        cluster = KafkaCluster(Path(folder) / "kafka", port=free_ports(2))
        server = None
        try:
            with on_core(REST_CORE):
                cluster.start(1)
                server = subprocess.Popen([sys.executable, "-m", _HERE, "serve"], stdout=subprocess.PIPE)
            assert server.stdout is not None
            measured = measure(rig, cluster, Place(int(server.stdout.readline())).url)
        finally:
            rig.stop_all()
            if server is not None:
                server.kill()
                server.wait()
            cluster.stop()
    print(json.dumps(measured, indent=1))
    write("pipeline", figures(measured))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(serve())
        case ["bare", url, count]:
            print(json.dumps(asyncio.run(bare(url, int(count)))))
        case ["barest", url, bootstrap, topic, count]:
            asyncio.run(barest(url, bootstrap, topic, int(count)))
        case _:
            main()
