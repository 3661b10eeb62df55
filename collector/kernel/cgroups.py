"""cgroup v2: where it is mounted, and the ID of a path in it (the inode of its directory)."""

import os
import time
from pathlib import Path
from typing import Final

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_LIMIT: Final = 65_536
_REREAD_S: Final = 0.2


def mount_point() -> Path | None:
    """Return where cgroup2 is mounted, also in hybrid mode; None where it is not."""
    for line in _MOUNTINFO.read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(fields.split()[4])
    return None


def cgroup_id(path: str) -> int:
    """Return the ID of a cgroup, named by its full path or the one below the mount point. Raises FileNotFoundError."""
    root = mount_point()
    full = Path(path)
    if root and not (full.is_absolute() and full.is_relative_to(root)):
        full = root / path.lstrip("/")
    return full.stat().st_ino


class CgroupPaths:
    """Paths of cgroups by ID: also of processes that are gone already. The tree is read again when an ID is new."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._paths: dict[int, str | None] = {}
        self._read_at = 0.0

    def path(self, identity: int) -> str | None:
        """Return the path below the mount point, or None where it is not known."""
        stale = time.monotonic() - self._read_at > _REREAD_S
        if identity not in self._paths and self._root is not None and stale:
            self._read(self._root)
        return self._paths.get(identity)

    def _read(self, root: Path) -> None:
        self._read_at = time.monotonic()
        found: dict[int, str | None] = {}
        for folder, _, _ in os.walk(root):
            found[Path(folder).stat().st_ino] = folder[len(str(root)) :] or "/"
            if len(found) >= _LIMIT:
                break
        self._paths = found
