"""Ports between the understanding and the telling: what the parts at the edges implement."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from collector.domain.watching import Told


class EventBus(Protocol):
    """Takes new events to everybody who wants them. Never blocks; what somebody cannot take is counted."""

    def publish(self, events: Sequence[Told]) -> None:
        """Hand a batch to every subscriber, in order."""
        ...

    def losses(self) -> dict[str, int]:
        """Return events that a subscriber lost, by reason."""
        ...


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which archived events are asked for: begun at `since` or later and before `until` (RFC 3339, UTC)."""

    since: str
    until: str
    service: str | None = None


class ArchiveUnavailable(Exception):  # says what happened
    """The archive cannot be read now; the message says why, without secrets."""


class AuditReader(Protocol):
    """Reads back what was archived."""

    def read(self, query: AuditQuery) -> Iterator[bytes]:
        """Yield blocks of whole NDJSON lines, oldest first; may block. Raises ArchiveUnavailable before the first."""
        ...
