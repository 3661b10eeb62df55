"""Start the demo's server and client, and `collector watch` on the two; Ctrl-C or --seconds ends everything.

The client starts when the watch is ready and stops before it ends, so all three counts must agree.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Final

HERE: Final = Path(__file__).resolve().parent
PYTHON: Final = sys.executable
READY_WITHIN_S: Final = 30
END_WITHIN_S: Final = 10
_PLAN: Final = """\
A shop and its order service talk HTTP over loopback; neither knows that it is watched. Look for
  each request twice, at the shop's end (client) and at the service's (server), with the TRACE that its header carries;
  POST /payments: 503, then 201 as the second TRY of the same trace and key;
  GET /stock: the answer is there after 20 ms (WAIT), but the shop's busy event loop reads it 190 ms later (READDLY).
Ctrl-C ends it.
"""


def ordinary_user() -> list[str]:
    """Return the words that run a program as whoever called sudo: what is watched needs no privilege."""
    uid, gid = os.environ.get("SUDO_UID", "0"), os.environ.get("SUDO_GID", "0")
    words = ["setpriv", "--pdeathsig", "TERM"]  # where this script is killed, they end too
    as_user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    readable = ["setpriv", *as_user, "test", "-r", str(HERE / "orders.py"), "-a", "-x", PYTHON]
    if uid != "0" and subprocess.run(readable, check=False, stderr=subprocess.DEVNULL).returncode == 0:
        words += as_user
    return words


@contextlib.contextmanager
def program(*words: str, stdin: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a program in its own process group, out of Ctrl-C's reach, until the block ends."""
    child = subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, text=True, process_group=0)
    try:
        yield child
    finally:
        last_words(child)


def last_words(child: subprocess.Popen[str]) -> str:
    """Ask a program to end; return what it says at the end."""
    if child.poll() is None:
        child.terminate()
    try:
        said, _ = child.communicate(timeout=END_WITHIN_S)
    except (subprocess.TimeoutExpired, ValueError):
        child.kill()
        child.wait()
        return ""
    return said.strip()


class Watch:
    """`collector watch` on the given processes: its output goes where ours goes."""

    def __init__(self, pids: list[int], options: list[str]) -> None:
        words = [PYTHON, str(Path(PYTHON).with_name("collector")), "watch"]
        words += [word for pid in pids for word in ("--pid", str(pid))]
        self.child = subprocess.Popen([*words, *options], stderr=subprocess.PIPE, text=True, process_group=0)
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


def run(seconds: float | None, options: list[str]) -> int:
    """Run the demo; return its exit code."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    sys.stderr.write(_PLAN)
    user = ordinary_user()
    with program(*user, PYTHON, str(HERE / "orders.py")) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with program(*user, PYTHON, str(HERE / "shop.py"), address, stdin=subprocess.PIPE) as client:
            watch = Watch([server.pid, client.pid], options)
            try:
                return _watched(server, client, watch, stop, seconds)
            finally:
                watch.end()


def _watched(
    server: subprocess.Popen[str],
    client: subprocess.Popen[str],
    watch: Watch,
    stop: threading.Event,
    seconds: float | None,
) -> int:
    if not watch.ready.wait(READY_WITHIN_S) or watch.over.is_set():
        sys.stderr.write("demo: collector watch did not start; `sudo collector doctor` says more\n")
        return 1
    assert client.stdin is not None
    client.stdin.write("go\n")
    client.stdin.flush()
    _wait(stop, watch.over, seconds)
    died = watch.over.is_set()
    shop, service = last_words(client), last_words(server)
    code = watch.end()
    sys.stderr.write(f"the shop itself counts     {shop}\nthe service itself counts  {service}\n")
    if died or code not in (0, 130):
        sys.stderr.write(f"demo: collector watch ended with exit code {code}\n")
        return 1
    return 0


def _wait(stop: threading.Event, over: threading.Event, seconds: float | None) -> None:
    """Wait for the time to be up, Ctrl-C, or the watch to end by itself."""
    left = seconds
    while not stop.wait(0.1) and not over.is_set():
        if left is not None and (left := left - 0.1) <= 0:
            return


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="end after this long")
    parser.add_argument("options", nargs="*", help="of collector watch, after --; else --wide")
    arguments = parser.parse_args()
    sys.exit(run(arguments.seconds, arguments.options or ["--wide"]))


if __name__ == "__main__":
    main()
