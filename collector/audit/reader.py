"""Reads the archive back for whoever serves it, in a process of its own: decompressing must not slow the capture.

`python -m collector.audit.reader < {settings, environment, interval} > NDJSON` is that process: botocore's memory
and the credentials are there, and go when the answer is complete.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import msgspec

from collector.audit.children import python
from collector.audit.errors import AuditProblem
from collector.audit.reading import Interval, blocks, objects
from collector.audit.settings import StoreSettings
from collector.audit.stamps import normalised
from collector.audit.stores.opening import open_store
from collector.domain.ports import ArchiveUnavailable, AuditQuery

_BLOCK: Final = 1 << 16


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the reading process is asked for."""

    store: StoreSettings
    environment: dict[str, str]
    since: str
    until: str
    service: str | None


class ArchiveReader:
    """An AuditReader. Reads may go on side by side."""

    def __init__(self, store: StoreSettings, environment: dict[str, str]) -> None:
        self._store = store
        self._environment = environment

    def read(self, query: AuditQuery) -> Iterator[bytes]:
        """Yield blocks of whole lines by hour, writer, sequence. Raises ArchiveUnavailable before the first."""
        try:
            since, until = normalised(query.since), normalised(query.until)
        except ValueError as problem:
            raise ArchiveUnavailable(f"no time: {problem}") from problem
        asked = _Asked(
            store=self._store, environment=self._environment, since=since, until=until, service=query.service
        )
        try:
            yield from _elsewhere(asked)
        except (AuditProblem, OSError) as problem:
            raise ArchiveUnavailable(str(problem)) from problem


def _here(asked: _Asked) -> Iterator[bytes]:
    store = open_store(asked.store, asked.environment)
    interval = Interval(since=asked.since, until=asked.until, service=asked.service)
    yield from blocks(store, interval, objects(store, interval))


def _elsewhere(asked: _Asked) -> Iterator[bytes]:
    """Have another process read; give its lines on, whole lines at a time."""
    words = python("collector.audit.reader")
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            process.stdin.write(msgspec.json.encode(asked))
            process.stdin.close()
            rest = b""
            while data := process.stdout.read(_BLOCK):
                whole, newline, tail = data.rpartition(b"\n")
                if newline:
                    yield rest + whole + newline
                    rest = tail
                else:
                    rest += data
            said = process.stderr.read().decode(errors="replace").strip()
        finally:
            if process.poll() is None:
                process.kill()  # whoever asked has gone, or it is done
        if said:
            raise AuditProblem(said)


def main() -> None:
    """Be that process."""
    os.nice(10)
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=_Asked)
    try:
        for block in _here(asked):
            sys.stdout.buffer.write(block)
        sys.stdout.flush()
    except AuditProblem as problem:
        sys.stderr.write(str(problem))


if __name__ == "__main__":
    main()
