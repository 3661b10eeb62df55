"""How late this machine wakes a process that only sleeps: what no deadline on it can be held to."""

import subprocess
import sys
from typing import Final, Self

_STEP_S: Final = 0.005
_SLEEPER: Final = f"""
import select, sys, time
longest = 0.0
print("sleeping", flush=True)
while True:
    began = time.monotonic()
    if select.select([sys.stdin], [], [], {_STEP_S})[0]:
        break
    longest = max(longest, time.monotonic() - began - {_STEP_S})
print(longest)
"""


class Hiccups:
    """Watches while the block runs; `longest_s` says how late the worst wake-up was."""

    longest_s = 0.0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        said, _ = self._process.communicate()
        self.longest_s = float(said)
