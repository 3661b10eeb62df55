"""The service's own log: one JSON object a line on stderr; signals change its level, floods and DEBUG are thinned."""

import contextlib
import logging as standard
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import msgspec

from collector.config import LEVELS

_NUMBERS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_A_SECOND: Final = {"debug": 5, "info": 50, "warning": 20, "error": 20}  # events of one name
_NAMES: Final = 256  # names that are told apart
_WAITING_LINES: Final = 2_000
_LAST_S: Final = 1.0
_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


class Thinning:
    """Lets so many events of one name through a second; the next one tells how many were left out."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[int]] = {}  # second, let through, left out

    def admit(self, level: str, event: str, second: int) -> int | None:
        """Return how many were left out before this one, None where this one is left out, too."""
        if len(self._seen) >= _NAMES:
            self._seen.clear()
        found = self._seen.setdefault((level, event), [second, 0, 0])
        if found[0] != second:
            found[0], found[1] = second, 0
        if found[1] >= _A_SECOND[level]:
            found[2] += 1
            return None
        found[1] += 1
        left_out, found[2] = found[2], 0
        return left_out


class Log:
    """Writes events of a level and above. Call it from any thread."""

    def __init__(
        self,
        level: str,
        *,
        write: Callable[[str], object] | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        **fields: Any,
    ) -> None:
        self.level = level
        self._stderr = StderrWriter()
        self._write = write or self._stderr
        self._wall_ns = wall_ns
        self._fields = fields
        self._thinning = Thinning()

    def __call__(self, level: str, event: str, *, exc_info: BaseException | None = None, **fields: Any) -> None:
        """Log an event: a constant name, and fields. Values that are no JSON are shown as Python shows them."""
        if _NUMBERS[level] < _NUMBERS[self.level]:
            return
        now = self._wall_ns()
        left_out = self._thinning.admit(level, event, now // 1_000_000_000)
        if left_out is None:
            return
        line: dict[str, Any] = {"timestamp": _instant(now), "level": level, "event": event, **self._fields, **fields}
        if left_out:
            line["left_out"] = left_out
        if exc_info is not None:
            line["trace"] = _places(exc_info)
        self._write(_encode(line).decode() + "\n")

    def change_by(self, steps: int) -> None:
        """Make it tell more (negative) or less (positive)."""
        at = min(max(LEVELS.index(self.level) + steps, 0), len(LEVELS) - 1)
        before, self.level = self.level, LEVELS[at]
        self("warning", "log_level_changed", before=before, after=self.level)

    def close(self) -> None:
        """Write what waits, for a moment."""
        self._stderr.close(_LAST_S)

    def obey_signals(self) -> None:
        """SIGUSR1: one level more is told; SIGUSR2: one less."""

        def change(number: int, _frame: FrameType | None) -> None:
            self.change_by(-1 if number == signal.SIGUSR1 else 1)

        signal.signal(signal.SIGUSR1, change)
        signal.signal(signal.SIGUSR2, change)

    def gather_libraries(self) -> None:
        """Have warnings and errors of libraries appear among ours."""
        root = standard.getLogger()
        root.handlers = [_Forward(self)]
        root.setLevel(standard.WARNING)


class _Forward(standard.Handler):
    """Writes what libraries log as our events."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: standard.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        level = "error" if record.levelno >= standard.ERROR else "warning"
        self._log(level, "library_log", logger=record.name, message=record.getMessage()[:500], exc_info=error)


class StderrWriter:
    """Writes lines in a thread of its own: an unread stderr stops nothing. What finds no room is counted."""

    def __init__(self, descriptor: int = 2) -> None:
        self.lost = 0
        self._descriptor = descriptor
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # its put may be called in signal handlers
        self._thread: threading.Thread | None = None  # not before we have forked and given root up: it would keep it

    def __call__(self, line: str) -> None:
        """Queue a line."""
        if self._lines.qsize() >= _WAITING_LINES:
            self.lost += 1
            return
        self._lines.put(line)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def close(self, seconds: float) -> None:
        """Write what waits, but wait no longer than that."""
        self._lines.put(None)
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if self.lost:
                lost, self.lost = self.lost, 0
                line += f'{{"level":"warning","event":"log_lines_lost","count":{lost}}}\n'
            with contextlib.suppress(OSError):  # nobody reads the log any more; the service goes on
                os.write(self._descriptor, line.encode())


def _instant(wall_ns: int) -> str:
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1_000_000:03d}Z"


def _places(found: BaseException) -> list[str]:
    """Return where it happened, innermost last; no values of variables, so no secrets."""
    places = []
    step = found.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f"{code.co_filename}:{step.tb_lineno} {code.co_qualname}")
        step = step.tb_next
    return [*places[-12:], type(found).__name__]
