"""Identifiers by the letter."""

import pytest

from collector.wire.trace_context import parse_traceparent, read_identifiers

T, S = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"00-" + T + b"-" + S + b"-01", True),
        (b"00-" + T.upper() + b"-" + S + b"-01", False),
        (b"00-" + T + b"-" + S + b"-01-extra", False),
        (b"01-" + T + b"-" + S + b"-01-extra", True),
        (b"01-" + T + b"-" + S + b"-01extra", False),
        (b"ff-" + T + b"-" + S + b"-01", False),
        (b"00-" + b"0" * 32 + b"-" + S + b"-01", False),
        (b"00-" + T + b"-" + b"0" * 16 + b"-01", False),
        (b"00-" + T[:-1] + b"-" + S + b"-01", False),
        (b"", False),
        (b"0-" + T, False),
    ],
)
def test_traceparent(value, valid):
    assert parse_traceparent(value) == ((T.decode(), S.decode()) if valid else None)


def read(**fields):
    return read_identifiers({name.replace("_", "-").encode(): values for name, values in fields.items()})


def test_order_of_preference():
    value = b"00-" + T + b"-" + S + b"-01"
    assert read(traceparent=[value], b3=[b"a" * 32 + b"-" + S]).trace_source == "traceparent"
    fallen = read(traceparent=[b"junk"], b3=[b"a" * 16 + b"-" + S + b"-1"])
    assert (fallen.trace_id, fallen.trace_source, fallen.invalid) == ("a" * 16, "b3", ("traceparent",))
    assert read(b3=[b"A" * 16 + b"-" + S]).invalid == ("b3",)  # B3 asks for lower-hex
    multiple = read(x_b3_traceid=[T], x_b3_spanid=[S])
    assert (multiple.trace_id, multiple.span_id, multiple.trace_source) == (T.decode(), S.decode(), "x-b3-traceid")
    assert read(x_trace_id=[b"any/visible~1"]).trace_id == "any/visible~1"
    assert read(x_trace_id=[b"x" * 65]).invalid == ("x-trace-id",)


def test_duplicates_are_invalid_and_said():
    value = b"00-" + T + b"-" + S + b"-01"
    assert read(traceparent=[value, value]).invalid == ("traceparent",)


def test_request_ids():
    assert read(x_request_id=[b"r"], x_correlation_id=[b"c"]).request_id == "r"
    assert read(x_correlation_id=[b"c"]).request_id == "c"
    assert read(idempotency_key=[b"\x00"]).invalid == ("idempotency-key",)
