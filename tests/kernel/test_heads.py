"""Heads in every cut: header values exact, never wrong (adversarial cases 1-9)."""

import itertools
import time

import pytest

from tests.support.sockets import exchange, read_exactly, request, response, tcp_pair, trace_id, traceparent


def only(watching, role):
    (found,) = watching.exchanges(role)
    return found


def send_in_pieces(client, server, pieces):
    for piece in pieces:
        client.sendall(piece)
        read_exactly(server, len(piece))  # so that each piece is its own call and its own segment


def cut(data, *positions):
    edges = [0, *positions, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("side", ["client", "server"])
def test_head_in_one_send_body_in_the_next(watch, side):
    trace = trace_id()
    head, body = request("/upload", method="POST", trace=trace, body=b"x" * 1000)[:-1000], b"x" * 1000
    watching = watch()
    with tcp_pair() as (client, server):
        send_in_pieces(client, server, [head, body])
        server.sendall(response())
        read_exactly(client, len(response()))
    event = only(watching.stop(), side)
    assert (event["trace_id"], event["method"], event["target"], event["status_code"]) == (
        trace,
        "POST",
        "/upload",
        200,
    )
    assert event["outcome"] == "ok"
    sent, received = len(head) + 1000, len(response())
    assert (event["bytes_sent"], event["bytes_received"]) == (
        (sent, received) if side == "client" else (received, sent)
    )


def test_head_one_byte_per_send(watch):
    trace = trace_id()
    head = request("/one-by-one", trace=trace)
    watching = watch()
    with tcp_pair() as (client, server):
        send_in_pieces(client, server, [bytes([byte]) for byte in head])
        server.sendall(response())
        read_exactly(client, len(response()))
    watching.stop()
    for role in ("client", "server"):
        event = only(watching, role)
        assert (event["trace_id"], event["target"], event["outcome"]) == (trace, "/one-by-one", "ok")
    assert only(watching, "client")["bytes_sent"] == len(head)
    assert watching.lost() == {}


def test_every_cut_of_a_head(watch):
    """Splits inside CRLF CRLF, inside the traceparent's value, inside header names: every position once."""
    trace = trace_id()
    head = request("/cut", trace=trace, headers=("Idempotency-Key: k-1", "X-Request-ID: r-1"))
    watching = watch()
    with tcp_pair() as (client, server):
        for position in range(1, len(head)):
            send_in_pieces(client, server, cut(head, position))
            server.sendall(response())
            read_exactly(client, len(response()))
    watching.stop()
    for role in ("client", "server"):
        events = watching.exchanges(role)
        assert len(events) == len(head) - 1
        assert {(e["trace_id"], e["idempotency_key"], e["request_id"], e["outcome"]) for e in events} == {
            (trace, "k-1", "r-1", "ok")
        }
        assert [e["exchange_no"] for e in events] == list(range(1, len(head)))


def test_head_of_20_kib_with_the_wanted_header_last_is_truncated_not_wrong(watch):
    head = request("/big", trace=trace_id(), headers=("X-Padding: " + "p" * 20_000,))
    lines = head.split(b"\r\n")
    lines = [line for line in lines if not line.startswith(b"traceparent")]
    late = b"\r\n".join([*lines[:-2], b"traceparent: " + traceparent(trace_id()).encode(), b"", b""])
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, late, response())
    event = only(watching.stop(), "client")
    assert (event["method"], event["target"], event["trace_id"]) == ("GET", "/big", None)
    assert event["outcome"] == "truncated"
    assert event["quality"]["truncated"] is True


def test_head_of_64_kib_does_no_harm_to_the_next_connection(watch):
    huge = request("/huge", headers=tuple(f"X-{n}: {'v' * 1000}" for n in range(64)))
    trace = trace_id()
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, huge, response())
    with tcp_pair() as (client, server):
        exchange(client, server, request("/after", trace=trace), response())
    watching.stop()
    assert [e["trace_id"] for e in watching.exchanges("client") if e["target"] == "/after"] == [trace]


@pytest.mark.parametrize(
    ("values", "expected", "invalid"),
    [
        ((" 00-%s-00f067aa0ba902b7-01 \t",), "valid", False),
        (("00-%s-00f067aa0ba902b7-01", "00-%s-00f067aa0ba902b7-01"), None, True),
        (("",), None, True),
        (("00-%s-00f067aa0ba902b7-01x",), None, True),
        (("ff-%s-00f067aa0ba902b7-01",), None, True),
        (("cc-%s-00f067aa0ba902b7-01-what-comes",), "valid", False),
        (("00-" + "0" * 32 + "-00f067aa0ba902b7-01",), None, True),
    ],
)
def test_traceparent_by_the_letter(watch, values, expected, invalid):
    trace = trace_id()
    lines = tuple("TraceParent: " + (value % trace if "%s" in value else value) for value in values)
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, request("/", headers=lines), response())
    event = only(watching.stop(), "client")
    assert event["trace_id"] == (trace if expected else None)
    assert ("traceparent" in event["quality"]["invalid"]) is invalid


def test_header_like_text_in_bodies_is_not_read(watch):
    fake = trace_id()
    body = f"\r\n\r\nGET /fake HTTP/1.1\r\ntraceparent: {traceparent(fake)}\r\n\r\n".encode()
    for start in (body, b"HTTP/1.1 200 OK\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        trace = trace_id()
        whole = request("/real", method="POST", trace=trace, body=start)
        watching = watch()
        with tcp_pair() as (client, server):
            send_in_pieces(client, server, cut(whole, len(whole) - len(start)))
            answer = response(start)
            server.sendall(answer[: -len(start)])
            time.sleep(0.01)
            server.sendall(start)
            read_exactly(client, len(answer))
        watching.stop()
        for role in ("client", "server"):
            event = only(watching, role)
            assert (event["target"], event["trace_id"], event["status_code"]) == ("/real", trace, 200)
            assert event["outcome"] == "ok"


def test_secret_headers_never_leave(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(
            client,
            server,
            request("/?token=s3cr3t-value", headers=("Authorization: Bearer s3cr3t-value", "Cookie: a=s3cr3t-value")),
            response(headers=("Set-Cookie: b=s3cr3t-value",)),
        )
    watching.stop()
    assert b"s3cr3t" not in watching.raw
    assert b"s3cr3t" not in watching.stderr
    assert only(watching, "client")["target"] == "/?token=*"
