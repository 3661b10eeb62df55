"""What is read of a message: the start line and the fields that matter."""

from typing import Final

import msgspec


class Identifiers(msgspec.Struct, frozen=True, gc=False):
    """What the header section says about who asks; `invalid` lists fields that break their specification."""

    trace_id: str | None = None
    span_id: str | None = None
    trace_source: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    invalid: tuple[str, ...] = ()


NOTHING: Final = Identifiers()


class Head(msgspec.Struct, gc=False):
    """A start line and the fields that matter. `length`: Content-Length; -1 none, -2 not to be known."""

    method: str | None = None
    target: bytes = b""
    status: int = 0
    version: str = "1.1"
    host: str | None = None
    length: int = -1
    chunked: bool = False
    unknown_coding: bool = False
    truncated: bool = False
    identifiers: Identifiers = NOTHING
    invalid: tuple[str, ...] = ()
