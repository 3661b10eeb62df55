"""The writer's side of the spool: records in order, durable when `write` returns.

After a failed write or fdatasync the segment is never touched again: the next one begins with the first record that was
not acknowledged, and its header says so; readers take what overlaps from the later segment (reliability of fsync after
an error: https://lwn.net/Articles/752063/).
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.audit.frames import HEADER_SIZE, Damage, Frame, Header, frames
from collector.audit.spool_files import SegmentFile, SpoolFiles, fsync_directory, header_of, records, write_all

if TYPE_CHECKING:
    from pathlib import Path

HOUR_NS: Final = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Position:
    """Where a writer goes on."""

    number: int  # of the last segment
    seq: int  # of the last record
    torn_records: int  # 1 where the last record cannot be read: mostly it was being written, and not acknowledged


class Spool:
    """An open spool. Not thread-safe: one thread writes."""

    def __init__(self, files: SpoolFiles, *, segment_bytes: int, segment_ns: int, known_seq: int = 0) -> None:
        """Seal what the last run left. `known_seq`: the last one the shipper's notes know of."""
        self.files = files
        self.writer = files.writer()
        last = recover(files)
        self.torn_records = last.torn_records
        self.next_seq = max(last.seq, known_seq) + 1
        self._number = last.number
        self._hour = 0
        self._limit = segment_bytes
        self._age = segment_ns
        self._descriptor = -1
        self._path = files.segments
        self._size = 0
        self._opened_ns = 0
        self._records = 0
        self._unsealed: list[SegmentFile] = []
        self._useless: list[Path] = []

    def write(self, payloads: Sequence[bytes], *, wall_ns: int, now_ns: int) -> None:
        """Append records from `next_seq` on; all are durable when this returns. Raises OSError: then none counts."""
        self.tick(wall_ns=wall_ns, now_ns=now_ns)
        if self._descriptor < 0:
            self._begin(wall_ns // HOUR_NS, now_ns)
        seq = self.next_seq
        data = frames(seq, payloads)
        try:
            write_all(self._descriptor, data)
            os.fdatasync(self._descriptor)
        except OSError:
            self._abandon()
            raise
        self._size += len(data)
        self._records += len(payloads)
        self.next_seq = seq + len(payloads)

    def tick(self, *, wall_ns: int, now_ns: int) -> None:
        """Begin a new segment where this one is full, old, or of an hour that is over. Raises OSError."""
        if self._descriptor < 0:
            return
        hour = wall_ns // HOUR_NS  # where the clock was set back, that hour once more
        aged = self._records > 0 and now_ns - self._opened_ns >= self._age
        if hour != self._hour or self._size >= self._limit or aged:
            self._begin(hour, now_ns)

    def begin(self, *, wall_ns: int, now_ns: int) -> None:
        """Have a segment, so that even an hour without records has one. Raises OSError."""
        if self._descriptor < 0:
            self._begin(wall_ns // HOUR_NS, now_ns)

    def _begin(self, hour: int, now_ns: int) -> None:
        """Make the next segment durable, then seal the one before."""
        number = self._number + 1
        path = self.files.path_of(number, hour, sealed=False)
        header = Header(number=number, first_seq=self.next_seq, hour=hour, writer=bytes.fromhex(self.writer))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, header.encode())
            os.fdatasync(descriptor)
            fsync_directory(self.files.segments)
        except OSError:
            os.close(descriptor)
            self._number = number  # that name is used up, whether it can be removed or not
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self._retire()
        self._descriptor, self._path, self._size = descriptor, path, HEADER_SIZE
        self._number, self._hour, self._opened_ns, self._records = number, hour, now_ns, 0
        self._seal()

    def close(self) -> None:
        """Seal the segment; an abandoned one is sealed by the next run, whose header says where its records end."""
        abandoned = bool(self._unsealed or self._useless)
        self._retire()
        if not abandoned:
            self._seal()

    def _abandon(self) -> None:
        """Close the segment for good.

        Without an acknowledged record it is of no use, but its header still says where the records of the one before
        end: it goes once there is another that says so.
        """
        if self._records == 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, HEADER_SIZE)
            self._close()
            self._useless.append(self._path)
        self._retire()

    def _retire(self) -> None:
        if self._descriptor >= 0:
            self._unsealed.append(SegmentFile(self._number, self._hour, sealed=False, path=self._path))
            self._close()

    def _seal(self) -> None:
        while self._useless:
            with contextlib.suppress(OSError):
                self._useless.pop().unlink()
        while self._unsealed:
            try:
                _seal(self.files, self._unsealed[0])
            except OSError:
                return  # the next segment's turn; a run that ends before leaves it to the next run
            del self._unsealed[0]

    def _close(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # everything that counts is durable
                os.close(self._descriptor)
            self._descriptor = -1


def recover(files: SpoolFiles) -> Position:
    """Seal what a run left open; return where the next one goes on."""
    found = files.listed()
    number = seq = torn = 0
    for segment in reversed(found):
        number = max(number, segment.number)
        if seq == 0:
            header = header_of(segment)
            last, torn_here = _end_of(segment)
            seq = max(last, header.first_seq - 1 if header else 0)
            torn = torn or torn_here
        if not segment.sealed:
            _seal_or_clear(files, segment)
    return Position(number, seq, torn)


def _end_of(segment: SegmentFile) -> tuple[int, int]:
    """Return a segment's last sequence number, and 1 where something that cannot be read stands behind it."""
    last, torn = 0, 0
    for found in records(segment):
        match found:
            case Frame(seq=seq):
                last, torn = max(last, seq), 0
            case Damage():
                torn = 1
    return last, torn


def _seal_or_clear(files: SpoolFiles, segment: SegmentFile) -> None:
    if segment.path.stat().st_size <= HEADER_SIZE and header_of(segment) is None:
        segment.path.unlink()  # cut off before it had a header: it never held a record
    else:
        _seal(files, segment)


def _seal(files: SpoolFiles, segment: SegmentFile) -> None:
    segment.path.rename(files.path_of(segment.number, segment.hour, sealed=True))
