"""Names and whereabouts inside a spool directory, for the writer and for the shipper."""

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.audit.errors import AuditProblem, SpoolFormatProblem
from collector.audit.frames import HEADER_SIZE, Damage, Frame, FrameReader, Header, decode_header

CHUNK: Final = 1 << 16  # bytes read at a time
_NAME: Final = re.compile(r"(\d{12})-(\d{7})\.(open|seg)")
_WRITER: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, order=True)
class SegmentFile:
    """A segment by its name."""

    number: int
    hour: int
    sealed: bool
    path: Path

    @classmethod
    def named(cls, path: Path) -> "SegmentFile | None":
        """Return the segment of this name, or None where it is no segment's."""
        found = _NAME.fullmatch(path.name)
        return cls(int(found[1]), int(found[2]), found[3] == "seg", path) if found else None


@dataclass(frozen=True, slots=True)
class SpoolFiles:
    """One spool directory."""

    root: Path

    @property
    def segments(self) -> Path:
        """Return where segments are: written here, taken away by the shipper."""
        return self.root / "segments"

    @property
    def receipts(self) -> Path:
        """Return where it is noted what of a segment is in the store, until a manifest covers it."""
        return self.root / "receipts"

    @property
    def manifests(self) -> Path:
        """Return where manifests are kept."""
        return self.root / "manifests"

    @property
    def quarantine(self) -> Path:
        """Return where goes what cannot be read; nobody deletes it but a person."""
        return self.root / "quarantine"

    def make(self, account: tuple[int, int] = (0, 0)) -> None:
        """Make what is missing, for this user alone; as root for that account (uid, gid).

        As root nothing is touched inside a directory that is there already: it belongs to that account, which could
        have put a link in its place.
        """
        parts = (self.segments, self.receipts, self.manifests, self.quarantine)
        if self.root.is_dir():
            if os.geteuid() == 0 and any(account):
                return
            for path in parts:
                path.mkdir(mode=0o700, exist_ok=True)
            return
        make_directory(self.root, 0o700, (0, 0))
        for path in parts:
            make_directory(path, 0o700, account)
        give(self.root, account)

    def path_of(self, number: int, hour: int, *, sealed: bool) -> Path:
        """Return a segment's path."""
        return self.segments / f"{number:012d}-{hour:07d}.{'seg' if sealed else 'open'}"

    def listed(self) -> list[SegmentFile]:
        """Return all segments, in order of number. There may be thousands after an outage."""
        folder = self.segments
        names = sorted(os.listdir(folder))  # noqa: PTH208  # as text: 12 digits first
        return [found for name in names if (found := SegmentFile.named(folder / name))]

    def segment_bytes(self) -> int:
        """Return what all segments take."""
        total = 0
        with os.scandir(self.segments) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # released meanwhile
                    total += entry.stat().st_size
        return total

    def writer(self) -> str:
        """Return this spool's writer ID, made at first use. Collector and shipper may both come first."""
        path = self.root / "writer"
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not path.exists():
                write_durably(path, secrets.token_hex(8).encode() + b"\n")
        finally:
            os.close(descriptor)
        found = path.read_text().strip()
        if not _WRITER.fullmatch(found):
            raise AuditProblem(f"{path} holds no writer ID", fix=f"move {self.root} away; a new spool is made")
        return found

    def lock(self, name: str, *, whose: str) -> int:
        """Lock this directory until the descriptor is closed. Raises AuditProblem where somebody else has it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.root / name, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            os.close(descriptor)
            raise AuditProblem(
                f"another {whose} works on the spool {self.root}", fix="end it, or set another audit_spool"
            ) from taken
        return descriptor


def make_directory(path: Path, mode: int, account: tuple[int, int]) -> None:
    """Make a directory for an account, and what is missing above it for everybody to pass through."""
    missing = []
    above = path
    while not above.is_dir():
        missing.append(above)
        above = above.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700)
        one.chmod(mode if one == path else 0o755)  # whatever the umask
    give(path, account)


def give(path: Path, account: tuple[int, int]) -> None:
    """Give a directory that was just made to an account, where we may."""
    if any(account) and os.geteuid() == 0:
        os.chown(path, *account, follow_symlinks=False)


def fsync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and durable when this returns."""
    beside = write_beside(path, data, 0o600)
    beside.rename(path)
    fsync_directory(path.parent)


def write_beside(path: Path, data: bytes, mode: int) -> Path:
    """Write what is to become `path` into a file next to it; return that one. Its bytes are durable, not its name."""
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        write_all(descriptor, data)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return beside


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, however little a call takes."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def header_of(segment: SegmentFile) -> Header | None:
    """Return a segment's header, or None where it is missing or damaged."""
    try:
        with segment.path.open("rb") as file:
            return decode_header(file.read(HEADER_SIZE))
    except SpoolFormatProblem:
        return None


def records(segment: SegmentFile) -> Iterator[Frame | Damage]:
    """Read a segment's records, a little at a time. Raises SpoolFormatProblem for another format's."""
    reader = FrameReader()
    with segment.path.open("rb", buffering=0) as file:
        head = file.read(HEADER_SIZE)
        if header_of_another_format(head):
            decode_header(head)
        while data := file.read(CHUNK):
            yield from reader.feed(data)
        yield from reader.finish()


def header_of_another_format(head: bytes) -> bool:
    """Tell whether this is a sound segment, but not of this version: then its frames may mean something else."""
    try:
        decode_header(head)
    except SpoolFormatProblem as problem:
        return "of format" in str(problem)
    return False
