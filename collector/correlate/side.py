"""One direction of a connection: its place in the stream, and calls that came out of order."""

from typing import TYPE_CHECKING, Final

from collector.domain.observed import Moved

if TYPE_CHECKING:
    from collector.wire.chunked import ChunkedReader

START: Final = 0  # between messages or within a head
BODY: Final = 1  # ends at `until`
CHUNKS: Final = 2
CLOSE: Final = 3  # ends when the connection does
LOST: Final = 4  # nothing is certain until the next plausible head at the start of a turn

HELD_LIMIT: Final = 64


class Side:
    """The bytes that went one way. `expected` is the offset of the next one."""

    __slots__ = ("buffer", "buffer_start", "chunks", "expected", "first", "held", "last_at", "state", "until")

    def __init__(self, *, lost: bool) -> None:
        self.expected = 0
        self.state = LOST if lost else START
        self.until = 0
        self.chunks: ChunkedReader | None = None
        self.buffer = b""  # a head that goes on in the next call
        self.buffer_start = 0
        self.first: Moved | None = None  # the call in which the buffered head began
        self.last_at = 0  # when bytes last moved this way, as far as it was recorded
        self.held: list[Moved] = []

    def lose(self) -> None:
        """Nothing is certain from here."""
        self.state = LOST
        self.buffer = b""
        self.first = None

    def may_jump_to(self, offset: int) -> bool:
        """Tell whether bytes up to `offset` need not be seen to know what they are."""
        if self.state == BODY:
            return offset <= self.until
        if self.state == CHUNKS and self.chunks is not None:
            return self.chunks.skip(offset - self.expected)
        return self.state in (CLOSE, LOST)

    def reached(self, count: int) -> None:
        """Take the kernel's own count of bytes: calls within a body may have gone unrecorded, as we asked."""
        if self.held or count <= self.expected:
            return
        if self.state == CLOSE or (self.state == BODY and count < self.until):
            self.expected = count

    def hold(self, moved: Moved) -> None:
        """Keep a call that came before the one it follows."""
        self.held.append(moved)
        self.held.sort(key=lambda one: one.offset)

    def is_overtaken(self, moved: Moved) -> bool:
        """Tell whether a call fills the hole although its offset is off.

        Its record was made after that of a later call, so it claims the same end of the stream as that one.
        """
        end = moved.offset + moved.length
        return (
            moved.offset != self.expected
            and moved.length <= self.hole()
            and any(end == one.offset + one.length for one in self.held)
        )

    def hole(self) -> int:
        """Return how many bytes are missing before what is held."""
        return self.held[0].offset - self.expected
