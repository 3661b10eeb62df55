"""What measuring costs: CPU of recording an exchange, of a scrape, of a snapshot; and memory after a long time."""

import gc
import random
import resource
import time
from functools import partial

from collector.domain.metrics import WINDOWS
from collector.metrics.engine import Engine
from tests.support.exchanges import exchange
from tests.support.figures import measured, write

SECOND = 1_000_000_000
NOW = 3600 * SECOND
RATE = 5000
SLOW = 150
BATCH = 25  # what a drain every 5 ms brings
COMMAND = "python -m tests.bench.metrics.bench_metrics"
figure = partial(measured, COMMAND)


def events(number, routes, *, every_ns=SECOND // RATE):
    """Exchanges of both sides, as they would come one after another."""
    draw = random.Random(1)
    return [
        exchange(
            began_ns=at * every_ns, elapsed_ms=draw.lognormvariate(2, 0.5), wait_ms=draw.lognormvariate(2, 0.5), read_delay_ms=draw.random(),
            role=("client", "server")[at % 2], route=f"/v1/things/{draw.randrange(routes)}", connection_id=at % 23, trace_id=f"{at:032x}",
            **({"status_code": 503, "outcome": "http_error"} if at % 50 == 0 else {}),
        )
        for at in range(number)
    ]  # fmt: skip


def recorded(told, now=NOW, engine=None, *, every_ns=SECOND // RATE):
    """Record them in batches; return the engine and the CPU time of it, seconds."""
    engine = engine or Engine()
    began = time.process_time()
    for at in range(0, len(told), BATCH):
        now += BATCH * every_ns
        engine.record(told[at : at + BATCH], now)
        engine.tick(now)
    return engine, time.process_time() - began


def times(action, turns=25):
    """The least CPU time of an action, milliseconds."""
    spent = []
    for _ in range(turns):
        began = time.process_time()
        action()
        spent.append((time.process_time() - began) * 1000)
    return min(spent)


def samples(engine):
    return sum(not line.startswith(b"#") for line in engine.exposition(openmetrics=False).splitlines())


def resident_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def hour():
    """MiB that an hour of 150 exchanges a second leaves."""
    told = events(15_000, 100, every_ns=SECOND // SLOW)
    engine = Engine()
    gc.collect()
    before, now = resident_mib(), NOW
    for _ in range(3600 * SLOW // len(told)):
        recorded(told, now, engine, every_ns=SECOND // SLOW)
        now += len(told) * SECOND // SLOW
    return resident_mib() - before, engine


def main():
    left, long_running = hour()
    found = [
        figure("memory of the metrics after an hour", left, "MiB", 40,
               method="growth of the peak RSS, 150 exchanges/s over 100 routes on each side"),
        *(
            figure(f"snapshot over {window} after an hour", times(lambda window=window: long_running.network(window=window)), "ms", None,
                   method="CPU time, 100 routes on each side, the 25 busiest told; best of 25")
            for window in WINDOWS
        ),
    ]  # fmt: skip
    told = events(10_000, 20)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    spent = min(recorded(told)[1] for _ in range(25))
    engine, _ = recorded(told)
    found.insert(
        0,
        figure(
            "metrics: CPU per exchange",
            spent / len(told) * 1e6,
            "us",
            3,
            method="10,000 exchanges in batches of 25, 20 routes, both sides, 5,000/s; best of 25",
        ),
    )
    few, _ = recorded(events(20_000, 15))
    for openmetrics in (False, True):
        for subject, what in ((few, "1,000 series"), (engine, "20 routes"), (long_running, "100 routes")):
            number = samples(subject)
            found.append(
                figure(
                    f"scrape with {what}, {'OpenMetrics' if openmetrics else 'text'}",
                    times(lambda one=subject, form=openmetrics: one.exposition(openmetrics=form)), "ms",
                    50 if what == "1,000 series" else None, method=f"CPU time of the exposition of {number:,} samples; best of 25",
                )
            )  # fmt: skip
    write("metrics", found)
    for one in found:
        print(f"{one.figure}: {one.value} {one.unit} ({one.method})")


if __name__ == "__main__":
    main()
