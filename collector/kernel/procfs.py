"""What /proc knows of a process: its command line and cgroup. Bounded cache; unreadable is null."""

from pathlib import Path
from typing import Final

from collector.domain.services import Identity, name_service
from collector.kernel.cgroups import CgroupPaths, mount_point
from collector.kernel.namespaces import has_host_pids

_PROC: Final = Path("/proc")
_CACHE_LIMIT: Final = 8192


class Procfs:
    """Looks processes up once per program they run."""

    def __init__(self, configured: tuple[tuple[str, str], ...] = (), root: Path = _PROC) -> None:
        self._configured = configured
        self._root = root if has_host_pids() else None  # the kernel's numbers are the host's: others are foreign here
        self._cgroups = CgroupPaths(mount_point())
        self._known: dict[tuple[int, int, int, str], Identity] = {}

    def lookup(self, pid: int, started_ns: int, exec_id: int, comm: str, cgroup_id: int) -> Identity:
        """Return the service and cgroup path of a process as it is now; comm stands for what is gone already."""
        key = (pid, started_ns, exec_id, comm)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            known = self._known[key] = self._read(pid, comm, cgroup_id)
        return known

    def _read(self, pid: int, comm: str, cgroup_id: int) -> Identity:
        arguments = tuple(part.decode(errors="replace") for part in self._bytes(pid, "cmdline").split(b"\0") if part)
        cgroup = self._cgroups.path(cgroup_id)
        return Identity(
            name_service(comm=comm, arguments=arguments, cgroup=cgroup, configured=self._configured), cgroup
        )

    def _bytes(self, pid: int, name: str) -> bytes:
        if self._root is None:
            return b""
        try:
            return (self._root / str(pid) / name).read_bytes()
        except OSError:
            return b""
