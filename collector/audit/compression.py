"""Compressors of the archive's lines, small in memory: several run side by side while a segment is read."""

import sys
import zlib
from collections.abc import Iterator
from typing import Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from collector.audit.errors import ArchiveNotSound
from collector.audit.settings import Compression

SUFFIXES: Final[dict[Compression, str]] = {"zstd": "zst", "gzip": "gz"}
_ZSTD_OPTIONS: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.window_log: 18,  # 256 KiB: as dense on JSON lines as the default, a third of its memory
    zstd.CompressionParameter.checksum_flag: 1,
}


class Compressor(Protocol):
    """What both have in common."""

    def compress(self, data: bytes, /) -> bytes:
        """Take data; return what is ready."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


def compressor(kind: Compression) -> Compressor:
    """Return a new compressor; equal input gives equal output."""
    if kind == "zstd":
        return zstd.ZstdCompressor(options=_ZSTD_OPTIONS)
    return zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # gzip without name or time


def decompressed(chunks: Iterator[bytes], suffix: str) -> Iterator[bytes]:
    """Decompress as it comes. Raises ArchiveNotSound where it is damaged or incomplete."""
    reader = zstd.ZstdDecompressor() if suffix == "zst" else zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            if reader.eof:
                raise ArchiveNotSound("an object goes on behind its compressed data")
            if data := reader.decompress(chunk):
                yield data
    except (zstd.ZstdError, zlib.error, EOFError) as problem:
        raise ArchiveNotSound(f"an object cannot be decompressed: {problem}") from problem
    if not reader.eof or reader.unused_data:
        raise ArchiveNotSound("an object's compressed data is cut off, or goes on behind its end")
