"""A command started to be watched: held back before its first instruction until everything is attached."""

import os
import signal
from typing import NoReturn

from collector.stderr import say


class HeldCommand:
    """A forked child that waits for our word, then becomes the command. Its stdout is our stderr."""

    def __init__(self, words: tuple[str, ...]) -> None:
        held, self._release = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._release)
            _become(words, held)
        os.close(held)

    def release(self) -> None:
        """Let it run."""
        os.write(self._release, b"\n")
        os.close(self._release)

    def exit_code(self) -> int | None:
        """Return its exit code (128 + n after signal n), or None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


def _become(words: tuple[str, ...], held: int) -> NoReturn:
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        if not os.read(held, 1):
            os._exit(125)  # the observer gave up before it was ready
        os.dup2(2, 1)
        os.closerange(3, 1 << 16)
        os.execvp(words[0], words)
    except OSError as problem:
        say(f"collector: {words[0]}: {problem.strerror}")
        os._exit(127 if isinstance(problem, FileNotFoundError) else 126)
