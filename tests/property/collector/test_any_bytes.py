"""Any bytes in any cut: no exception, bounded memory; the same bytes cut differently give the same exchanges."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.domain.observed import ChangeKind
from collector.wire.head import HeadParser
from tests.support.traffic import RECEIVED, SENT, Wire

PIECES = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345",
        b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
    ]
)
ANSWERS = {
    b"G": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"H": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    b"P": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n",
}
GARBAGE = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [b"\r\n", b"\r\n\r\n", b"HTTP/1.1 ", b"GET /", b" HTTP/1.1\r\n", b"Content-Length: 9\r\n", b"0\r\n\r\n"]
    ),
)


def cuts(data, positions):
    edges = sorted({0, len(data), *(at % (len(data) + 1) for at in positions)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=12))
def test_split_invariance(requests, positions):
    """Two connections carry the same bytes: one whole message at a time, one cut anywhere."""
    results = []
    for at in ([], positions):
        wire = Wire()
        for asked in requests:
            for piece in cuts(asked, at):
                wire.ask(piece)
            for piece in cuts(ANSWERS[asked[:1]], at):
                wire.answer(piece)
        results.append(
            [(e.method, e.target, e.status_code, e.outcome, e.bytes_sent, e.bytes_received) for e in wire.told]
        )
    assert results[0] == results[1]
    assert len(results[0]) == len(requests)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from([SENT, RECEIVED]), GARBAGE, st.integers(0, 200), st.integers(-50, 300)),
            st.tuples(st.just("change"), st.sampled_from(list(ChangeKind)[:4]), st.booleans(), st.integers(0, 3)),
        ),
        max_size=25,
    ),
    st.booleans(),
    st.booleans(),
)
def test_any_bytes_any_order(steps, client, joined):
    wire = Wire(client=client, joined=joined)
    for step in steps:
        if step[0] == "change":
            wire.change(step[1], reset=step[2], shutdown=step[3])
        else:
            direction, payload, more, shift = step
            at = max(0, wire.offsets[direction] + (shift if shift % 7 == 0 else 0))
            wire.move(direction, payload, length=len(payload) + more, offset=at)
    wire.told += wire.core.finish(wire.now)
    assert len(wire.told) <= 1 + sum(len(step[1]) for step in steps if step[0] != "change")
    for event in wire.told:
        assert event.bytes_sent >= 0
        assert event.bytes_received >= 0
        for part in (event.send_ms, event.wait_ms, event.read_delay_ms, event.receive_ms):
            assert part is None or part >= 0


LINES = st.sampled_from(
    [
        b"Host: a\r\n",
        b"host:b\n",
        b"Accept: */*\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 6\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Authorization: Bearer x\r\n",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203332-01\r\n",
        b"traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n",
        b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
        b"x-request-id: 7\r\n",
        b" folded\r\n",
        b"\tfolded\r\n",
        b"no colon\r\n",
        b": no name\r\n",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.lists(LINES, max_size=6), min_size=1, max_size=6))
def test_what_the_parser_remembers_changes_nothing(sections):
    """Heads read one after another, twice, by one parser, and each by a parser that has seen nothing."""
    heads = [b"GET /%d HTTP/1.1\r\n" % number + b"".join(lines) + b"\r\n" for number, lines in enumerate(sections)]
    remembering = HeadParser()
    for head in heads * 2:
        assert remembering.request(head) == HeadParser().request(head)
