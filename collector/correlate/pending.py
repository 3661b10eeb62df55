"""One request on its way to its response: what is known so far."""

from typing import TYPE_CHECKING, NamedTuple

from collector.wire.message import Head

if TYPE_CHECKING:
    from collector.domain.bodies import Kept


class Endpoint(NamedTuple):
    """The observed end of a connection: the process that moves the bytes, and the addresses as text."""

    pid: int
    started_ns: int
    exec_id: int
    comm: str
    service: str | None
    cgroup: str | None
    local_ip: str
    local_port: int
    peer_ip: str
    peer_port: int


class Told:
    """What a later attempt needs to know of an exchange: its ID, and how it ended once it has."""

    __slots__ = ("attempt", "begun_ns", "id", "reason")

    def __init__(self, exchange_id: str, attempt: int, begun_ns: int) -> None:
        self.id = exchange_id
        self.attempt = attempt
        self.begun_ns = begun_ns
        self.reason: str | None = None


class Pending:
    """Mutable until its exchange is told. Offsets are of the stream, times CLOCK_MONOTONIC nanoseconds; 0 = not yet."""

    __slots__ = (
        "attempt",
        "begun_at",
        "drains",
        "end",
        "endless",
        "head",
        "inferred",
        "invalid",
        "number",
        "ready_at",
        "request_body",
        "request_end",
        "request_start",
        "response_body",
        "response_end",
        "response_first_at",
        "response_last_at",
        "response_ready",
        "response_start",
        "retransmits",
        "retry_of",
        "sent_at",
        "status",
        "tid",
        "told",
        "truncated",
        "version",
    )

    def __init__(self, number: int, head: Head, start: int, end: Endpoint) -> None:
        self.number = number
        self.head = head
        self.end = end  # who moved the first byte
        self.tid = 0
        self.begun_at = 0  # when the first byte had moved
        self.ready_at = 0  # when the first byte was in the kernel, where that is known
        self.retransmits = 0  # of the connection, before this request
        self.request_start = start
        self.request_end = -1
        self.sent_at = 0  # when the last request byte had moved
        self.response_start = -1  # interim responses included
        self.response_end = -1
        self.response_ready = 0  # when the final response's first byte was in the kernel
        self.response_first_at = 0
        self.response_last_at = 0
        self.status = 0
        self.version = head.version
        self.truncated = head.truncated
        self.endless = False  # where its message ends cannot be known
        self.drains = False  # ends with the next turn: its own end could not be read
        self.inferred = False  # its end is concluded, not read
        self.invalid = head.invalid + head.identifiers.invalid
        self.attempt = 1
        self.retry_of: Told | None = None
        self.told: Told | None = None  # what a later attempt will find
        self.request_body: Kept | None = None  # where bodies are archived
        self.response_body: Kept | None = None
