"""From a record to the request it asks for, or to the reason why there can be none."""

import hashlib
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from pipeline import trace
from pipeline.errors import RecordInvalid
from pipeline.outbound.request import OutboundRequest, visible
from pipeline.records import Record
from pipeline.schema import Message, decode

_HOLE: Final = re.compile(r"\{([a-z_]{1,32})\}")


class Normaliser:
    """Holds what normalising needs besides the record: the largest value accepted, and where random bits come from."""

    def __init__(self, *, max_value_bytes: int, random_bits: Callable[[int], int]) -> None:
        self._max_value_bytes = max_value_bytes
        self._random_bits = random_bits

    def normalise(self, record: Record) -> OutboundRequest:
        """Return the request that a record asks for. Raises RecordInvalid."""
        value = record.value
        if record.unreadable:
            raise RecordInvalid("unreadable", "in its batch is a header whose name is not UTF-8")
        if value is None:
            raise RecordInvalid("null_value")
        if len(value) > self._max_value_bytes:
            raise RecordInvalid("too_large", f"{len(value)} bytes, at most {self._max_value_bytes}")
        message = decode(value)
        context = trace.carry_on(record.header("traceparent"), record.header("tracestate"), self._random_bits)
        body = b"" if message.method == "GET" else bytes(message.payload)
        try:
            return OutboundRequest(
                method=message.method,
                route=message.route,
                target=_fill(message),
                body=body,
                idempotency_key=message.id or _position(record),
                request_id=self._request_id(record),
                traceparent=context.traceparent,
                trace_id=context.trace_id,
                tracestate=context.tracestate,
            )
        except ValueError as problem:
            raise RecordInvalid("unusable", str(problem)) from problem

    def _request_id(self, record: Record) -> str:
        """Carry on the record's request ID where it can stand in a header, else make one."""
        given = record.header("x-request-id")
        if len(given) == 1:
            text = given[0].decode("latin-1")
            if visible(text):
                return text
        return f"{self._random_bits(128):032x}"


def _position(record: Record) -> str:
    """Return a key that a replay of the same record has again."""
    topic, partition = record.partition
    place = f"{topic}-{partition}-{record.offset}"
    return place if visible(place) else hashlib.sha256(place.encode()).hexdigest()


def _fill(message: Message) -> str:
    names = _HOLE.findall(message.route)
    if set(names) != set(message.params):
        raise RecordInvalid("schema", "params do not match the route's placeholders")
    if not names:
        return message.route
    if any(value in {".", ".."} for value in message.params.values()):
        raise RecordInvalid("schema", "a param would change the path")
    return _HOLE.sub(lambda hole: quote(message.params[hole[1]], safe=""), message.route)
