"""Trace and request IDs from request header fields, by the letter of their specifications.

W3C Trace Context level 2 (traceparent), OpenZipkin B3 (single and multiple headers), and the common X- fields.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from collector.wire.message import NOTHING, Identifiers

_VERSION_00: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16
_HEX: Final = frozenset(b"0123456789abcdef")
_ID_LIMIT: Final = 64  # of x-trace-id
_TEXT_LIMIT: Final = 255  # of request IDs and idempotency keys

Fields = Mapping[bytes, Sequence[bytes]]


def parse_traceparent(value: bytes) -> tuple[str, str] | None:
    """Return (trace ID, parent span ID), or None where the value is invalid (section 3.2 of the recommendation)."""
    usual = _VERSION_00.fullmatch(value)
    if usual is not None:
        trace, span = usual.groups()
        return None if trace == _NO_TRACE or span == _NO_SPAN else (trace.decode(), span.decode())
    if len(value) < 55 or value[2] != 0x2D or value[35] != 0x2D or value[52] != 0x2D:
        return None
    version, trace, span, flags = value[:2], value[3:35], value[36:52], value[53:55]
    if version == b"00":
        if len(value) != 55:
            return None
    elif version == b"ff" or (len(value) > 55 and value[55] != 0x2D):
        return None
    if not _HEX.issuperset(version + trace + span + flags):
        return None
    if trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return trace.decode(), span.decode()


def _parse_b3(value: bytes) -> tuple[str, str] | None:
    parts = value.split(b"-")
    if len(parts) < 2:
        return None
    return _b3_ids(parts[0], parts[1])


def _b3_ids(trace: bytes, span: bytes) -> tuple[str, str] | None:
    if len(trace) not in (16, 32) or len(span) != 16 or not _HEX.issuperset(trace + span):
        return None
    if not trace.strip(b"0") or not span.strip(b"0"):
        return None
    return trace.decode(), span.decode()


def _visible(value: bytes, limit: int) -> str | None:
    if 1 <= len(value) <= limit and all(0x21 <= byte <= 0x7E for byte in value):
        return value.decode()
    return None


def _printable(value: bytes) -> str | None:
    if 1 <= len(value) <= _TEXT_LIMIT and all(0x20 <= byte <= 0x7E for byte in value):
        return value.decode()
    return None


class _Reading:
    """One header section being read."""

    __slots__ = ("fields", "invalid")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.invalid: list[str] = []

    def single(self, name: bytes) -> bytes | None:
        """Return the value of a field that may stand only once."""
        values = self.fields.get(name)
        if not values:
            return None
        if len(values) > 1:
            self.invalid.append(name.decode())
            return None
        return values[0]

    def trace(self) -> tuple[str | None, str | None, str | None]:
        """Return (trace ID, span ID, source field): the first valid one in the order of preference."""
        found: tuple[str | None, str | None, str | None] | None = None
        for name, parse in ((b"traceparent", parse_traceparent), (b"b3", _parse_b3)):
            value = self.single(name)
            if value is None or (name == b"b3" and value in (b"0", b"1", b"d")):
                continue  # b3 alone may carry just the sampling decision
            ids = parse(value)
            if ids is None:
                self.invalid.append(name.decode())
            elif found is None:
                found = (*ids, name.decode())
        multiple = self._multiple()
        plain = self._plain()
        return found or multiple or plain or (None, None, None)

    def _multiple(self) -> tuple[str | None, str | None, str | None] | None:
        trace = self.single(b"x-b3-traceid")
        if trace is None:
            return None
        span = self.single(b"x-b3-spanid")
        ids = _b3_ids(trace, span if span is not None else b"1" * 16)
        if ids is None:
            self.invalid.append("x-b3-traceid" if _b3_ids(trace, b"1" * 16) is None else "x-b3-spanid")
            if _b3_ids(trace, b"1" * 16) is None:
                return None
            return trace.decode(), None, "x-b3-traceid"
        return ids[0], ids[1] if span is not None else None, "x-b3-traceid"

    def _plain(self) -> tuple[str | None, str | None, str | None] | None:
        value = self.single(b"x-trace-id")
        if value is None:
            return None
        text = _visible(value, _ID_LIMIT)
        if text is None:
            self.invalid.append("x-trace-id")
            return None
        return text, None, "x-trace-id"

    def text(self, *names: bytes) -> str | None:
        """Return the first valid value of the named fields."""
        for name in names:
            value = self.single(name)
            if value is None:
                continue
            text = _printable(value)
            if text is not None:
                return text
            self.invalid.append(name.decode())
        return None


def read_identifiers(fields: Fields) -> Identifiers:
    """Read every identifier from lower-case field names to trimmed values, in the order in which they stood."""
    if not fields:
        return NOTHING
    reading = _Reading(fields)
    trace, span, source = reading.trace()
    request = reading.text(b"x-request-id", b"x-correlation-id")
    key = reading.text(b"idempotency-key")
    return Identifiers(trace, span, source, request, key, tuple(reading.invalid))
