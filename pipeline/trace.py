"""W3C trace context, level 2: continued where the record carries a valid one, begun where it does not."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z", re.DOTALL)
_TRACESTATE: Final = re.compile(r"[\x20-\x7e]{1,512}\Z")


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a request carries on: the trace it belongs to, and the span that is its parent."""

    trace_id: str
    span_id: str
    flags: str = "01"
    tracestate: str | None = None

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def parse(traceparent: str) -> TraceContext | None:
    """Read a traceparent by the letter; None where it is invalid (a higher version is read by position)."""
    match = _TRACEPARENT.match(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    return TraceContext(trace_id=trace_id, span_id=span_id, flags=flags)


def carry_on(traceparents: list[bytes], tracestates: list[bytes], random_bits: Callable[[int], int]) -> TraceContext:
    """Return a new span of the trace that the record's headers name, or of a new trace."""
    span_id = f"{random_bits(64) or 1:016x}"
    parent = parse(traceparents[0].decode("latin-1")) if len(traceparents) == 1 else None
    if parent is None:
        return TraceContext(trace_id=f"{random_bits(128) or 1:032x}", span_id=span_id)
    state = ",".join(part.decode("latin-1") for part in tracestates)
    kept = state if _TRACESTATE.match(state) else None
    return TraceContext(trace_id=parent.trace_id, span_id=span_id, flags=parent.flags, tracestate=kept)
