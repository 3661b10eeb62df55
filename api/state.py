"""Everything the handlers may use: one value, made once, injected."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from api.services.feed import FeedHub
from api.services.invariants import InvariantLedger
from api.services.recent import Recent
from collector.domain.events import Connection, Exchange
from collector.domain.metrics import MetricsReader
from collector.domain.ports import AuditReader, EventBus
from collector.domain.status import Observer


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client, and all of them, may take."""

    requests_per_minute: int = 6_000  # of one address
    refusals_per_minute: int = 60  # wrong tokens and Origins of one address
    body_bytes: int = 65_536
    answer_s: float = 10.0  # until an answer begins
    write_s: float = 30.0  # a client that does not read on is let go
    head_s: float = 10.0  # a request's head is in
    connections: int = 1_024
    feed_clients: int = 600
    feed_filters: int = 64
    feed_message_bytes: int = 4_096  # from a client to us
    heartbeat_s: float = 20.0
    ping_s: float = 20.0


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask. Without a token only this host may, by one of its own names."""

    token: bytes | None = None
    hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "[::1]"})
    origins: frozenset[str] = frozenset()  # besides the page's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Time, injected: nanoseconds."""

    monotonic_ns: Callable[[], int]
    wall_ns: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """What the service knows and may use."""

    release: str
    epoch: str  # this run: 16 hexadecimal digits
    started_ns: int
    clocks: Clocks
    observer: Observer
    bus: EventBus
    metrics: MetricsReader | None
    audit: AuditReader | None
    exchanges: Recent[Exchange]
    connections: Recent[Connection]
    hub: FeedHub
    invariants: InvariantLedger
    limits: Limits
    access: Access
    log: Callable[..., None]  # (level, event, **fields)
