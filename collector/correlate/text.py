"""Bytes from the kernel as the text that events carry, remembered because they recur."""

import functools
import ipaddress
from datetime import UTC, datetime
from typing import Final

_NS: Final = 1_000_000_000
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"


@functools.lru_cache(maxsize=8192)
def address(raw: bytes) -> str:
    """Return an address of 16 bytes as text; an IPv4 address in its own form."""
    if raw.startswith(_MAPPED):
        return ".".join(map(str, raw[12:]))
    return str(ipaddress.IPv6Address(raw))


@functools.lru_cache(maxsize=4096)
def comm(raw: bytes) -> str:
    """Return a command name without its padding; bytes that are no UTF-8 are shown as such."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


@functools.lru_cache(maxsize=64)
def _seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(wall_ns: int) -> str:
    """Return RFC 3339 in UTC with nanoseconds."""
    seconds, rest = divmod(wall_ns, _NS)
    return f"{_seconds(seconds)}.{str(_NS + rest)[1:]}Z"
