"""What a watch is asked for, and where its events go: the words between the command line and the service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from collector.domain.bodies import Bodies
from collector.domain.events import Connection, Exchange, Summary

Told = Exchange | Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """One watch. Filters: any of one kind, all of different kinds."""

    pids: tuple[int, ...] = ()
    comms: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    cgroups: tuple[str, ...] = ()
    include_connections: bool = False
    duration_s: float | None = None
    count: int | None = None
    command: tuple[str, ...] = ()
    accept: Callable[[Told], bool] | None = None
    rung: str = "auto"
    ring_size: int = 1 << 23
    max_connections: int = 1 << 17
    user: str = "netscope"
    cache: str = "/var/cache/netscope"
    drain_interval_ms: float = 5.0
    services: tuple[tuple[str, str], ...] = ()
    routes: tuple[str, ...] = ()
    route_limit: int = 500
    read_delay_warning_ms: float = 50.0
    notify_socket: str = ""
    statistics: bool = False  # let the kernel time the programs
    bodies: Bodies | None = None  # where the beginnings of message bodies go, if that is wanted


class Sink(Protocol):
    """Where events go. Nothing here may block."""

    def ready(self, line: str) -> None:
        """Say that events that start from now on will be seen."""
        ...

    def warn(self, line: str) -> None:
        """Say what a person should know."""
        ...

    def emit(self, events: Sequence[Told]) -> None:
        """Take new events."""
        ...

    def tick(self, now_ns: int) -> bool:
        """Called every few milliseconds: refresh, flush. False: nobody reads any more, the watch may end."""
        ...

    def finish(self, summary: Summary) -> None:
        """Take the summary; everything taken before is out when this returns."""
        ...
