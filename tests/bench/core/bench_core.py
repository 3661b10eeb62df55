"""How fast recorded calls become exchanges and JSON, on one core: 23 keep-alive connections, both ends, httpx and uvicorn heads."""

import gc
import resource
import time

import msgspec

from collector.correlate.correlator import Correlator
from collector.domain.observed import Caller, Changed
from collector.kernel import abi
from collector.kernel.decoding import Decoder
from tests.support.figures import Figure, write
from tests.support.traffic import COMM, LOOPBACK, KnowsNothing

REQUEST = (
    b"POST /v1/orders/%d HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Connection: keep-alive\r\nUser-Agent: python-httpx2/2.16\r\ntraceparent: 00-%032x-00f067aa0ba902b7-01\r\n"
    b"Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 06:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: 15\r\n"
    b'content-type: application/json\r\n\r\n{"status":"ok"}'
)
REQUESTS = 40_000
BATCH = 2000


CALLER = Caller(5, 1, 42, 42, 1, 0, COMM, LOOPBACK, LOOPBACK, 40000, 8080, 2)


def opened(cookie, flags):
    return Changed(
        1000, cookie, 900, 1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 10, 0, 1, 2, 1, flags, 0, CALLER,
    )  # fmt: skip


def recorded():
    """The bytes of a ring and where its records stand in them."""
    ring, places, offsets, now = bytearray(), [], {}, 10_000
    caller = abi.CALLER.pack(*msgspec.structs.astuple(CALLER))
    for number in range(REQUESTS):
        asked = REQUEST % (number % 500, number + 1)
        client, server = 100 + number % 23, 200 + number % 23
        for cookie, direction, text in (
            (client, 0, asked), (server, 1, asked), (server, 0, RESPONSE), (client, 1, RESPONSE),
        ):  # fmt: skip
            now += 5000
            at = offsets.get((cookie, direction), 0)
            offsets[(cookie, direction)] = at + len(text)
            ring += bytes(-len(ring) % 8)
            places.append(len(ring))
            ring += abi.MOVED.pack(
                abi.RECORD_MOVED, 0, 0, abi.MOVED.size + len(text), len(places) - 1, now, cookie, at,
                now - 2000 if direction else 0, len(text), len(text), 10, 10, 0, 44, direction, 0, caller,
            )  # fmt: skip
            ring += text
    return bytes(ring), places


def run(ring, places):
    core = Correlator(run_id="bench", wall_offset_ns=1_790_000_000_000_000_000, processes=KnowsNothing())
    core.receive_all([opened(100 + n, 4) for n in range(23)] + [opened(200 + n, 0) for n in range(23)])
    encode, decode = msgspec.json.Encoder().encode, Decoder({}).decode
    told = 0
    started = time.process_time()
    for at in range(0, len(places), BATCH):
        events = core.receive_all(decode(ring, places[at : at + BATCH]))
        b"\n".join([encode(event) for event in events])
        told += len(events)
    assert told == 2 * REQUESTS
    return (time.process_time() - started) / told * 1e6


def main():
    ring, places = recorded()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    best = min(run(ring, places) for _ in range(3))
    method = "CPU time of unpacking, correlating and encoding 2 x 40,000 exchanges; best of 3"
    command = "python -m tests.bench.core.bench_core"
    rate = 1e6 / best
    write(
        "core",
        [
            Figure(
                figure="exchanges decoded and correlated on one core", value=round(rate), unit="1/s", target=100_000,
                met=rate >= 100_000, baseline=None, method=method, command=command,
            ),
            Figure(
                figure="CPU per exchange, decode to JSON", value=round(best, 2), unit="us", target=8, met=best <= 8,
                baseline=None, method=method, command=command,
            ),
        ],
    )  # fmt: skip
    print(f"{rate:.0f} exchanges/s, {best:.2f} us each, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} KiB")


if __name__ == "__main__":
    main()
