"""How the observer itself is doing: one frozen snapshot, made by the drain loop, read by whoever serves."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from collector.domain.events import Role


class Stream(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Open connections of one service to one peer in which no HTTP was seen, as a worker's to its Kafka broker."""

    service: str
    role: Role | None  # null: open before it was first seen, so nobody knows who connected
    peer_ip: str
    peer_port: int | None  # null: many peers connected to this service, each from a port of its own
    local_port: int | None  # null: this service connected, each time from another port
    connections: int
    bytes_sent: int  # over these connections, since they were first seen
    bytes_received: int


class OpenConnection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One connection that is open, as of its newest record; its bytes are how far its streams are known."""

    connection_id: int
    since: str  # RFC 3339: when the first end began to connect, or it was first seen
    service: str | None
    role: Role | None  # null: no request was seen yet, and nobody knows who connected
    pid: int | None
    comm: str | None
    protocol: str | None  # "http/1.1" where HTTP was seen, else null
    local_ip: str
    local_port: int
    peer_ip: str
    peer_port: int
    exchanges: int  # told
    under_way: int  # requests that have no complete answer yet
    bytes_sent: int
    bytes_received: int
    retransmits: int
    joined_mid: bool


class ObserverStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The collector as of `at_ns` (CLOCK_MONOTONIC). Counts are totals since the start."""

    at_ns: int
    started_ns: int
    rung: str
    canary: str  # "passed" | "pending" | "failed" | "filtered": the proof that the whole path works
    canary_exchanges: int  # the collector's own, known to the kernel, told to nobody
    stopping: bool
    told: int  # events, of every kind: the newest `seq`
    exchanges: dict[str, int]  # told, by role
    connections: int  # seen
    open_connections: int
    not_http: int  # connections whose bytes were not HTTP
    records: dict[str, int]  # captured, decoded, lost
    kernel: dict[str, int]  # the kernel's own totals of what watched connections moved
    lost: dict[str, dict[str, int]]  # by stage and reason
    ring_fill_ratio: float
    waiting: int = 0  # records that the kernel had numbered and nobody had read yet
    streams: tuple[Stream, ...] = ()  # once a second


class Observer(Protocol):
    """Knows how the observer is doing."""

    def status(self) -> ObserverStatus:
        """Return the newest snapshot; safe to call from any thread."""
        ...

    def open_connections(self, accept: Callable[[OpenConnection], bool] | None, limit: int) -> list[OpenConnection]:
        """Return the open connections that fit, the newest ones, newest first; safe to call from any thread."""
        ...
