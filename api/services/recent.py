"""The newest events in memory, bounded by bytes: what REST pages through and what the feed resumes from."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile, islice
from typing import Final, Generic, TypeVar

import msgspec

from collector.domain.events import Connection, Exchange

_FIXED_BYTES: Final = 1_400  # an event's struct, numbers and short texts, measured with sys.getsizeof
_encode: Final = msgspec.json.Encoder().encode

EventT = TypeVar("EventT", Exchange, Connection)


class Entry(Generic[EventT]):
    """One event, what it weighs, and its feed frame once somebody wanted it."""

    __slots__ = ("event", "frame", "weight")

    def __init__(self, event: EventT, weight: int) -> None:
        self.event: EventT = event
        self.frame: bytes | None = None
        self.weight = weight


def text_frame(payload: bytes) -> bytes:
    """Return the payload as one unmasked WebSocket text frame (RFC 6455, 5.2)."""
    length = len(payload)
    if length < 126:
        return b"\x81" + length.to_bytes(1, "big") + payload
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


def _weight(event: Exchange | Connection) -> int:
    if isinstance(event, Connection):
        return _FIXED_BYTES
    ids = len(event.request_id or "") + len(event.idempotency_key or "") + len(event.trace_id or "")
    return _FIXED_BYTES + ids + len(event.target or "") + len(event.host or "")


class Recent(Generic[EventT]):
    """Events in the order of their `seq`; the oldest give way when `limit_bytes` are reached."""

    def __init__(self, limit_bytes: int) -> None:
        self.added = 0
        self.evicted = 0
        self.bytes = 0
        self._limit = limit_bytes
        self._entries: deque[Entry[EventT]] = deque()

    def add(self, events: Sequence[EventT]) -> tuple[list[Entry[EventT]], list[Entry[EventT]]]:
        """Keep events; return (entries made, entries that gave way), both oldest first."""
        made = [Entry(event, _weight(event)) for event in events]
        self._entries.extend(made)
        self.added += len(made)
        self.bytes += sum(entry.weight for entry in made)
        gone: list[Entry[EventT]] = []
        while self.bytes > self._limit and self._entries:
            entry = self._entries.popleft()
            self.bytes -= entry.weight
            entry.weight = 0
            gone.append(entry)
        self.evicted += len(gone)
        return made, gone

    def frame(self, entry: Entry[EventT]) -> bytes:
        """Return the event as a feed frame; made once, and weighed while the entry is kept."""
        if entry.frame is None:
            entry.frame = text_frame(_encode(entry.event))
            if entry.weight:
                entry.weight += len(entry.frame)
                self.bytes += len(entry.frame)
        return entry.frame

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry[EventT]]:
        return iter(self._entries)

    def page(
        self, *, before: int | None, limit: int, accept: Callable[[EventT], bool] | None
    ) -> tuple[list[EventT], int | None]:
        """Return up to `limit` events with `seq` below `before`, newest first, and the `before` of the next page."""
        newest = (entry.event for entry in reversed(self._entries))
        older = newest if before is None else dropwhile(lambda event: event.seq >= before, newest)
        found = list(islice(older if accept is None else filter(accept, older), limit + 1))
        return found[:limit], found[limit - 1].seq if len(found) > limit else None

    def matching(self, accept: Callable[[EventT], bool], limit: int) -> list[EventT]:
        """Return up to `limit` events that fit, oldest first."""
        found: list[EventT] = []
        for entry in self._entries:
            if accept(entry.event):
                found.append(entry.event)
                if len(found) == limit:
                    break
        return found
