"""From records to requests: valid ones become exactly one request, the others a reason from a closed list."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import trace
from pipeline.errors import RecordInvalid
from pipeline.load.messages import MessageSource, poison
from pipeline.normalise import Normaliser
from pipeline.outbound.request import OutboundRequest
from pipeline.records import Record

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record(value: bytes | None, *headers: tuple[str, bytes | None], key: bytes | None = b"k") -> Record:
    return Record(partition=("orders", 3), offset=42, key=key, value=value, headers=headers)


def normalise(value: bytes | None, *headers: tuple[str, bytes | None]) -> OutboundRequest:
    bits = random.Random(1).getrandbits
    return Normaliser(max_value_bytes=1000, random_bits=bits).normalise(record(value, *headers))


def test_a_message_becomes_a_request() -> None:
    request = normalise(
        b'{"id":"o-1","route":"/orders/{id}","params":{"id":"a b/c"},"method":"PUT","payload": {"n": 1}}',
        ("traceparent", PARENT),
        ("tracestate", b"a=1"),
        ("X-Request-Id", b"req-7"),
    )
    assert (request.method, request.route, request.target) == ("PUT", "/orders/{id}", "/orders/a%20b%2Fc")
    assert request.body == b'{"n": 1}'
    assert (request.idempotency_key, request.request_id) == ("o-1", "req-7")
    assert request.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert request.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert request.traceparent != PARENT.decode()
    assert request.tracestate == "a=1"


def test_without_an_id_the_place_in_the_topic_is_the_key() -> None:
    assert normalise(b'{"route":"/a"}').idempotency_key == "orders-3-42"


def test_topics_of_long_names_do_not_share_keys() -> None:
    def key(topic: str) -> str:
        one = Record(partition=(topic, 3), offset=42, key=None, value=b'{"route":"/a"}', headers=())
        return Normaliser(max_value_bytes=1000, random_bits=random.getrandbits).normalise(one).idempotency_key

    long = "x" * 200
    assert key("a" + long) != key("b" + long)
    assert key("a" + long) == key("a" + long)


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Injected: 1")],
        [("traceparent", PARENT), ("traceparent", PARENT)],
        [("traceparent", None)],
        [("traceparent", b"\xff\xfe")],
        [("traceparent", b"00-00000000000000000000000000000000-b7ad6b7169203331-01")],
    ],
)
def test_a_bad_trace_begins_a_new_one(headers: list[tuple[str, bytes | None]]) -> None:
    request = normalise(b'{"route":"/a"}', *headers)
    assert request.trace_id != "0af7651916cd43dd8448eb211c80319c"
    assert trace.parse(request.traceparent) is not None


@pytest.mark.parametrize("value", [b"a\r\nX-Injected: 1", b"a\nb", b"a b", b"", b"\xff", b"x" * 129])
def test_a_request_id_that_cannot_stand_in_a_header_is_replaced(value: bytes) -> None:
    request = normalise(b'{"route":"/a"}', ("x-request-id", value))
    assert request.request_id.isalnum()
    assert len(request.request_id) == 32


def test_a_tracestate_with_a_line_end_is_left_out() -> None:
    assert normalise(b'{"route":"/a"}', ("traceparent", PARENT), ("tracestate", b"a=1\r\nX: 1")).tracestate is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null_value"),
        (b"", "not_json"),
        (b"\xff\xfe{", "encoding"),
        (b'{"route":"/a","payload":"\xff"}', "encoding"),
        (b'{"route":"/a","payload":}', "not_json"),
        (b'{"route":"/a","payload":{"a":01}}', "not_json"),
        (b"[" * 900, "schema"),
        (b'{"route":"/a","payload":' + b"[" * 900, "not_json"),
        (b"{}", "schema"),
        (b"[]", "schema"),
        (b'{"route":"/a","extra":1}', "schema"),
        (b'{"route":"orders"}', "schema"),
        (b'{"route":"/a?x=1"}', "schema"),
        (b'{"route":"/a b"}', "schema"),
        (b'{"route":"/a\\r\\nX: 1"}', "schema"),
        (b'{"route":"/a\\n"}', "schema"),
        (b'{"route":"/a/{id}"}', "schema"),
        (b'{"route":"/a/{id}","params":{"id":".."}}', "schema"),
        (b'{"route":"/a","params":{"id":"1"}}', "schema"),
        (b'{"route":"/a","id":"x\\r\\nY: 1"}', "schema"),
        (b'{"route":"/a","id":""}', "schema"),
        (b'{"route":"/a","id":"x\\n"}', "schema"),
        (b'{"route":"/a","method":"TRACE"}', "schema"),
        (b'{"route":"/a","payload":"' + b"x" * 1000 + b'"}', "too_large"),
        ('{"route":"/a"}'.encode("utf-16"), "encoding"),
    ],
)
def test_invalid_records_have_a_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(RecordInvalid) as caught:
        normalise(value)
    assert caught.value.reason == reason


@given(
    st.binary(max_size=200),
    st.lists(
        st.tuples(st.sampled_from(["traceparent", "tracestate", "x-request-id"]), st.none() | st.binary(max_size=80))
    ),
)
def test_any_record_is_a_request_or_has_a_reason(value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    try:
        request = normalise(value, *headers)
    except RecordInvalid:
        return
    assert "\n" not in request.target + request.request_id + request.traceparent + (request.tracestate or "")


@given(
    st.lists(
        st.tuples(st.sampled_from(["traceparent", "tracestate", "x-request-id"]), st.none() | st.binary(max_size=80)),
        max_size=4,
    )
)
def test_no_header_of_a_record_brings_a_line_end_to_the_wire(headers: list[tuple[str, bytes | None]]) -> None:
    request = normalise(b'{"route":"/a"}', *headers)
    for text in (request.request_id, request.traceparent, request.tracestate or ""):
        assert text.isascii()
        assert text.isprintable()


@pytest.mark.parametrize(
    "kind", ["not_json", "truncated", "schema", "unknown_field", "line_end_in_id", "null", "encoding", "bad_route"]
)
def test_all_poison_of_the_load_is_poison(kind: str) -> None:
    with pytest.raises(RecordInvalid):
        normalise(poison(kind, "n-1"))


def test_the_load_can_be_repeated_and_is_valid() -> None:
    def make() -> list[bytes | None]:
        source = MessageSource(run="r", seed=5, poison_share=0.0, routes=("/a", "/b"), pad_bytes=10)
        return [source.make(n, intended_ns=1).value for n in range(20)]

    assert make() == make()
    for value in make():
        normalise(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "POST / HTTP/1.1\r\n"), ("target", "/a\r\nX: 1"), ("target", "/a b"), ("target", "a"), ("target", "/a#b"),
        ("idempotency_key", "a\r\nb"), ("idempotency_key", ""), ("request_id", "a b"), ("traceparent", "a\n"), ("tracestate", "a\r\n"),
    ],
)  # fmt: skip
def test_a_request_cannot_be_made_that_would_break_its_head(field: str, value: str) -> None:
    good = {
        "method": "POST", "route": "/a", "target": "/a", "body": b"", "idempotency_key": "k", "request_id": "r",
        "traceparent": PARENT.decode(), "trace_id": "t",
    }  # fmt: skip
    OutboundRequest(**good)
    with pytest.raises(ValueError):
        OutboundRequest(**{**good, field: value})
