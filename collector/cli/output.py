"""Lines on their way to a reader that may be slow: a bounded queue, a writing thread, an exact count of drops."""

import contextlib
import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from types import FrameType
from typing import Final

import msgspec

from collector.domain.events import Summary
from collector.errors import CollectorProblem, Interrupted

_STDOUT: Final = 1
_STDERR: Final = 2
_LOOK_EVERY_S: Final = 0.1


class LineWriter:
    """Writes whole lines to a descriptor. Nothing here blocks but `close`; beyond `limit` new lines are refused."""

    def __init__(self, limit: int, descriptor: int = _STDOUT) -> None:
        self._limit = limit
        self._descriptor = descriptor
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._lines = 0
        self._changed = threading.Condition()
        self._closing = False
        self.dropped = 0
        self.broken = False  # nothing can be written any more
        self.problem: OSError | None = None  # why, where it is not that the reader went away
        self._thread: threading.Thread | None = None  # not before we have forked and given root up: it would keep it

    def admit(self, lines: int) -> int:
        """Return how many of so many new lines there is room for; the others count as dropped."""
        room = min(lines, max(self._limit - self._lines, 0))
        self.dropped += lines - room
        return room

    def put(self, block: bytes, lines: int) -> None:
        """Queue admitted lines, each with its newline; the summary needs no admission."""
        if not lines:
            return
        with self._changed:
            self._waiting.append((block, lines))
            self._lines += lines
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="output", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write what waits, and end. Raises Interrupted on a second signal, CollectorProblem where stdout fails."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        with _second_signal() as told:
            while self._thread and self._thread.is_alive() and not told:
                self._thread.join(_LOOK_EVERY_S)
        if self._thread and self._thread.is_alive():
            raise Interrupted(f"stopped while stdout was stalled: {self._lines} lines were not written")
        if self.problem:
            raise CollectorProblem(f"stdout: {self.problem.strerror}") from self.problem

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                block, lines = self._waiting.popleft()
            if not self.broken:
                self._write(block)
            with self._changed:
                self._lines -= lines

    def _write(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:  # somebody who shares our stdout made it non-blocking
                select.select([], [self._descriptor], [])
            except BrokenPipeError:
                self.broken = True
                return
            except OSError as problem:
                self.broken, self.problem = True, problem
                return


@contextlib.contextmanager
def _second_signal() -> Iterator[list[int]]:
    """Gather signals to end: who has told us twice does not want to wait for a reader."""
    told: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hold_standard_descriptors() -> None:
    """Open what was closed of stdin, stdout and stderr as /dev/null: a socket must not take its number.

    Where one is closed, the next thing opened gets 0, 1 or 2, and events or words would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def leave_standard_streams() -> None:
    """Let nothing wait for a reader that has gone: Python would try once more at the end, and end with status 120."""
    for descriptor, stream in ((_STDOUT, sys.stdout), (_STDERR, sys.stderr)):
        with contextlib.suppress(OSError):
            stream.flush()
        state = select.poll()
        state.register(descriptor, 0)  # errors are told all the same
        if state.poll(0):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def with_drops(summary: Summary, dropped: int) -> Summary:
    """Return the summary with what a slow reader did not get."""
    if not dropped:
        return summary
    return msgspec.structs.replace(summary, lost={**summary.lost, "output": {"slow_reader": dropped}})


def totals(summary: Summary) -> str:
    """Return the totals in words."""
    lost = sum(count for reasons in summary.lost.values() for count in reasons.values())
    seen = summary.exchanges
    return (
        f"{sum(seen.values())} exchanges ({seen.get('client', 0)} client, {seen.get('server', 0)} server) on "
        f"{summary.connections} connections in {summary.elapsed_ms / 1000:.1f} s, rung {summary.rung}; "
        f"{summary.records['captured']} records, {lost} lost"
    )
