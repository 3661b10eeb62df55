"""One process of the demo: started, heard, stood still, and ended."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

from pipeline.errors import SimulatorFailed

_READY_WITHIN_S: Final = 15.0
_END_WITHIN_S: Final = 12.0
_BLOCK_EVERY_S: Final = 2.0


class Part:
    """One process of the demo."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process

    async def first_line(self) -> dict[str, Any]:
        """Return what it says once it is ready. Raises SimulatorFailed."""
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                line = await self.process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise SimulatorFailed(f"{self.name} did not start")
        found: dict[str, Any] = json.loads(line)
        return found

    async def end(self) -> bytes:
        """Ask it to end; return what else it had to say."""
        assert self.process.stdout is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            async with asyncio.timeout(_END_WITHIN_S):
                rest = await self.process.stdout.read()
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return b""
        return rest


@contextlib.asynccontextmanager
async def part(name: str, *words: str) -> AsyncIterator[Part]:
    """Run `pipeline WORDS` while the block runs, out of Ctrl-C's reach."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pipeline.cli", *words, stdout=asyncio.subprocess.PIPE, process_group=0
    )
    one = Part(name, process)
    try:
        yield one
    finally:
        await one.end()


async def watch(one: Part) -> None:
    """Raise SimulatorFailed once a part ends by itself."""
    code = await one.process.wait()
    raise SimulatorFailed(f"{one.name} ended by itself, with exit code {code}")


async def stand_still(worker: Part, seconds: float) -> None:
    """Stop the process from outside: for the network that is an event loop that is busy with something else."""
    while True:
        await asyncio.sleep(_BLOCK_EVERY_S)
        os.kill(worker.process.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(worker.process.pid, signal.SIGCONT)
