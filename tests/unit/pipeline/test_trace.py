"""Trace context is continued where it is valid by the letter, and begun anew where it is not."""

import pytest

from pipeline import trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def bits(count: int) -> int:
    return (1 << count) - 1


def carried(*parents: bytes, state: list[bytes] | None = None) -> trace.TraceContext:
    return trace.carry_on(list(parents), state or [], bits)


def test_a_valid_parent_is_continued_with_a_span_of_our_own() -> None:
    assert carried(PARENT.encode()).traceparent == f"00-0af7651916cd43dd8448eb211c80319c-{'f' * 16}-01"


def test_what_was_not_sampled_stays_so() -> None:
    assert carried(PARENT.replace("-01", "-00").encode()).flags == "00"


def test_a_higher_version_is_read_by_position() -> None:
    found = trace.parse("cc" + PARENT[2:] + "-what-the-future-brings")
    assert found is not None
    assert found.trace_id == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        PARENT.upper(),
        PARENT + "-more",
        PARENT + "\r\n",
        PARENT + "\r\nX-Injected: 1",
        "ff" + PARENT[2:],
        PARENT[:-1],
        "\u00e9t\u00e9",
    ],
)
def test_what_is_not_valid_begins_a_new_trace(parent: str) -> None:
    assert carried(parent.encode()).traceparent == f"00-{'f' * 32}-{'f' * 16}-01"


def test_two_parents_are_none() -> None:
    assert carried(PARENT.encode(), PARENT.encode()).trace_id == "f" * 32


def test_state_goes_along_where_it_can_stand_in_a_header() -> None:
    assert carried(PARENT.encode(), state=[b"a=1", b"b=2"]).tracestate == "a=1,b=2"
    assert carried(PARENT.encode(), state=[b"a=1\r\nX-Injected: 1"]).tracestate is None
    assert carried(PARENT.encode(), state=[b"x" * 513]).tracestate is None
    assert carried(b"invalid", state=[b"a=1"]).tracestate is None


def test_ids_are_never_all_zero() -> None:
    made = trace.carry_on([], [], lambda _: 0)
    assert trace.parse(made.traceparent) is not None
