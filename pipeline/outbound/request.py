"""What is to be called: one request, complete, valid and independent of HTTP libraries."""

import re
from typing import Final

import msgspec

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS: Final = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,128}\Z")
_TARGET: Final = re.compile(r"/[\x21\x24-\x3b\x3d\x3f-\x5a\x5f\x61-\x7a\x7e]{0,2047}\Z")


def visible(text: str) -> bool:
    """Tell whether the text can stand in a header: 1 to 128 visible ASCII characters, so no blank and no line end."""
    return _VISIBLE.match(text) is not None


class OutboundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the external API. Raises ValueError where a part could change the meaning of the others."""

    method: str
    route: str  # the template, for metrics and logs
    target: str  # path and query, percent-encoded
    body: bytes
    idempotency_key: str
    request_id: str
    traceparent: str
    trace_id: str
    tracestate: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r}")
        if not _TARGET.match(self.target):
            raise ValueError("target")
        if not (visible(self.idempotency_key) and visible(self.request_id) and visible(self.traceparent)):
            raise ValueError("header value")
        if self.tracestate is not None and not (self.tracestate.isascii() and self.tracestate.isprintable()):
            raise ValueError("tracestate")

    @property
    def safe(self) -> bool:
        """Whether the method asks for no effect (RFC 9110, section 9.2.1)."""
        return self.method in SAFE_METHODS
