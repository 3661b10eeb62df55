"""What the shipper notes beside the spool: receipts of segments that are in the store, and manifests."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from collector.audit import manifest as manifests
from collector.audit.manifest import Manifest
from collector.audit.spool_files import SpoolFiles, write_durably

_KEPT_MANIFESTS: Final = 3


class ObjectNote(msgspec.Struct, frozen=True, kw_only=True):
    """One object that is in the store."""

    key: str
    sha256: str  # of the stored bytes
    size: int
    events: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """All of one segment is in the store."""

    segment: int
    hour: int
    first: int  # sequence numbers that the segment answers for; last = first - 1 where there are none
    last: int
    events: int
    lost: int
    damaged: int
    objects: tuple[ObjectNote, ...]


@dataclass(frozen=True, slots=True)
class KeptManifest:
    """A manifest as it lies beside the spool."""

    path: Path

    @property
    def number(self) -> int:
        """Return its number in the chain."""
        return int(self.path.stem)

    @property
    def data(self) -> bytes:
        """Return its bytes."""
        return self.path.read_bytes()

    @property
    def signature(self) -> Path:
        """Return where its signature is, once it has one."""
        return self.path.with_suffix(".sig")

    @property
    def done(self) -> Path:
        """Return the mark that it is in the store."""
        return self.path.with_suffix(".done")


def receipt_path(files: SpoolFiles, segment: int) -> Path:
    """Return where a segment's receipt is."""
    return files.receipts / f"{segment:012d}.json"


def save_receipt(files: SpoolFiles, receipt: Receipt) -> None:
    """Note it, durably."""
    write_durably(receipt_path(files, receipt.segment), msgspec.json.encode(receipt))


def receipts(files: SpoolFiles) -> Iterator[Receipt]:
    """Return the receipts that no manifest has covered yet, in order."""
    for path in _receipt_paths(files):
        yield msgspec.json.decode(path.read_bytes(), type=Receipt)


def read_receipt(files: SpoolFiles, segment: int) -> Receipt:
    """Return a segment's receipt."""
    return msgspec.json.decode(receipt_path(files, segment).read_bytes(), type=Receipt)


def _receipt_paths(files: SpoolFiles) -> list[Path]:
    return sorted(files.receipts.glob("[0-9]*.json"))


def kept_manifests(files: SpoolFiles) -> list[KeptManifest]:
    """Return the manifests beside the spool, in order."""
    return [KeptManifest(path) for path in sorted(files.manifests.glob("[0-9]*.sha256"))]


def last_manifest(files: SpoolFiles) -> tuple[Manifest, str] | None:
    """Return the newest manifest and its hash."""
    kept = kept_manifests(files)
    if not kept:
        return None
    data = kept[-1].data
    return manifests.decode(data), manifests.digest(data)


def save_manifest(files: SpoolFiles, made: Manifest) -> None:
    """Note it durably; the receipts it covers are not needed any more."""
    write_durably(files.manifests / f"{made.number:08d}.sha256", made.encode())
    for path in _receipt_paths(files):
        if int(path.stem) <= made.segment:
            path.unlink()


def forget_old_manifests(files: SpoolFiles) -> None:
    """Remove those that are in the store, but for the newest few."""
    for kept in kept_manifests(files)[:-_KEPT_MANIFESTS]:
        if not kept.done.exists():
            return
        for path in (kept.path, kept.signature, kept.done):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def known_seq(files: SpoolFiles) -> int:
    """Return the last sequence number that the notes know of."""
    newest = _receipt_paths(files)[-1:]
    seq = read_receipt(files, int(newest[0].stem)).last if newest else 0
    last = last_manifest(files)
    return max(seq, last[0].last if last else 0)
