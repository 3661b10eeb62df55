"""What the archive keeps: an event of any kind, and where it stands in its writer's unbroken sequence.

docs/specs/archive.md is its reference, docs/specs/audit-event.schema.json its JSON Schema.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from collector.domain.events import Connection, Event, Exchange, Loss, Summary

AUDIT_VERSION = "1.0"

Weight = Literal["critical", "ordinary"]


class Payload(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The beginning of a message body, redacted; only there when it was switched on."""

    text: str  # UTF-8, what is not UTF-8 as U+FFFD
    bytes: int  # how many bytes of the body this stands for
    truncated: bool  # the body went on
    redacted: int  # values replaced by *


class AuditHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the archive puts in front of an event's own fields, in the same flat object."""

    audit_version: str = AUDIT_VERSION
    writer: str  # 16 hexadecimal digits: one spool, for its whole life
    audit_seq: int  # counts from 1 without holes over all that this writer archived
    sent_payload: Payload | None = None
    received_payload: Payload | None = None


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An archived line as it is read back: the head, and the event it carries."""

    head: AuditHead
    event: Event


class AuditSink(Protocol):
    """Where events go to be kept for good. Nothing here may block."""

    def append(self, events: Sequence[Event], lines: Sequence[bytes] | None = None) -> int:
        """Take events (and their JSON where it is there already); return how many were taken, the rest is counted."""
        ...


def weight(event: Event) -> Weight:
    """Tell what gives way first where there is no room: what no exchange, error, breach or loss depends on."""
    match event:
        case Connection(severity="info") | Summary():
            return "ordinary"
        case Exchange() | Connection() | Loss():
            return "critical"


def decode(line: bytes) -> AuditEvent:
    """Return an archived line of this or an earlier minor version. Raises msgspec.DecodeError, ValidationError."""
    return AuditEvent(head=_HEAD.decode(line), event=_EVENT.decode(line))


_HEAD = msgspec.json.Decoder(AuditHead)
_EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Exchange | Connection | Loss | Summary)
