"""Words for people, on stderr."""

import contextlib
import sys


def say(line: str) -> None:
    """Say it on stderr at once; a stderr that nobody reads any more ends nothing."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
