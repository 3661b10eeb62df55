"""What a loopback send and receive cost with the programs attached: observed, filtered out, and every other system call.

pair.c times rounds; in between, programs come and go: baseline, observed and filtered rounds alternate, medians are compared.
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from collector.kernel import abi, loader, maps
from collector.kernel.request import Filters, LoadRequest
from collector.kernel.ring import Ring
from tests.support.figures import Figure, write

ROUNDS = 7
PAIRS = 20_000
COMMAND = "python -m tests.bench.kernel.bench_pair_cost"


@contextlib.contextmanager
def attached(rung, filters):
    """The rung loaded with these filters, its ring emptied every 5 ms."""
    request = LoadRequest(rung=rung, cache="/var/cache/netscope")
    _, loaded = loader.load(request)
    maps.watch(loaded.maps, filters, generation=9)
    ring = Ring(loaded.maps[abi.MAP_EVENTS], request.ring_size, {})
    done = threading.Event()

    def drain():
        while not done.wait(0.005):
            ring.drop()

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        ring.close()
        loaded.close()


@contextlib.contextmanager
def reference(*words):
    """One of the programs that ours are compared with."""
    command = [sys.executable, "-m", "tests.bench.kernel.reference_programs", *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"attached\n"
        yield
        process.stdin.close()


def measure(rung):
    """name -> list of (ns per pair, ns per getppid), one a round."""
    results = {"none": [], "observed": [], "filtered": [], "usual": [], "empty": [], "least": []}
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "pair"
        subprocess.run(["gcc", "-O2", "-o", binary, Path(__file__).with_name("pair.c")], check=True)
        for _ in range(ROUNDS):
            pairs = ["taskset", "-c", "0", binary, str(PAIRS), "200"]
            with subprocess.Popen(pairs, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

                def take(name, process=process):
                    process.stdin.write("x")
                    process.stdin.flush()
                    results[name].append(tuple(map(float, process.stdout.readline().split())))

                time.sleep(0.05)
                take("none")
                with attached(rung, Filters(pids=(1,))):
                    take("filtered")
                with attached(rung, Filters(pids=(process.pid,))):
                    take("observed")
                with reference("usual", process.pid):
                    take("usual")
                with reference("empty"):
                    take("empty")
                with reference("least", process.pid):
                    take("least")
                process.stdin.close()
    return results


def main():
    figures = []
    for rung, targets in (("length", (600, 250, 0)), ("exit", (None, None, None)), ("enter", (None, None, None))):
        results = measure(rung)
        base_pair, base_call = (statistics.median(column) for column in zip(*results["none"], strict=True))
        observed = statistics.median(one[0] for one in results["observed"]) - base_pair
        filtered = statistics.median(one[0] for one in results["filtered"]) - base_pair
        others = statistics.median(one[1] for one in results["observed"]) - base_call
        method = f"medians of {ROUNDS} alternating rounds of {PAIRS} pairs of 200 bytes on one CPU"
        for name, value, target in zip(
            (
                "added per send and receive pair, observed",
                "added per pair, filtered out",
                "added to another system call",
            ),
            (observed, filtered, others),
            targets,
            strict=True,
        ):
            slack = 5 if target == 0 else 0  # ns: what the clock cannot tell apart
            figures.append(
                Figure(
                    figure=f"{name} (rung {rung})", value=round(value), unit="ns", target=target,
                    met=None if target is None else value <= target + slack, baseline=round(base_call if "call" in name else base_pair),
                    method=method, command=COMMAND,
                )
            )  # fmt: skip
            print(f"{figures[-1].figure}: {value:.0f} ns (baseline {figures[-1].baseline} ns)")
        for name, what in (
            ("usual", "by four system call tracepoints and a hash map, for comparison"),
            (
                "empty",
                "by programs that return at once at the three tracepoints of rung length: what no program can go below",
            ),
            (
                "least",
                "by programs that only read the bytes there and pass them on: what no observer of them can go below",
            ),
        ):
            value = statistics.median(one[0] for one in results[name]) - base_pair
            figures.append(
                Figure(
                    figure=f"added per pair {what} (beside rung {rung})", value=round(value), unit="ns", target=None, met=None,
                    baseline=round(base_pair), method=method, command=COMMAND,
                )
            )  # fmt: skip
            print(f"{figures[-1].figure}: {value:.0f} ns, {value / observed:.2f} times ours")
    write("kernel", figures)


if __name__ == "__main__":
    main()
