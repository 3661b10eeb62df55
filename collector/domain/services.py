"""Which service a process is: rules over what is known of it, without any I/O."""

import fnmatch
import re
from pathlib import PurePosixPath
from typing import Final, NamedTuple, Protocol

_CONTAINER: Final = re.compile(r"(?:docker|cri-containerd|crio|libpod|containerd)[-/]([0-9a-f]{12})[0-9a-f]{52}")
_UNIT: Final = re.compile(r"/([^/]+)\.service(?:/|$)")
_INTERPRETERS: Final = re.compile(r"(python|pypy|ruby|node|nodejs|perl|php|bash|dash|sh)[\d.]*$")
_NOT_SERVICES: Final = frozenset({"user@", "session", "dbus", "ssh", "sshd"})
_WITH_VALUE: Final = frozenset({"-W", "-X", "-r", "--require", "-I"})


class Identity(NamedTuple):
    """What is known of a process."""

    service: str | None
    cgroup: str | None


class Processes(Protocol):
    """Knows processes by number and start."""

    def lookup(self, pid: int, started_ns: int, exec_id: int, comm: str, cgroup_id: int) -> Identity:
        """Return what is known; None where it is not."""
        ...


def name_service(
    *, comm: str, arguments: tuple[str, ...], cgroup: str | None, configured: tuple[tuple[str, str], ...] = ()
) -> str:
    """Return the service's name: configured, container, systemd unit, script or module of an interpreter, command."""
    for pattern, name in configured:
        if fnmatch.fnmatchcase(comm, pattern) or fnmatch.fnmatchcase(" ".join(arguments), pattern):
            return name
    if cgroup:
        if found := _CONTAINER.search(cgroup):
            return found[1]
        if (found := _UNIT.search(cgroup)) and not any(found[1].startswith(other) for other in _NOT_SERVICES):
            return found[1]
    if arguments and _INTERPRETERS.search(PurePosixPath(arguments[0]).name):
        return _script(arguments[1:]) or comm
    return comm


def _script(arguments: tuple[str, ...]) -> str | None:
    rest = iter(arguments)
    for argument in rest:
        if argument == "-m":
            module = next(rest, None)
            if module in ("uvicorn", "gunicorn", "hypercorn", "celery", "flask"):
                return _application(tuple(rest)) or module
            return module
        if argument in ("-c", "-e", "-"):
            return None
        if argument in _WITH_VALUE:
            next(rest, None)
        elif not argument.startswith("-"):
            stem = PurePosixPath(argument).stem
            if stem in ("uvicorn", "gunicorn", "hypercorn"):
                return _application(tuple(rest)) or stem
            return PurePosixPath(argument).parent.name if stem in ("__main__", "main", "app") else stem
    return None


def _application(arguments: tuple[str, ...]) -> str | None:
    named = next((one for one in arguments if ":" in one and not one.startswith("-")), None)
    return named.split(":")[0].split(".")[0] if named else None
