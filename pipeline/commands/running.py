"""What every command needs: a loop that ends on SIGINT and SIGTERM, exit codes, and a ready line."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from pipeline.errors import ConfigInvalid, PipelineError, PreflightFailed

RUNTIME: Final = 1
USAGE: Final = 2
PREFLIGHT: Final = 3


def on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` when the process is asked to end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


async def until_asked() -> None:
    """Wait until the process is asked to end."""
    asked = asyncio.Event()
    on_signals(asked.set)
    await asked.wait()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a command to its end; what it raises on purpose becomes words and an exit code."""
    try:
        asyncio.run(main)
    except BaseExceptionGroup as group:
        expected, bugs = group.split(PipelineError)
        if expected is None or bugs is not None:
            raise
        _fail(_first(expected))
    except PipelineError as problem:
        _fail(problem)


def _first(group: BaseExceptionGroup[PipelineError]) -> PipelineError:
    one = group.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


def _fail(problem: PipelineError) -> None:
    try:
        for line in str(problem).splitlines():
            sys.stderr.write(f"pipeline: {line}\n")
    except OSError:  # nobody reads it: Python would try once more at the end, and end with status 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    match problem:
        case ConfigInvalid():
            sys.exit(USAGE)
        case PreflightFailed():
            sys.exit(PREFLIGHT)
        case _:
            sys.exit(RUNTIME)


def say(**fields: object) -> None:
    """Write one line of JSON on standard output, at once."""
    sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
    sys.stdout.flush()
