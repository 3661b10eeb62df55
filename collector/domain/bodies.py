"""Beginnings of message bodies, on their way from understanding to the archive; only where that was switched on."""

from typing import Final, NamedTuple

LONGEST: Final = 4096  # bytes of a body that may be kept: what the kernel copies of one call
_WAITING: Final = 20_000  # exchanges; twice what may wait for the spool


class Body(NamedTuple):
    """The first bytes of a body, as they were on the wire."""

    data: bytes
    chunked: bool  # with the chunked coding's framing
    whole: bool  # nothing came behind them


class Kept:
    """One body's beginning while it is read. What does not follow on what is there is left out."""

    __slots__ = ("_chunked", "_data", "_start")

    def __init__(self, start: int, *, chunked: bool) -> None:
        """`start`: where in the stream the body begins."""
        self._start = start
        self._data = b""
        self._chunked = chunked

    def take(self, offset: int, piece: bytes, limit: int) -> None:
        """Take bytes that stand at `offset` of the stream."""
        room = limit - len(self._data)
        if room > 0 and offset == self._start + len(self._data):
            self._data += piece[:room]

    def body(self, end: int) -> Body | None:
        """Return it, or nothing where there is nothing; `end`: where the message ended, -1 where that is not known."""
        if not self._data:
            return None
        return Body(self._data, self._chunked, 0 <= end <= self._start + len(self._data))


class Bodies:
    """What the archive has not taken yet, by the ID of the exchange. One thread puts, another takes."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of each body."""
        self.limit = min(limit, LONGEST)
        self._found: dict[str, tuple[Body | None, Body | None]] = {}

    def put(self, exchange_id: str, sent: Body | None, received: Body | None) -> None:
        """Keep them until they are taken; of exchanges that were lost on the way the oldest go."""
        if sent or received:
            self._found[exchange_id] = (sent, received)
            if len(self._found) > _WAITING:
                self._found.pop(next(iter(self._found)), None)

    def take(self, exchange_id: str) -> tuple[Body | None, Body | None]:
        """Return (sent, received)."""
        return self._found.pop(exchange_id, (None, None))
