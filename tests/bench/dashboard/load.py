"""tests.support.steady under a name of its own, so that a collector on the same host sees no other load."""

import contextlib
import subprocess
import sys
from pathlib import Path

from tests.support.serving import ROOT
from tests.support.steady import run

COMM = "pageflood"


@contextlib.contextmanager
def traffic(rate, seconds):
    """Make `rate` traced exchanges a second in another process; `.wait()` it, then it is over."""
    words = [sys.executable, "-m", "tests.bench.dashboard.load", str(rate), str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    Path("/proc/self/comm").write_text(COMM)
    made, took = run(int(sys.argv[1]), float(sys.argv[2]), 8, b"flood.load")
    print(f"{made} {took:.3f}")
