"""A local directory as the store: the embedded default, and an archive that somebody downloaded."""

import contextlib
import errno
import os
from collections.abc import Iterator
from hashlib import md5 as md5_of
from pathlib import Path

from collector.audit.errors import ObjectExists, ObjectMissing, StoreProblem
from collector.audit.spool_files import CHUNK, fsync_directory, write_beside
from collector.audit.stores.store import Held, Listed

_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


class DirectoryStore:
    """Objects are files; a file appears whole, durable and once."""

    refuses_overwriting = True

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def place(self) -> str:
        """Return the directory."""
        return str(self._root)

    def put(self, key: str, body: bytes, *, md5: bytes, about: dict[str, str]) -> None:  # noqa: ARG002  # no metadata here
        """Write beside, then link: link(2) never replaces."""
        path = self._root / key
        try:
            self._make(path.parent)
            beside = write_beside(path, body, 0o640)
            try:
                os.link(beside, path)
            except FileExistsError as there:
                raise ObjectExists(f"{path} exists", refusal="permanent") from there
            finally:
                with contextlib.suppress(OSError):
                    beside.unlink()
            fsync_directory(path.parent)
        except OSError as problem:
            raise _translated(problem, path) from problem

    def _make(self, folder: Path) -> None:
        """Make directories, each durable."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            path.mkdir(mode=0o750, exist_ok=True)
            fsync_directory(path.parent)

    def head(self, key: str) -> Held | None:
        """Read the file: a directory keeps no digests beside it."""
        digest, size = md5_of(usedforsecurity=False), 0
        try:
            for chunk in self.get(key):
                digest.update(chunk)
                size += len(chunk)
        except ObjectMissing:
            return None
        return Held(size, digest.hexdigest(), {})

    def get(self, key: str) -> Iterator[bytes]:
        """Read the file a little at a time."""
        path = self._root / key
        try:
            with path.open("rb", buffering=0) as file:
                while data := file.read(CHUNK):
                    yield data
        except FileNotFoundError as missing:
            raise ObjectMissing(f"{path} is not there", refusal="permanent") from missing
        except OSError as problem:
            raise _translated(problem, path) from problem

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Walk only the directory that the prefix names."""
        folder = self._root / prefix.rpartition("/")[0]
        for path in sorted(self._files(folder)):
            key = path.relative_to(self._root).as_posix()
            if key.startswith(prefix):
                with contextlib.suppress(FileNotFoundError):
                    yield Listed(key, path.stat().st_size)

    def _files(self, folder: Path) -> Iterator[Path]:
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            if path.name.startswith("."):
                continue
            if path.is_dir():
                yield from self._files(path)
            else:
                yield path

    def folders(self, prefix: str) -> list[str]:
        """Return the directories there."""
        folder = self._root / prefix.rpartition("/")[0]
        if not folder.is_dir():
            return []
        names = (f"{path.relative_to(self._root).as_posix()}/" for path in folder.iterdir() if path.is_dir())
        return sorted(name for name in names if name.startswith(prefix))


def _translated(problem: OSError, path: Path) -> StoreProblem:
    if problem.errno in _PASSING:
        return StoreProblem(f"{path}: {os.strerror(problem.errno)}", refusal="ambiguous")
    return StoreProblem(
        str(problem), refusal="slow", fix="audit_directory names a directory that this user may write to"
    )
