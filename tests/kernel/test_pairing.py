"""Requests and responses find each other (adversarial cases 10-18)."""

import pytest

from tests.support.sockets import exchange, read_exactly, request, response, tcp_pair, trace_id

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    b"7\r\n0\r\n\r\nab\r\n5;ext=1\r\nhello\r\n0\r\nX-T: v\r\ntraceparent: 00-bad\r\n\r\n"
)


def seen(watching, role, *fields):
    return [tuple(e[f] for f in fields) for e in watching.exchanges(role)]


def test_two_pipelined_requests_in_one_send(watch):
    one, two = trace_id(), trace_id()
    first, second = request("/1", trace=one), request("/2", trace=two)
    answer = response(b"1") + response(b"22")
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, first + second, answer)
    watching.stop()
    for role in ("client", "server"):
        assert seen(watching, role, "target", "trace_id", "status_code", "outcome", "exchange_no") == [
            ("/1", one, 200, "ok", 1),
            ("/2", two, 200, "ok", 2),
        ]
    assert seen(watching, "client", "bytes_sent", "bytes_received") == [
        (len(first), len(response(b"1"))),
        (len(second), len(response(b"22"))),
    ]


def test_pipelined_head_then_get(watch):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, request("/h", method="HEAD") + request("/g"), head + response(b"body"))
    watching.stop()
    assert seen(watching, "client", "method", "target", "outcome", "bytes_received") == [
        ("HEAD", "/h", "ok", len(head)),
        ("GET", "/g", "ok", len(response(b"body"))),
    ]


def test_head_with_content_length(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, request("/h", method="HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n")
        exchange(client, server, request("/next"), response())
    watching.stop()
    assert seen(watching, "server", "target", "outcome") == [("/h", "ok"), ("/next", "ok")]


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_status_with_content_length(watch, status):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, request("/n"), f"HTTP/1.1 {status} X\r\nContent-Length: 10\r\n\r\n".encode())
        exchange(client, server, request("/next"), response())
    watching.stop()
    assert seen(watching, "client", "target", "status_code", "outcome") == [("/n", status, "ok"), ("/next", 200, "ok")]


def test_interim_responses_end_nothing(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        head = request("/up", method="POST", body=b"12345", headers=("Expect: 100-continue",))
        client.sendall(head[:-5])
        read_exactly(server, len(head) - 5)
        server.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_exactly(client, 25)
        client.sendall(head[-5:])
        read_exactly(server, 5)
        server.sendall(response(b"done", status=201))
        read_exactly(client, len(response(b"done", status=201)))
        exchange(
            client,
            server,
            request("/hints"),
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(),
        )
    watching.stop()
    for role in ("client", "server"):
        assert seen(watching, role, "target", "status_code", "outcome") == [("/up", 201, "ok"), ("/hints", 200, "ok")]
    assert seen(watching, "client", "bytes_received")[0] == (25 + len(response(b"done", status=201)),)


def test_early_413_is_complete(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        head = b"POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
        client.sendall(head + b"x" * 1000)
        read_exactly(server, len(head) + 1000)
        answer = response(b"too big", status=413, headers=("Connection: close",))
        server.sendall(answer)
        read_exactly(client, len(answer))
    watching.stop()
    assert seen(watching, "client", "status_code", "outcome") == [(413, "http_error")]


def test_chunked_with_trailers_and_a_chunk_like_the_end(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, request("/c"), CHUNKED)
        exchange(client, server, request("/after"), response())
    watching.stop()
    for role in ("client", "server"):
        assert seen(watching, role, "target", "outcome") == [("/c", "ok"), ("/after", "ok")]
    assert seen(watching, "client", "bytes_received")[0] == (len(CHUNKED),)
    assert seen(watching, "client", "trace_id") == [(None,), (None,)]


def test_until_close_is_complete_at_fin(watch):
    answer = response(b"y" * 3000, length=False, headers=("Connection: close",))
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/until"))
        server.recv(4096)
        server.sendall(answer)
        server.close()
        read_exactly(client, 1 << 20)
    watching.stop()
    for role in ("client", "server"):
        assert seen(watching, role, "outcome", "status_code") == [("ok", 200)]
    assert seen(watching, "client", "bytes_received") == [(len(answer),)]


def test_upgrade_is_a_tunnel_and_its_bytes_belong_to_nothing(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(
            client,
            server,
            request("/ws", headers=("Upgrade: websocket", "Connection: Upgrade")),
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        )
        exchange(client, server, request("/not-http"), response())
    watching.stop()
    for role in ("client", "server"):
        assert seen(watching, role, "target", "status_code", "outcome") == [("/ws", 101, "tunnel")]


def test_connect_is_a_tunnel(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(
            client,
            server,
            b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
            b"HTTP/1.1 200 Connection established\r\n\r\n",
        )
        exchange(client, server, b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\x00\x05world")
    watching.stop()
    assert seen(watching, "client", "method", "outcome") == [("CONNECT", "tunnel")]
