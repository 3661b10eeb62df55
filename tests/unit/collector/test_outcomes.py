"""Every outcome, in both roles, as transcripts."""

import pytest

from collector.domain.observed import ChangeKind
from tests.support.traffic import Wire

GET = b"GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"


@pytest.mark.parametrize("client", [True, False])
def test_complete(client):
    event = Wire(client=client).ask(GET).answer(OK).only()
    assert (event.outcome, event.status_code, event.target, event.route) == ("ok", 200, "/a?x=*", "/a")
    assert (event.role, event.severity) == ("client" if client else "server", "info")
    sizes = (len(GET), len(OK))
    assert (event.bytes_sent, event.bytes_received) == (sizes if client else sizes[::-1])


@pytest.mark.parametrize(("status", "severity"), [(404, "warning"), (503, "error")])
def test_http_error(status, severity):
    event = Wire().ask(GET).answer(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()).only()
    assert (event.outcome, event.severity) == ("http_error", severity)


def test_client_gives_up():
    event = Wire().ask(GET).step(5).change(ChangeKind.LOCAL_FINISHED, shutdown=3).only()
    assert (event.outcome, event.quality.inferred, event.severity) == ("timeout", ("outcome",), "error")


def test_client_that_closes_at_once_did_not_time_out():
    wire = Wire().ask(GET)
    wire.now -= 500_000
    assert wire.change(ChangeKind.LOCAL_FINISHED, shutdown=3).outcomes() == ["closed_by_local"]


def test_half_close_lets_the_answer_come():
    wire = Wire().ask(GET).change(ChangeKind.LOCAL_FINISHED, shutdown=2)
    assert wire.outcomes() == []
    assert wire.answer(OK).outcomes() == ["ok"]


def test_server_sees_the_client_go():
    wire = Wire(client=False).ask(GET).change(ChangeKind.PEER_FINISHED, shutdown=1)
    assert wire.change(ChangeKind.LOCAL_FINISHED, shutdown=3).outcomes() == ["closed_by_peer"]


def test_server_answers_a_half_closed_client():
    wire = Wire(client=False).ask(GET).change(ChangeKind.PEER_FINISHED, shutdown=1).answer(OK)
    assert wire.change(ChangeKind.LOCAL_FINISHED, shutdown=3).outcomes() == ["ok"]


def test_server_closes_within_its_answer():
    assert Wire(client=False).ask(GET).answer(PART).change(ChangeKind.LOCAL_FINISHED, shutdown=3).outcomes() == [
        "closed_by_local"
    ]


def test_peer_closes_within_the_answer():
    wire = Wire().ask(GET).answer(PART).change(ChangeKind.PEER_FINISHED, shutdown=1)
    assert (wire.only().outcome, wire.only().status_code, wire.only().severity) == ("closed_by_peer", 200, "error")


def test_reset_within_the_answer():
    assert Wire().ask(GET).answer(PART).change(ChangeKind.CLOSED, reset=True, error=104).outcomes() == ["reset"]


def test_queued_bytes_can_still_be_read_after_a_reset():
    wire = Wire().ask(GET).change(ChangeKind.CLOSED, reset=True, error=104, unread=len(OK))
    assert wire.outcomes() == []
    assert wire.answer(OK).outcomes() == ["ok"]


def test_until_close_ends_at_fin_also_when_fin_is_first():
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    assert Wire().ask(GET).answer(head + b"x").change(ChangeKind.PEER_FINISHED).outcomes() == ["ok"]
    wire = Wire().ask(GET).change(ChangeKind.PEER_FINISHED, unread=len(head) + 1)
    assert wire.outcomes() == []
    assert wire.answer(head + b"x").outcomes() == ["ok"]


def test_open_at_the_end():
    wire = Wire().ask(GET)
    (event,) = wire.core.finish(wire.now)
    assert (event.outcome, event.quality.truncated, event.elapsed_ms) == (None, True, None)


@pytest.mark.parametrize(
    ("lines", "outcome", "invalid"),
    [
        (b"Content-Length: 2\r\nContent-Length: 2", "ok", ()),
        (b"Content-Length: 2, 2", "ok", ()),
        (b"Content-Length: 2\r\nContent-Length: 3", None, ("content-length",)),
        (b"Content-Length: +2", None, ("content-length",)),
        (b"Transfer-Encoding: what", None, ("transfer-encoding",)),
    ],
)
def test_framing_that_is_not_known_is_not_guessed(lines, outcome, invalid):
    wire = Wire().ask(GET).answer(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\nok")
    assert (wire.only().status_code, wire.only().outcome, wire.only().quality.invalid) == (200, outcome, invalid)
    wire.ask(GET).answer(OK)
    assert len(wire.told) == (1 if outcome is None else 2)


def test_transfer_encoding_wins_and_says_so():
    wire = Wire().ask(GET)
    wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    assert (wire.only().outcome, wire.only().quality.invalid) == ("ok", ("content-length",))


def test_bad_chunk_size():
    wire = Wire().ask(GET).answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert (wire.only().outcome, wire.only().status_code, wire.only().quality.invalid) == (
        None, 200, ("transfer-encoding",),
    )  # fmt: skip


def test_obs_fold_bare_lf_and_leading_empty_lines():
    text = b"\r\n\nGET /f HTTP/1.1\nHost: h\nX-Request-ID: a\n  b\n\n"
    event = Wire().ask(text).answer(OK).only()
    assert (event.target, event.host, event.request_id) == ("/f", "h", "a b")
    assert event.bytes_sent == len(text.lstrip())


def test_absolute_form_and_userinfo():
    event = Wire().ask(b"GET http://user:secret@other:8080/p?k=v&f HTTP/1.1\r\nHost: h\r\n\r\n").answer(OK).only()
    assert (event.target, event.host, event.route) == ("http://other:8080/p?k=*&f", "other:8080", "/p")


def test_gap_ends_what_was_under_way_and_the_next_turn_starts_anew():
    wire = Wire().ask(GET).answer(PART[:20])
    wire.offsets[1] += 500
    wire.answer(b"rest")
    wire.told += wire.core.expire(wire.now + 10**9)
    assert wire.outcomes() == ["gap"]
    assert wire.told[0].quality.gap
    wire.ask(GET).answer(OK)
    assert wire.outcomes() == ["gap", "ok"]


def test_a_jump_within_a_known_body_is_no_gap():
    wire = Wire().ask(GET).answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    wire.offsets[1] += 90_000
    wire.answer(b"", length=10_000)
    assert (wire.only().outcome, wire.only().bytes_received) == ("ok", 100_000 + 43)


def test_two_threads_records_inverted():
    wire = Wire()
    one, two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /2 HTTP/1.1\r\nHost: aaaa\r\n\r\n"
    late = wire.moved(0, two, offset=len(one))
    early = wire.moved(0, one, offset=len(two))  # computed too late: as if behind the other
    wire.told += wire.core.receive_all([late, early])
    wire.answer(OK).answer(OK)
    assert [(e.target, e.outcome) for e in wire.told] == [("/1", "ok"), ("/2", "ok")]


def test_not_http_is_counted_and_muted():
    wire = Wire().ask(b"\x16\x03\x01\x02\x00")
    assert (wire.told, wire.core.not_http) == ([], 1)
    assert {direction for _, direction, _ in wire.core.take_hints()} == {0, 1}


def test_retries_link_by_key_then_request_id_within_a_minute():
    core = Wire().core
    keyed = b"POST /p HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nContent-Length: 0\r\n\r\n"
    first = Wire(core, cookie=1).ask(keyed).answer(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").only()
    second = Wire(core, cookie=2).ask(keyed).answer(OK).only()
    assert (second.attempt, second.retry_of, second.retry_reason) == (2, first.id, "503")
    assert Wire(core, cookie=3, pid=43).ask(keyed).answer(OK).only().attempt == 1
    late = Wire(core, cookie=4)
    late.now += 61 * 10**9
    assert late.ask(keyed).answer(OK).only().attempt == 1


def test_seq_has_no_holes_under_a_filter():
    from tests.support.traffic import correlator

    wire = Wire(correlator(accept=lambda event: event.target != "/skip"))
    for target in (b"/1", b"/skip", b"/2"):
        wire.ask(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n").answer(OK)
    assert [(e.seq, e.target) for e in wire.told] == [(1, "/1"), (2, "/2")]


def test_times_of_both_roles():
    client = Wire().ask(GET).step(20).answer(OK, ready_ms=4).only()
    assert (client.send_ms, client.wait_ms, client.read_delay_ms, client.receive_ms) == (0, 17, 4, 0)
    assert client.elapsed_ms == 21
    server = Wire(client=False).ask(GET, ready_ms=3).step(9).answer(OK).only()
    assert (server.read_delay_ms, server.receive_ms, server.wait_ms, server.send_ms) == (3, 0, 10, 0)
    assert server.elapsed_ms == 13


def test_chunks_deep_in_a_long_call_end_with_the_turn_and_say_so():
    wire = Wire().ask(GET)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire.answer(head + b"400\r\n" + b"x" * 100, length=60_000).answer(b"", length=5000)
    assert wire.outcomes() == []
    wire.ask(GET).answer(OK)
    assert wire.outcomes() == ["ok", "ok"]
    assert [event.quality.inferred for event in wire.told] == [("outcome",), ()]
    assert wire.told[0].bytes_received == 65_000
    wire = Wire().ask(GET).answer(head + b"400\r\n", length=60_000)
    wire.told += wire.core.expire(wire.now + 10**9)
    assert wire.outcomes() == ["ok"]
    assert Wire().ask(GET).answer(head + b"4\r\n", length=60_000).change(ChangeKind.CLOSED, reset=True).outcomes() == [
        "reset"
    ]


def test_a_chunked_upload_not_captured_ends_where_the_answer_begins():
    head = b"POST /u HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = Wire().ask(head + b"400\r\n", length=60_000).ask(b"", length=1000).answer(OK)
    assert (wire.only().outcome, wire.only().bytes_sent, wire.only().quality.inferred) == ("ok", 61_000, ("outcome",))
