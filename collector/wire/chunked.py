"""The chunked coding's framing, incrementally (RFC 9112 section 7.1). Data are skipped, never kept."""

from typing import Final

_LINE_LIMIT: Final = 4096
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")

SIZE: Final = 0
DATA: Final = 1
DATA_END: Final = 2
TRAILER: Final = 3
DONE: Final = 4
BAD: Final = 5


class ChunkedReader:
    """Where in a chunked body the stream stands. `left` counts data bytes to skip."""

    __slots__ = ("_line", "left", "state")

    def __init__(self) -> None:
        self.state = SIZE
        self.left = 0
        self._line = b""

    def read(self, data: bytes, position: int) -> int:
        """Go on at `position` of `data`; return where it stopped: at the end of data, of the body, or at a fault."""
        end = len(data)
        while position < end and self.state < DONE:
            if self.state == DATA:
                step = min(self.left, end - position)
                self.left -= step
                position += step
                if not self.left:
                    self.state = DATA_END
                continue
            position = self._read_line(data, position, end)
        return position

    def skip(self, count: int) -> bool:
        """Pass over bytes that were not captured; False where they reach beyond this chunk's data."""
        if self.state != DATA or count > self.left:
            return False
        self.left -= count
        if not self.left:
            self.state = DATA_END
        return True

    def _read_line(self, data: bytes, position: int, end: int) -> int:
        newline = data.find(b"\n", position)
        stop = newline + 1 if newline >= 0 else end
        self._line += data[position : min(stop, position + _LINE_LIMIT)]
        if newline < 0:
            if len(self._line) >= _LINE_LIMIT:
                self.state = BAD
            return end
        line, self._line = self._line.rstrip(b"\r\n"), b""
        self._take(line)
        return stop

    def _take(self, line: bytes) -> None:
        if self.state == DATA_END:
            self.state = BAD if line else SIZE
        elif self.state == TRAILER:
            if not line:
                self.state = DONE
        else:
            digits = line.split(b";", 1)[0].strip(b" \t")
            if not 1 <= len(digits) <= 16 or not _HEX.issuperset(digits):
                self.state = BAD
                return
            self.left = int(digits, 16)
            self.state = DATA if self.left else TRAILER
