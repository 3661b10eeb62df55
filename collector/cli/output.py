"""Lines on their way to a reader that may be slow: a bounded queue, a writing thread, an exact count of drops."""

import os
import threading
from collections import deque
from typing import Final

_STDOUT: Final = 1


class LineWriter:
    """Writes whole lines to a descriptor. `put` never blocks: beyond `limit` new lines are counted and dropped."""

    def __init__(self, limit: int, descriptor: int = _STDOUT) -> None:
        self._limit = limit
        self._descriptor = descriptor
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._lines = 0
        self._changed = threading.Condition()
        self._closing = False
        self.dropped = 0
        self.broken = False  # the reader went away
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def put(self, lines: list[bytes]) -> None:
        """Queue lines, each with its newline."""
        with self._changed:
            room = self._limit - self._lines
            if room < len(lines):
                self.dropped += len(lines) - max(room, 0)
                lines = lines[: max(room, 0)]
            if lines:
                self._waiting.append((b"".join(lines), len(lines)))
                self._lines += len(lines)
                self._changed.notify()

    def put_last(self, line: bytes) -> None:
        """Queue one line beyond the bound: the summary always has room."""
        with self._changed:
            self._waiting.append((line, 1))
            self._lines += 1
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                block, count = self._waiting.popleft()
            if not self.broken:
                self._write(block)
            with self._changed:
                self._lines -= count

    def _write(self, block: bytes) -> None:
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except BrokenPipeError:
            self.broken = True
