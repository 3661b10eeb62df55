"""The spool segment's format, without I/O: a header, then one frame a record. docs/specs/archive.md, "Spool".

    header  = "NSSPOOL" version(u8) number(u64) first_seq(u64) hour(u32) writer(8 bytes) crc32c(u32)
    frame   = marker(4) crc32c(u32) length(u32) seq(u64) payload; the CRC covers length, seq and payload

All numbers are little-endian. The marker begins with 0xF5, which no UTF-8 text has: after damage the next frame can be
found again without mistaking text for one.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from google_crc32c import extend as crc32c_on
from google_crc32c import value as crc32c

from collector.audit.errors import SpoolFormatProblem

VERSION: Final = 1
MARKER: Final = b"\xf5NS\xf1"
MAX_PAYLOAD: Final = 1 << 20  # bytes; a longer record is not written, and a longer length is damage
_MAGIC: Final = b"NSSPOOL"
_HEADER: Final = struct.Struct("<7sBQQI8s")
_CRC: Final = struct.Struct("<I")
_ABOUT: Final = struct.Struct("<IQ")
_FRAME_HEAD: Final = struct.Struct("<4sIIQ")
HEADER_SIZE: Final = _HEADER.size + _CRC.size
FRAME_OVERHEAD: Final = _FRAME_HEAD.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a segment says of itself."""

    number: int  # of the segment, from 1
    first_seq: int  # of its first frame; what earlier segments hold from here on does not count
    hour: int  # hours since 1970 to which it belongs
    writer: bytes  # 8 bytes

    def encode(self) -> bytes:
        """Return the header's bytes."""
        text = _HEADER.pack(_MAGIC, VERSION, self.number, self.first_seq, self.hour, self.writer)
        return text + _CRC.pack(crc32c(text))


@dataclass(frozen=True, slots=True)
class Frame:
    """One intact record."""

    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no intact record."""

    offset: int
    size: int


def frames(first_seq: int, payloads: Iterable[bytes]) -> bytes:
    """Return the bytes of records that follow one another."""
    parts: list[bytes] = []
    for seq, payload in enumerate(payloads, start=first_seq):
        about = _ABOUT.pack(len(payload), seq)
        parts += (MARKER, _CRC.pack(crc32c_on(crc32c(about), payload)), about, payload)
    return b"".join(parts)


def decode_header(data: bytes) -> Header:
    """Read a segment's beginning. Raises SpoolFormatProblem."""
    if len(data) < HEADER_SIZE or not data.startswith(_MAGIC):
        raise SpoolFormatProblem("no spool segment: its header is missing or damaged")
    if data[len(_MAGIC)] != VERSION:
        raise SpoolFormatProblem(f"a spool segment of format {data[len(_MAGIC)]}; this version reads {VERSION}")
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    if crc != crc32c(data[: _HEADER.size]):
        raise SpoolFormatProblem("a spool segment's header is damaged: its CRC is wrong")
    _, _, number, first_seq, hour, writer = _HEADER.unpack_from(data)
    return Header(number=number, first_seq=first_seq, hour=hour, writer=writer)


class FrameReader:
    """Finds frames in a segment's bytes as they come; what is damaged is skipped and told."""

    def __init__(self, offset: int = HEADER_SIZE) -> None:
        self._buffer = b""
        self._offset = offset  # of the buffer's first byte in the segment
        self._bad_from = -1

    def feed(self, data: bytes) -> Iterator[Frame | Damage]:
        """Take the next bytes; give the records that are complete."""
        self._buffer += data
        return self._read(final=False)

    def finish(self) -> Iterator[Frame | Damage]:
        """Take the end: what is left over is damage (or was never finished)."""
        return self._read(final=True)

    def _read(self, *, final: bool) -> Iterator[Frame | Damage]:
        buffer, at, end = self._buffer, 0, len(self._buffer)
        while at + FRAME_OVERHEAD <= end:
            marker, crc, length, seq = _FRAME_HEAD.unpack_from(buffer, at)
            if marker == MARKER and length <= MAX_PAYLOAD:
                stop = at + FRAME_OVERHEAD + length
                if stop <= end:
                    if crc32c(buffer[at + 8 : stop]) == crc:
                        if self._bad_from >= 0:
                            yield self._damage(self._offset + at)
                        yield Frame(seq, buffer[at + FRAME_OVERHEAD : stop])
                        at = stop
                        continue
                elif not final:
                    break
            at = self._next_marker(at)
        if final and at < end:
            self._bad(at)
            at = end
        self._buffer = buffer[at:]
        self._offset += at
        if final and self._bad_from >= 0:
            yield self._damage(self._offset)

    def _next_marker(self, at: int) -> int:
        """Return where the next frame may begin, behind `at`; what lies between is damage."""
        self._bad(at)
        found = self._buffer.find(MARKER, at + 1)
        return found if found >= 0 else max(at + 1, len(self._buffer) - len(MARKER) + 1)

    def _bad(self, at: int) -> None:
        if self._bad_from < 0:
            self._bad_from = self._offset + at

    def _damage(self, until: int) -> Damage:
        damage = Damage(self._bad_from, until - self._bad_from)
        self._bad_from = -1
        return damage
