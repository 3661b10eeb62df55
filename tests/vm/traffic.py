"""The recorded traffic: fixed calls between two sockets of this process, and what a watch tells of them.

`python -m tests.vm.traffic RUNG...` plays it once on each rung of the running kernel and prints one JSON line for each:
the events without what differs from run to run (times, ports, cookies). Every kernel and every rung must print the same;
what a rung cannot see it says as null with its quality flag, and CANNOT names the fields.
"""

import json
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator

from tests.kernel.test_calls import LIBC, messages
from tests.support.sockets import exchange, read_exactly, request, response, tcp_pair
from tests.support.watching import Watch

Told = dict[str, object]

# Of every exchange: what must be equal everywhere. Not severity and retransmits: an emulated host is late.
FIELDS = (
    "role", "protocol", "method", "target", "host", "trace_id", "span_id", "trace_source", "request_id",
    "idempotency_key", "status_code", "outcome", "bytes_sent", "bytes_received", "exchange_no", "attempt",
    "retry_reason", "quality",
)  # fmt: skip
CONNECTION_FIELDS = (
    "role",
    "protocol",
    "outcome",
    "errno",
    "bytes_sent",
    "bytes_received",
    "exchanges",
    "kernel_exchanges",
    "quality",
)
TRACE = "{:032x}"


def plain(client: socket.socket, server: socket.socket) -> None:
    for number in range(3):
        exchange(
            client,
            server,
            request(f"/plain/{number}?q=secret", trace=TRACE.format(number + 1)),
            response(b"x" * number),
        )


def posted(client: socket.socket, server: socket.socket) -> None:
    whole = request(
        "/posted", method="POST", trace=TRACE.format(10), body=b"b" * 30_000, headers=["Idempotency-Key: k-10"]
    )
    for at in range(0, len(whole), 7000):
        client.sendall(whole[at : at + 7000])
    read_exactly(server, len(whole))
    server.sendall(response(b"created", status=201))
    read_exactly(client, len(response(b"created", status=201)))


def one_byte_per_send(client: socket.socket, server: socket.socket) -> None:
    for byte in (whole := request("/bytewise", trace=TRACE.format(11))):
        client.send(bytes([byte]))
    read_exactly(server, len(whole))
    for byte in (answer := response(b"slow")):
        server.send(bytes([byte]))
    read_exactly(client, len(answer))


def pipelined(client: socket.socket, server: socket.socket) -> None:
    both = request("/first", trace=TRACE.format(12), method="HEAD") + request("/second", trace=TRACE.format(13))
    answers = response(b"", headers=["Content-Length: 999"], length=False) + response(b"second", status=404)
    exchange(client, server, both, answers)


def interim(client: socket.socket, server: socket.socket) -> None:
    head = request("/interim", method="POST", headers=["Content-Length: 5", "Expect: 100-continue"])
    client.sendall(head)
    read_exactly(server, len(head))
    server.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    read_exactly(client, 25)
    exchange(client, server, b"hello", response(status=202))


def chunked(client: socket.socket, server: socket.socket) -> None:
    head = response(headers=["Transfer-Encoding: chunked"], length=False)[:-2]
    exchange(client, server, request("/chunked"), head + b"5\r\n0\r\n\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: t\r\n\r\n")


def vectors(client: socket.socket, server: socket.socket) -> None:
    whole = request("/vectors", trace=TRACE.format(14))
    os.writev(client.fileno(), [b"", whole[:40], whole[40:]])
    os.readv(server.fileno(), [bytearray(7), bytearray(4096)])
    server.sendmsg([response()[:9], response()[9:]])
    client.recvmsg_into([bytearray(5), bytearray(4096)])


def many_messages(client: socket.socket, server: socket.socket) -> None:
    client.setblocking(True)  # no time-out: with one the sockets would be non-blocking
    server.setblocking(True)
    import ctypes

    parts = [request(f"/message/{n}", trace=TRACE.format(20 + n)) for n in range(3)]
    out, keep = messages([ctypes.create_string_buffer(part, len(part)) for part in parts])
    assert LIBC.sendmmsg(client.fileno(), out, 3, 0) == 3
    into, keep_in = messages([ctypes.create_string_buffer(len(part)) for part in parts])
    assert LIBC.recvmmsg(server.fileno(), into, 3, 0, None) == 3
    del keep, keep_in
    server.sendall(response() * 3)
    read_exactly(client, 3 * len(response()))


def peeked_and_discarded(client: socket.socket, server: socket.socket) -> None:
    whole = request("/peeked", method="POST", trace=TRACE.format(24), body=b"z" * 5000)
    client.sendall(whole)
    while len(server.recv(8192, socket.MSG_PEEK)) < len(whole):
        pass
    read_exactly(server, len(whole) - 5000)
    server.recv(5000, socket.MSG_TRUNC | socket.MSG_WAITALL)
    server.sendall(response())
    read_exactly(client, len(response()))


def sent_from_a_file(client: socket.socket, server: socket.socket) -> None:
    body = b"f" * 100_000
    head = response(body)[: -len(body)]
    client.sendall(request("/file"))
    server.recv(4096)
    server.sendall(head)
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        read_exactly(client, len(head))
        at = 0
        while at < len(body):
            moved = os.sendfile(server.fileno(), file.fileno(), at, min(20_000, len(body) - at))
            read_exactly(client, moved)  # at once, so that no call lacks room
            at += moved
    exchange(client, server, request("/after-file"), response())


def spliced(client: socket.socket, server: socket.socket) -> None:
    answer = response(b"s" * 30_000)
    client.sendall(request("/splice"))
    server.recv(4096)
    server.sendall(answer)
    read_exactly(client, len(answer) - 30_000)
    r, w = os.pipe()
    left = 30_000
    while left:
        moved = os.splice(client.fileno(), w, min(left, 16_384))
        os.read(r, moved)
        left -= moved
    os.close(r)
    os.close(w)
    exchange(client, server, request("/after-splice"), response())


def retried(client: socket.socket, server: socket.socket) -> None:
    text = request("/retried", method="POST", trace=TRACE.format(30), body=b"{}", headers=["Idempotency-Key: k-30"])
    exchange(client, server, text, response(b"busy", status=503))
    exchange(client, server, text, response(b"done"))


def upgraded(client: socket.socket, server: socket.socket) -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    exchange(client, server, request("/upgrade", headers=["Connection: Upgrade", "Upgrade: echo"]), answer)
    exchange(client, server, request("/not-a-request"), b"HTTP/1.1 200 not a response\r\n\r\n")


def until_close(client: socket.socket, server: socket.socket) -> None:
    client.sendall(request("/until-close"))
    server.recv(4096)
    server.sendall(response(b"to the end", length=False))
    server.shutdown(socket.SHUT_WR)
    while client.recv(4096):
        pass


def reset(client: socket.socket, server: socket.socket) -> None:
    client.sendall(request("/reset", trace=TRACE.format(40)))
    server.recv(4096)
    server.sendall(response(b"part")[:-2])
    read_exactly(client, len(response(b"part")) - 2)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()


def given_up(client: socket.socket, server: socket.socket) -> None:
    client.sendall(request("/early", method="POST", headers=["Content-Length: 10"]))
    server.recv(4096)
    server.sendall(response(b"some")[:-1])
    read_exactly(client, len(response(b"some")) - 1)
    client.close()
    while server.recv(4096):
        pass


def long_head(client: socket.socket, server: socket.socket) -> None:
    late = [*(f"X-Filler-{n}: {'v' * 400}" for n in range(30)), "traceparent: 00-" + "e" * 32 + "-" + "d" * 16 + "-01"]
    exchange(client, server, request("/long", headers=late), response())
    exchange(client, server, request("/after-long", trace=TRACE.format(50)), response())


def not_http(client: socket.socket, server: socket.socket) -> None:
    exchange(client, server, b"\0\1\2\3" * 10, b"\4\5\6\7" * 20)


STEPS: tuple[Callable[[socket.socket, socket.socket], None], ...] = (
    plain, posted, one_byte_per_send, pipelined, interim, chunked, vectors, many_messages, peeked_and_discarded,
    sent_from_a_file, spliced, retried, upgraded, until_close, reset, given_up, long_head, not_http,
)  # fmt: skip


def play() -> Iterator[str]:
    """Play each step on a connection of its own; yield its name. Ends with IPv6, ports that refuse, and UDP."""
    for step in STEPS:
        with tcp_pair() as (client, server):
            step(client, server)
        yield step.__name__
    with tcp_pair(socket.AF_INET6) as (client, server):
        plain(client, server)
    yield "ipv6"
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    with socket.socket() as refused:
        assert refused.connect_ex(("127.0.0.1", port))
    yield "refused"
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        two.bind(("127.0.0.1", 0))
        one.sendto(request("/udp"), two.getsockname())
        two.recv(4096)
    yield "udp"


def record(rung: str) -> Told:
    """Watch this process on one rung while it plays; return what was told, without what differs from run to run."""
    with tcp_pair() as (client, server):
        exchange(client, server, request("/before"), response())
        watching = Watch("--pid", os.getpid(), "--include-connections", rung=rung)
        exchange(client, server, request("/joined"), response())
        steps = list(play())
    watching.stop()
    exchanges = [{name: event[name] for name in FIELDS} for event in watching.exchanges()]
    connections = [{name: event[name] for name in CONNECTION_FIELDS} for event in watching.connections()]
    summary = watching.summary
    return {
        "rung": summary["rung"],
        "steps": steps,
        "exchanges": sorted(exchanges, key=json.dumps),
        "connections": sorted(connections, key=json.dumps),
        "lost": watching.lost(),
        "kernel": summary["kernel"],
        "balanced": summary["records"]["captured"] == summary["records"]["decoded"],
        "delays_known": sum(event["read_delay_ms"] is not None for event in watching.exchanges()),
    }


def main() -> None:
    for rung in sys.argv[1:]:
        print(json.dumps(record(rung)), flush=True)


if __name__ == "__main__":
    main()
