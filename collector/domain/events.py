"""The events that everyone sees: watch --json, feed, REST, archive. One flat schema, versioned, null where unknown.

docs/specs/event.md is the specification, docs/specs/event.schema.json its JSON Schema.
"""

from typing import Literal

import msgspec

EVENT_VERSION = "1.0"

Outcome = Literal[
    "ok",
    "http_error",
    "timeout",
    "reset",
    "refused",
    "closed_by_peer",
    "closed_by_local",
    "truncated",
    "tunnel",
    "gap",
]
Role = Literal["client", "server"]
Severity = Literal["error", "warning", "info"]


class Quality(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far an event can be trusted: what was cut, lost, inferred, or broke its specification."""

    joined_mid: bool = False
    truncated: bool = False
    gap: bool = False
    inferred: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()


class Exchange(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="exchange", gc=False):
    """One HTTP request and what became of it, as one end of the connection saw it."""

    event_version: str = EVENT_VERSION
    id: str
    seq: int
    started_at: str  # RFC 3339, UTC, nanoseconds
    elapsed_ms: float | None
    service: str | None
    role: Role
    pid: int | None
    tid: int | None
    comm: str | None
    cgroup: str | None
    protocol: str | None
    method: str | None
    route: str | None
    target: str | None
    host: str | None
    trace_id: str | None
    span_id: str | None
    trace_source: str | None
    request_id: str | None
    idempotency_key: str | None
    status_code: int | None
    outcome: Outcome | None
    severity: Severity
    bytes_sent: int
    bytes_received: int
    local_ip: str
    local_port: int
    peer_ip: str
    peer_port: int
    internal_ip: str | None
    external_ip: str | None
    connection_id: int
    exchange_no: int
    connect_ms: float | None
    send_ms: float | None
    wait_ms: float | None
    read_delay_ms: float | None
    receive_ms: float | None
    srtt_us: int | None
    min_rtt_us: int | None
    retransmits: int | None
    attempt: int
    retry_of: str | None
    retry_reason: str | None
    quality: Quality


class Connection(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="connection", gc=False):
    """One TCP connection at its end (or at the end of the watch), with the kernel's own totals."""

    event_version: str = EVENT_VERSION
    id: str
    seq: int
    started_at: str
    elapsed_ms: float | None
    service: str | None
    role: Role | None
    pid: int | None
    tid: int | None
    comm: str | None
    cgroup: str | None
    protocol: str | None  # "http/1.1" where HTTP was seen, else null
    outcome: Outcome | None
    errno: str | None  # symbolic: "ECONNREFUSED"
    severity: Severity
    bytes_sent: int
    bytes_received: int
    segments_sent: int
    segments_received: int
    exchanges: int  # seen as events by this observer
    kernel_exchanges: int  # response turns counted in the kernel
    local_ip: str
    local_port: int
    peer_ip: str
    peer_port: int
    internal_ip: str | None
    external_ip: str | None
    connection_id: int
    connect_ms: float | None
    srtt_us: int | None
    min_rtt_us: int | None
    retransmits: int | None
    quality: Quality


class Loss(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="loss", gc=False):
    """Something was lost, where, why and how much of it."""

    event_version: str = EVENT_VERSION
    id: str
    seq: int
    started_at: str
    stage: str
    reason: str
    count: int
    severity: Severity = "error"


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="summary", gc=False):
    """The last line of a watch: what was seen, and what was not."""

    event_version: str = EVENT_VERSION
    exchanges: dict[str, int]  # by role
    records: dict[str, int]  # captured, decoded, lost
    lost: dict[str, dict[str, int]]  # by stage and reason
    connections: int
    not_http: int  # connections whose bytes were not HTTP
    kernel: dict[str, int]  # the kernel's own totals: bytes_sent, bytes_received, exchanges
    rung: str
    elapsed_ms: float


Event = Exchange | Connection | Loss | Summary
