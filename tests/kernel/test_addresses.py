"""IPv6, v4-mapped, and what is no TCP at all (adversarial cases 39, 40)."""

import socket
import time

from tests.support.sockets import exchange, request, response, tcp_pair, trace_id


def test_ipv6(watch):
    trace = trace_id()
    watching = watch()
    with tcp_pair(socket.AF_INET6) as (client, server):
        exchange(client, server, request("/6", trace=trace), response())
        ports = (client.getsockname()[1], client.getpeername()[1])
    watching.stop()
    (event,) = watching.exchanges("client")
    assert (event["local_ip"], event["peer_ip"], event["trace_id"]) == ("::1", "::1", trace)
    assert (event["local_port"], event["peer_port"]) == ports


def test_v4_mapped_reads_as_ipv4(watch):
    watching = watch()
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.create_connection(("127.0.0.1", server.getsockname()[1])) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            exchange(client, accepted, request("/46"), response())
    watching.stop()
    assert [(e["local_ip"], e["peer_ip"]) for e in watching.exchanges()] == [("127.0.0.1", "127.0.0.1")] * 2


def test_udp_and_unix_sockets_with_http_text_are_ignored(watch):
    watching = watch("--include-connections")
    left, right = socket.socketpair()
    left.send(request("/unix"))
    right.recv(4096)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        two.sendto(request("/udp"), one.getsockname())
        one.recv(4096)
    left.close()
    right.close()
    time.sleep(0.02)
    watching.stop()
    assert watching.events == []
    assert watching.summary["kernel"]["bytes_sent"] == 0


def test_not_http_is_no_exchange_but_counted(watch):
    watching = watch("--include-connections")
    with tcp_pair() as (client, server):
        exchange(client, server, bytes(range(256)) * 4, b"\x00\x01\x02" * 100)
    watching.stop()
    assert watching.exchanges() == []
    assert [e["protocol"] for e in watching.connections()] == [None, None]
    assert watching.summary["not_http"] == 2
