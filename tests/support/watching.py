"""`collector watch --json` run as users run it, and its events read back."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support import preloaded
from tests.support.running import Running

ROOT = Path(__file__).resolve().parents[2]
KEPT = b"the kernel may have kept up to"  # what it says at the end where calls can be missing
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))  # more where the machine is emulated
READY_S = 60.0 * PATIENCE  # a cold start compiles
_START = preloaded.Collector if os.environ.get("TEST_PRELOADED") else subprocess.Popen


class Watch(Running):
    """One watch as a subprocess: start, do something, stop, look at what was seen."""

    output = None

    def __init__(self, *options, env=None, rung=None, output=None, within=()):
        """`output`: a file for what is said, which else waits in a pipe until the end. `within`: stands before it all."""
        command = [*within, sys.executable, "-m", "collector", "watch", "--json"]
        if rung or os.environ.get("NETSCOPE_TEST_RUNG"):
            command += ["--rung", rung or os.environ["NETSCOPE_TEST_RUNG"]]
        command += [str(option) for option in options]
        self.output = output
        with open(output, "wb") if output else contextlib.nullcontext(subprocess.PIPE) as stdout:
            self.process = (subprocess.Popen if within else _START)(
                command, stdout=stdout, stderr=subprocess.PIPE, cwd=ROOT, env={**os.environ, **(env or {})}
            )
        self.stderr = b""
        self.events = []
        self.summary = None
        self.raw = b""
        self.code = None
        self._await_ready()

    def _await_ready(self):
        deadline = time.monotonic() + READY_S
        fd = self.process.stderr.fileno()
        while b"observing" not in self.stderr:
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(fd, 65536) if ready else b""
            self.stderr += chunk
            if not chunk:
                self.process.kill()
                raise AssertionError(f"watch did not start: {self.stderr.decode()}")

    def stop(self, number=signal.SIGINT):
        """End the watch and read everything it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout=30):
        self.raw, rest = self.process.communicate(timeout=timeout * PATIENCE)
        self.stderr += rest
        if KEPT in self.stderr:
            sys.stderr.buffer.write(self.stderr)  # beside a failure: its reason, where the kernel itself says so
        if self.output:
            self.raw = Path(self.output).read_bytes()
        self.code = self.process.returncode
        lines = [json.loads(line) for line in self.raw.splitlines()]
        assert lines, self.stderr.decode()
        assert lines[-1]["kind"] == "summary", self.stderr.decode()
        self.summary = lines.pop()
        self.events = lines
        return self

    def exchanges(self, role=None):
        return [e for e in self.events if e["kind"] == "exchange" and role in (None, e["role"])]

    def connections(self, role=None):
        return [e for e in self.events if e["kind"] == "connection" and role in (None, e["role"])]

    def lost(self):
        return {stage: reasons for stage, reasons in self.summary["lost"].items() if any(reasons.values())}
