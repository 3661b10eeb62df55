"""cgroup v2: where it is mounted, and the ID of a path in it (the inode of its directory)."""

from pathlib import Path
from typing import Final

_MOUNTINFO: Final = Path("/proc/self/mountinfo")


def mount_point() -> Path | None:
    """Return where cgroup2 is mounted, also in hybrid mode; None where it is not."""
    for line in _MOUNTINFO.read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(fields.split()[4])
    return None


def cgroup_id(path: str) -> int:
    """Return the ID of a cgroup, named by its full path or by its path below the mount point. Raises FileNotFoundError."""
    root = mount_point()
    full = Path(path)
    if root and not (full.is_absolute() and full.is_relative_to(root)):
        full = root / path.lstrip("/")
    return full.stat().st_ino
