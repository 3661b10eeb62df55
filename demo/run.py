"""Start the pipeline on loopback, and `collector watch` on its worker and API; Ctrl-C or --seconds ends everything.

The load starts when the watch is ready and stops before it ends, so all counts must agree: what the worker called, what
the API got, and what was seen at either end.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final
from urllib.parse import urlsplit

HERE: Final = Path(__file__).resolve().parent
PYTHON: Final = sys.executable
READY_WITHIN_S: Final = 90  # compiling, on a machine that has much else to do
END_WITHIN_S: Final = 40  # the worker finishes what it has
RATE: Final = 5.0  # records a second: an eye can follow
STAND_STILL_MS: Final = 300
NAMES: Final = "*pipeline.cli worker*=worker,*pipeline.cli external-api*=external-api"
_PLAN: Final = """\
A worker takes records from a Kafka broker and calls an HTTP API; none of them knows that it is watched. Look for
  each call twice, at the worker's end (client) and at the API's (server), with the TRACE that its header carries;
  POST /orders, /payments: now and then 503 or a reset, then the next TRY of the same trace and key;
  POST /reports: slow at the API (WAIT);
  an answer that came while the worker stood still, and lay in the kernel until it went on (READDLY).
The page that comes with it shows the same: who talks to whom, how fast, what fails and why. Ctrl-C ends it.
"""


def ordinary_user() -> list[str]:
    """Return the words that run a program as whoever called sudo: what is watched needs no privilege."""
    uid, gid = os.environ.get("SUDO_UID", "0"), os.environ.get("SUDO_GID", "0")
    words = ["setpriv", "--pdeathsig", "TERM"]  # where this script is killed, it ends too
    as_user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    readable = ["setpriv", *as_user, "test", "-r", str(HERE.parent / "pipeline/cli.py"), "-a", "-x", PYTHON]
    if uid != "0" and subprocess.run(readable, check=False, stderr=subprocess.DEVNULL).returncode == 0:
        words += as_user
    return words


class Pipeline:
    """`pipeline demo`: broker, API and worker; the load waits for our word."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        said = self._line(READY_WITHIN_S)
        self.pids: dict[str, int] = said.get("pids", {})
        places: dict[str, str] = said.get("places", {})
        self.port = urlsplit(places.get("external-api", "")).port
        self.worker_url = places.get("worker", "")  # where the worker tells of its own resilience

    def begin_load(self) -> None:
        """Let the records come."""
        assert self._child.stdin is not None
        self._child.stdin.write("go\n")
        self._child.stdin.flush()

    def end(self) -> dict[str, Any]:
        """Stop the load, let the worker finish; return what both sides counted, nothing where that went wrong."""
        self._child.terminate()
        return self._line(END_WITHIN_S)

    def ended(self) -> bool:
        """Tell whether it is gone."""
        return self._child.poll() is not None

    def _line(self, within_s: float) -> dict[str, Any]:
        assert self._child.stdout is not None
        readable, _, _ = select.select([self._child.stdout], [], [], within_s)
        line = self._child.stdout.readline() if readable else ""
        return dict(json.loads(line)) if line else {}


@contextlib.contextmanager
def pipeline(rate: float) -> Iterator[Pipeline]:
    """Run the pipeline in its own process group, out of Ctrl-C's reach, while the block runs."""
    words = [*ordinary_user(), PYTHON, "-m", "pipeline.cli", "demo", "--json", "--hold"]
    words += ["--rate", str(rate), "--slow-event-loop", str(STAND_STILL_MS)]
    child = subprocess.Popen(
        words, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        yield Pipeline(child)
    finally:
        if child.poll() is None:
            child.terminate()
        try:
            child.communicate(timeout=END_WITHIN_S)
        except (subprocess.TimeoutExpired, ValueError):
            child.kill()
            child.wait()


class Watch:
    """`collector watch` on the calls between worker and API: its output goes where ours goes."""

    def __init__(self, observed: Pipeline, options: list[str]) -> None:
        words = [PYTHON, str(Path(PYTHON).with_name("collector")), "watch", "--port", str(observed.port)]
        words += [word for name in ("worker", "external-api") for word in ("--pid", str(observed.pids[name]))]
        self.child = subprocess.Popen(
            [*words, *options],
            env={"NETSCOPE_SERVICES": NAMES, **os.environ},
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self.ready = threading.Event()
        self.over = threading.Event()
        assert self.child.stderr is not None
        self.reader = threading.Thread(target=self._relay, args=(self.child.stderr,), daemon=True)
        self.reader.start()

    def _relay(self, stderr: IO[str]) -> None:
        for line in stderr:
            sys.stderr.write(line)
            sys.stderr.flush()
            if line.startswith("observing"):
                self.ready.set()
        self.over.set()
        self.ready.set()

    def end(self) -> int:
        """Let it drain and print its totals; return its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        try:
            code = self.child.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            code = self.child.wait()
        self.reader.join(1)
        return code


class Page:
    """`collector run` on the whole pipeline: the same, in a browser. The demo goes on without it."""

    def __init__(self, observed: Pipeline, listen: str) -> None:
        words = [PYTHON, str(Path(PYTHON).with_name("collector")), "run", "--listen", listen, "--log-level", "error"]
        words += [word for pid in observed.pids.values() for word in ("--pid", str(pid))]
        settings = {
            "NETSCOPE_SERVICES": f"{NAMES},*pipeline.cli broker*=kafka",
            "NETSCOPE_AUDIT": "off",  # nothing of a demo is kept
            "NETSCOPE_WORKERS": f"worker={observed.worker_url}/resilience",
        }
        self.child = subprocess.Popen(
            words, env={**settings, **os.environ}, stderr=subprocess.PIPE, text=True, process_group=0
        )
        self.ready = threading.Event()
        assert self.child.stderr is not None
        threading.Thread(target=self._relay, args=(self.child.stderr,), daemon=True).start()

    def _relay(self, stderr: IO[str]) -> None:
        for line in stderr:
            if line.startswith("observing"):
                sys.stderr.write(f"the page is at {line.rpartition(' at ')[2]}")
                self.ready.set()
        if not self.ready.is_set():
            sys.stderr.write("demo: the page could not be served; `sudo collector run` alone says why\n")
            self.ready.set()

    def end(self) -> None:
        """Let it go."""
        if self.child.poll() is None:
            self.child.terminate()
        try:
            self.child.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@contextlib.contextmanager
def page(observed: Pipeline, listen: str) -> Iterator[None]:
    """Serve the page while the block runs, where an address is given."""
    if not listen:
        yield
        return
    served = Page(observed, listen)
    served.ready.wait(READY_WITHIN_S)
    try:
        yield
    finally:
        served.end()


def run(seconds: float | None, rate: float, listen: str, options: list[str]) -> int:
    """Run the demo; return its exit code."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    sys.stderr.write(_PLAN)
    with pipeline(rate) as observed:
        if not observed.pids or observed.port is None:
            sys.stderr.write("demo: the pipeline did not start; `pipeline demo` alone says more\n")
            return 1
        with page(observed, listen):
            watch = Watch(observed, options)
            try:
                return _watched(observed, watch, stop, seconds)
            finally:
                watch.end()


def _watched(observed: Pipeline, watch: Watch, stop: threading.Event, seconds: float | None) -> int:
    if not watch.ready.wait(READY_WITHIN_S) or watch.over.is_set():
        sys.stderr.write("demo: collector watch did not start; `sudo collector doctor` says more\n")
        return 1
    observed.begin_load()
    left = seconds
    while not (stop.wait(0.1) or watch.over.is_set() or observed.ended()):
        if left is not None and (left := left - 0.1) <= 0:
            break
    died = watch.over.is_set()
    counts = observed.end()
    code = watch.end()
    if died or code not in (0, 130):
        sys.stderr.write(f"demo: collector watch ended with exit code {code}\n")
        return 1
    if not counts:
        sys.stderr.write("demo: the pipeline ended before it had counted\n")
        return 1
    sys.stderr.write(
        f"the worker itself counts   {counts['attempts']} requests, {counts['retries']} of them retries\n"
        f"the API itself counts      {counts['arrivals']} requests, {counts['effects']} effects,"
        f" {counts['doubled']} of them doubled\n"
    )
    return 0


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="end after this long")
    parser.add_argument("--rate", type=float, default=RATE, help="records per second")
    parser.add_argument("--page", default="127.0.0.1:7070", help="where to serve the page; empty: nowhere")
    parser.add_argument("options", nargs="*", help="of collector watch, after --; else --wide")
    arguments = parser.parse_args()
    sys.exit(run(arguments.seconds, arguments.rate, arguments.page, arguments.options or ["--wide"]))


if __name__ == "__main__":
    main()
