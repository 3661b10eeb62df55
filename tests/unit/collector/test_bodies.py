"""The beginnings of bodies, as transcripts: what came, in order, up to the limit, and nothing that was skipped."""

import pytest

from collector.domain.bodies import Bodies
from tests.support.traffic import Wire, correlator

POST = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def wire(limit=100, **more):
    found = Bodies(limit)
    return Wire(correlator(bodies=found), **more), found


@pytest.mark.parametrize("client", [True, False])
def test_both_bodies_by_direction(client):
    watched, bodies = wire(client=client)
    event = watched.ask(POST + b"01234").ask(b"56789").answer(OK).only()
    request, response = bodies.take(event.id)[:: 1 if client else -1]
    assert (request.data, request.whole, response.data, response.whole) == (b"0123456789", True, b"ok", True)
    assert bodies.take(event.id) == (None, None)


def test_no_more_than_the_limit():
    watched, bodies = wire(limit=4)
    request, response = bodies.take(watched.ask(POST).ask(b"0123456789").answer(OK).only().id)
    assert (request.data, request.whole) == (b"0123", False)
    assert response.data == b"ok"


def test_nothing_behind_what_was_not_captured():
    watched, bodies = wire()
    request, _ = bodies.take(watched.ask(POST + b"012", length=len(POST) + 5).ask(b"56789").answer(OK).only().id)
    assert (request.data, request.whole) == (b"012", False)


def test_chunks_keep_their_framing_here():
    watched, bodies = wire()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
    event = watched.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer(chunked).answer(b"1\r\nc\r\n0\r\n\r\n").only()
    request, response = bodies.take(event.id)
    assert request is None
    assert (response.data, response.chunked, response.whole) == (b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", True, True)


def test_pipelined_requests_keep_their_own():
    watched, bodies = wire()
    first, second = watched.ask(POST + b"0123456789" + POST + b"abcdefghij").answer(OK + OK).told
    assert [bodies.take(one.id)[0].data for one in (first, second)] == [b"0123456789", b"abcdefghij"]


def test_the_kernel_is_not_told_to_leave_bodies_out():
    long = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"
    plain = Wire().ask(long)
    assert plain.core.take_hints()
    watched, _ = wire()
    assert not watched.ask(long).core.take_hints()


def test_what_nobody_takes_does_not_grow():
    bodies = Bodies(4)
    watched = Wire(correlator(bodies=bodies))
    (event,) = watched.ask(POST + b"0123456789").answer(OK).told
    kept = bodies.take(event.id)
    for number in range(20_001):
        bodies.put(str(number), *kept)
    assert bodies.take("0") == (None, None)
    assert bodies.take("1") == kept
