"""How exchanges end when they do not end well (adversarial cases 17, 19-21), and connections that never open."""

import socket
import struct
import time

from tests.support.sockets import exchange, read_exactly, request, response, tcp_pair, trace_id


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def seen(watching, role, *fields):
    return [tuple(e[f] for f in fields) for e in watching.exchanges(role)]


def test_until_close_is_reset_at_rst(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/until"))
        server.recv(4096)
        server.sendall(response(b"part", length=False))
        client.recv(4096)
        reset(server)
        time.sleep(0.02)
    watching.stop()
    assert seen(watching, "client", "outcome", "status_code") == [("reset", 200)]
    assert seen(watching, "server", "outcome") == [("closed_by_local",)]  # no FIN went out: not a proper end


def test_until_close_ends_with_its_last_byte_and_not_with_the_close(watch):
    watching = watch()
    piece = b"x" * 50_000
    with tcp_pair() as (client, server):
        client.sendall(request("/until"))
        server.recv(4096)
        head = response(b"", length=False)
        server.sendall(head)
        assert client.recv(4096) == head
        time.sleep(0.05)  # the observer has read the head, and told the kernel that the rest is body
        for _ in range(4):
            server.sendall(piece)
            read_exactly(client, len(piece))
            time.sleep(0.05)
        time.sleep(0.3)
        server.close()
        assert client.recv(10) == b""
    watching.stop()
    for role in ("client", "server"):
        (event,) = watching.exchanges(role)
        moved = event["bytes_received" if role == "client" else "bytes_sent"]
        assert (event["outcome"], moved) == ("ok", len(head) + 4 * len(piece))
        assert 150 <= event["receive_ms" if role == "client" else "send_ms"] < 350


def test_bytes_of_an_answer_that_breaks_off_are_exact(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/big"))
        server.recv(4096)
        head = response(b"", length=False, headers=["Content-Length: 10000000"])
        server.sendall(head)
        assert client.recv(4096) == head
        time.sleep(0.05)
        for _ in range(4):
            server.sendall(b"x" * 50_000)
            read_exactly(client, 50_000)
        server.close()
        assert client.recv(10) == b""
        client.close()
        time.sleep(0.02)
    watching.stop()
    (asked,), (answered,) = watching.exchanges("client"), watching.exchanges("server")
    assert (asked["outcome"], asked["bytes_received"]) == ("closed_by_peer", len(head) + 200_000)
    assert (answered["outcome"], answered["bytes_sent"]) == ("closed_by_local", len(head) + 200_000)


def test_client_gives_up_before_the_answer(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/slow", trace=trace_id()))
        server.recv(4096)
        time.sleep(0.05)
        client.close()
        time.sleep(0.02)
    watching.stop()
    (event,) = watching.exchanges("client")
    assert (event["outcome"], event["status_code"]) == ("timeout", None)
    assert "outcome" in event["quality"]["inferred"]
    assert seen(watching, "server", "outcome") == [("closed_by_peer",)]


def test_client_closes_within_the_answer(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/part"))
        server.recv(4096)
        server.sendall(response(b"x" * 1000)[:500])
        read_exactly(client, 500)
        client.close()
        time.sleep(0.02)
    watching.stop()
    assert seen(watching, "client", "outcome", "status_code") == [("closed_by_local", 200)]


def test_server_closes_within_the_answer(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/part"))
        server.recv(4096)
        server.sendall(response(b"x" * 1000)[:500])
        server.close()
        read_exactly(client, 5000)
    watching.stop()
    assert seen(watching, "client", "outcome", "status_code") == [("closed_by_peer", 200)]
    assert seen(watching, "server", "outcome", "status_code") == [("closed_by_local", 200)]


def test_server_closes_without_an_answer(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/none"))
        server.recv(4096)
        server.close()
        client.recv(10)
    watching.stop()
    assert seen(watching, "client", "outcome", "status_code") == [("closed_by_peer", None)]
    assert seen(watching, "server", "outcome") == [("closed_by_local",)]


def test_rst_in_mid_body(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/rst"))
        server.recv(4096)
        server.sendall(response(b"x" * 10_000)[:4000])
        read_exactly(client, 4000)
        reset(server)
        time.sleep(0.02)
    watching.stop()
    (event,) = watching.exchanges("client")
    assert (event["outcome"], event["status_code"], event["bytes_received"]) == ("reset", 200, 4000)


def test_retry_on_a_new_connection_with_the_same_key(watch):
    key = ("Idempotency-Key: order-17",)
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(
            client, server, request("/pay?x=1", method="POST", body=b"{}", headers=key), response(b"busy", status=503)
        )
    with tcp_pair() as (client, server):
        exchange(client, server, request("/pay?x=2", method="POST", body=b"{}", headers=key), response())
    watching.stop()
    first, second = watching.exchanges("client")
    assert (first["attempt"], first["retry_of"], first["retry_reason"]) == (1, None, None)
    assert (second["attempt"], second["retry_of"], second["retry_reason"]) == (2, first["id"], "503")
    assert second["severity"] == "warning"


def test_retry_after_a_timeout_names_it(watch):
    headers = ("X-Request-ID: req-1",)
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/r", headers=headers))
        server.recv(4096)
        time.sleep(0.02)
        client.close()
        time.sleep(0.02)
    with tcp_pair() as (client, server):
        exchange(client, server, request("/r", headers=headers), response())
    watching.stop()
    first, second = watching.exchanges("client")
    assert (second["attempt"], second["retry_of"], second["retry_reason"]) == (2, first["id"], "timeout")


def test_refused_connect_is_a_connection_event(watch):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    watching = watch("--include-connections")
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0
    watching.stop()
    (event,) = watching.connections()
    assert (event["outcome"], event["errno"], event["peer_port"]) == ("refused", "ECONNREFUSED", port)
    assert watching.exchanges() == []


def test_connection_event_has_the_kernels_totals(watch):
    watching = watch("--include-connections")
    with tcp_pair() as (client, server):
        for _ in range(3):
            exchange(client, server, request("/x"), response())
    time.sleep(0.05)
    watching.stop()
    (event,) = watching.connections("client")
    assert (event["bytes_sent"], event["bytes_received"]) == (3 * len(request("/x")), 3 * len(response()))
    assert (event["exchanges"], event["kernel_exchanges"], event["protocol"]) == (3, 3, "http/1.1")
    assert event["connect_ms"] > 0
