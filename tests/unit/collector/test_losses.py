"""What the correlator says where records were lost, bytes were muted, or its own bounds were reached: never a guess."""

import gc

import pytest

from collector.domain.observed import Changed, ChangeKind, Moved
from tests.support.traffic import RECEIVED, SENT, Wire, correlator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LATER_NS = 10**9


def get(number):
    return f"GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def answer(number):
    text = str(number)
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nX-Number: {text}\r\n\r\n{text}".encode()


def lose(wire, direction, text):
    wire.step().offsets[direction] += len(text)


def expire(wire):
    wire.told += wire.core.expire(wire.now + LATER_NS)


def test_an_answer_is_never_paired_with_a_request_that_it_does_not_answer():
    """The record of request 2 is lost; 3 waits for it while its own answer passes."""
    wire = Wire().ask(get(1)).answer(OK)
    lose(wire, SENT, get(2))
    wire.answer(OK).ask(get(3)).answer(OK).ask(get(4))
    expire(wire)
    wire.answer(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    assert [(e.target, e.status_code) for e in wire.told if e.status_code] == [("/1", 200), ("/4", 404)]


def test_a_pipelined_request_behind_a_lost_one_is_not_paired_with_the_lost_one_s_answer():
    wire = Wire().ask(get(1)).answer(OK)
    lose(wire, SENT, get(2))
    wire.ask(get(3))
    expire(wire)
    wire.answer(OK).answer(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    wire.ask(get(4)).answer(OK)
    assert [(e.target, e.status_code) for e in wire.told if e.status_code] == [("/1", 200), ("/4", 200)]


@pytest.mark.parametrize("lost", range(12))
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("client", [True, False])
def test_one_record_lost_anywhere_never_mixes_up_two_exchanges(lost, late, client):
    wire = Wire(client=client)
    for turn in range(12):
        number, asks = turn // 2, turn % 2 == 0
        text = get(number) if asks else answer(number)
        if turn == lost:
            lose(wire, (SENT if client else RECEIVED) if asks else (RECEIVED if client else SENT), text)
        elif asks:
            wire.ask(text)
        else:
            wire.answer(text)
        if late and turn == lost + 3:
            expire(wire)
    wire.told += wire.core.finish(wire.now + LATER_NS)
    for event in wire.told:
        if event.outcome == "ok":
            sizes = {event.bytes_sent, event.bytes_received}
            number = int(event.target[1:])
            assert sizes == {len(get(number)), len(answer(number))}
    told = [event.target for event in wire.told if event.outcome == "ok"]
    assert len(told) == len(set(told))
    assert len(told) >= 2 or not late, "after a gap it goes on"


def test_bytes_of_a_muted_body_that_breaks_off_are_the_kernel_s():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    wire = Wire().ask(get(1)).answer(head)
    wire.offsets[RECEIVED] += 400_000  # silent: the kernel was told that this is body
    wire.change(ChangeKind.PEER_FINISHED)
    assert (wire.only().outcome, wire.only().bytes_received) == ("closed_by_peer", len(head) + 400_000)


def test_bytes_of_a_muted_request_body_that_breaks_off_are_the_kernel_s():
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
    wire = Wire().ask(head)
    wire.offsets[SENT] += 300_000
    wire.change(ChangeKind.LOCAL_FINISHED, shutdown=3)
    assert wire.only().bytes_sent == len(head) + 300_000


def test_bytes_of_a_muted_body_still_open_at_the_end_are_the_kernel_s():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    wire = Wire().ask(get(1)).answer(head)
    wire.offsets[RECEIVED] += 400_000
    event = wire.core.finish(wire.now, [wire.standing()])[0]
    assert (event.outcome, event.bytes_received) == (None, len(head) + 400_000)


def test_a_full_connection_table_gives_up_the_oldest_without_a_guess():
    first = Wire(correlator(connection_limit=1)).ask(get(1)).step(5)
    second = Wire(first.core, cookie=8)
    (event,) = second.told
    assert (event.target, event.outcome, event.quality.truncated) == ("/1", None, True)
    assert first.core.losses == {("correlate", "connection_table_full"): 1}


def held_bytes(root):
    """Every bytes object that can be reached from `root`."""
    seen, found, todo = set(), [], [root]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        if isinstance(one, bytes):
            found.append(one)
        todo += gc.get_referents(one)
        if isinstance(one, Moved | Changed):  # not tracked by the collector of garbage: look inside ourselves
            todo += [getattr(one, name) for name in type(one).__struct_fields__]
    return found


def test_no_header_value_outlives_its_head():
    secret = b"s3cr3t-value"
    wire = Wire()
    wire.ask(
        b"GET /1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + secret + b"\r\nCookie: a=" + secret + b"\r\n\r\n"
    )
    wire.answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=" + secret + b"\r\nContent-Length: 9\r\n\r\nok")
    assert not [one for one in held_bytes(wire.core) if secret in one]


def test_giving_up_looks_only_at_connections_that_wait():
    core = Wire().core
    wires = [Wire(core, cookie=100 + number).ask(get(1)) for number in range(50)]
    assert not core.waiting
    lose(wires[3], RECEIVED, b"x" * 10)
    wires[3].answer(b"rest")
    assert list(core.waiting) == [103]
    assert [event.outcome for event in core.expire(wires[3].now + LATER_NS)] == ["gap"]
    assert not core.waiting
