"""One request on its way to its response: what is known so far."""

from typing import NamedTuple

from collector.domain.observed import Moved
from collector.wire.head import Head


class Pending:
    """Mutable until its exchange is told. Offsets are of the stream, times CLOCK_MONOTONIC nanoseconds; 0 = not yet."""

    __slots__ = (
        "attempt",
        "drains",
        "endless",
        "first",
        "head",
        "id",
        "inferred",
        "invalid",
        "number",
        "request_end",
        "request_start",
        "response_end",
        "response_first_at",
        "response_last_at",
        "response_ready",
        "response_start",
        "retry_of",
        "sent_at",
        "status",
        "told",
        "truncated",
        "version",
    )

    def __init__(self, number: int, exchange_id: str, head: Head, first: Moved, start: int) -> None:
        self.number = number
        self.id = exchange_id
        self.head = head
        self.first = first  # the call that moved the first byte
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


class Endpoint(NamedTuple):
    """The observed end of a connection as text: who moves the bytes, and between which addresses."""

    comm: str
    service: str | None
    cgroup: str | None
    local_ip: str
    peer_ip: str


class Told:
    """What a later attempt needs to know of an exchange: its ID, and how it ended once it has."""

    __slots__ = ("attempt", "begun_ns", "id", "reason")

    def __init__(self, exchange_id: str, attempt: int, begun_ns: int) -> None:
        self.id = exchange_id
        self.attempt = attempt
        self.begun_ns = begun_ns
        self.reason: str | None = None
