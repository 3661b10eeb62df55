"""Every way to move bytes: counted once, read right or said to be unknown (adversarial cases 28-38)."""

import ctypes
import mmap
import os
import socket
import tempfile
import threading
import time

import pytest

from tests.support.sockets import exchange, read_exactly, request, response, tcp_pair, trace_id

LIBC = ctypes.CDLL(None, use_errno=True)


def only(watching, role):
    (found,) = watching.exchanges(role)
    return found


def finish(client, server, size):
    read_exactly(server, size)
    server.sendall(response())
    read_exactly(client, len(response()))


def test_partial_nonblocking_sends_count_bytes_once(watch):
    body = os.urandom(4 << 20)
    whole = request("/big", method="POST", trace=trace_id(), body=body)
    watching = watch()
    with tcp_pair() as (client, server):
        client.setblocking(False)
        received = bytearray()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)

        def read_late():
            time.sleep(0.05)
            received.extend(read_exactly(server, len(whole)))

        reader = threading.Thread(target=read_late)
        reader.start()
        view, blocked = memoryview(whole), 0
        while view:
            try:
                view = view[client.send(view) :]
            except BlockingIOError:
                blocked += 1
                time.sleep(0.001)
        reader.join()
        client.setblocking(True)
        server.sendall(response())
        read_exactly(client, len(response()))
    watching.stop()
    assert blocked
    assert only(watching, "client")["bytes_sent"] == len(whole)
    assert only(watching, "server")["bytes_received"] == len(whole)
    assert {e["outcome"] for e in watching.exchanges()} == {"ok"}


def test_writev_with_an_empty_first_part_and_a_split_header(watch):
    trace = trace_id()
    head = request("/v", trace=trace)
    at = head.index(b"traceparent") + 20
    watching = watch()
    with tcp_pair() as (client, server):
        os.writev(client.fileno(), [b"", head[:at], head[at:]])
        buffers = [bytearray(at + 3), bytearray(4096)]
        os.readv(server.fileno(), buffers)
        server.sendmsg([response()[:7], response()[7:]])
        client.recvmsg_into([bytearray(5), bytearray(4096)])
    watching.stop()
    for role in ("client", "server"):
        event = only(watching, role)
        assert (event["trace_id"], event["status_code"], event["outcome"]) == (trace, 200, "ok")


class IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(IoVec)),
        ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )  # fmt: skip


class MMsgHdr(ctypes.Structure):
    _fields_ = (("hdr", MsgHdr), ("len", ctypes.c_uint))


def messages(buffers):
    array = (MMsgHdr * len(buffers))()
    keep = []
    for item, buffer in zip(array, buffers, strict=True):
        vector = IoVec(ctypes.cast(buffer, ctypes.c_void_p), len(buffer))
        keep.append(vector)
        item.hdr.iov = ctypes.pointer(vector)
        item.hdr.iovlen = 1
    return array, keep


def test_sendmmsg_and_recvmmsg(watch):
    traces = [trace_id() for _ in range(3)]
    parts = [request(f"/{n}", trace=trace) for n, trace in enumerate(traces)]
    watching = watch()
    with tcp_pair() as (client, server):
        client.setblocking(True)
        server.setblocking(True)
        out, keep = messages([ctypes.create_string_buffer(part, len(part)) for part in parts])
        assert LIBC.sendmmsg(client.fileno(), out, 3, 0) == 3
        into, keep_in = messages([ctypes.create_string_buffer(len(part)) for part in parts])
        assert LIBC.recvmmsg(server.fileno(), into, 3, 0, None) == 3
        server.sendall(response() * 3)
        read_exactly(client, 3 * len(response()))
        del keep, keep_in
    watching.stop()
    for role in ("client", "server"):
        assert [(e["target"], e["trace_id"], e["outcome"]) for e in watching.exchanges(role)] == [
            (f"/{n}", trace, "ok") for n, trace in enumerate(traces)
        ]


def test_peeked_bytes_count_once(watch):
    whole = request("/peek")
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(whole)
        time.sleep(0.01)
        for _ in range(3):
            server.recv(4096, socket.MSG_PEEK)
        finish(client, server, len(whole))
    watching.stop()
    assert only(watching, "server")["bytes_received"] == len(whole)
    assert only(watching, "server")["target"] == "/peek"


def test_msg_trunc_counts_what_it_discards(watch):
    whole = request("/trunc", method="POST", body=b"z" * 5000)
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(whole)
        read_exactly(server, len(whole) - 5000)
        left = 5000
        while left:
            left -= len(server.recv(left, socket.MSG_TRUNC)) or left
        server.sendall(response())
        read_exactly(client, len(response()))
    watching.stop()
    event = only(watching, "server")
    assert (event["bytes_received"], event["outcome"]) == (len(whole), "ok")


def test_sendfile_body(watch):
    body = os.urandom(200_000)
    head = response(body)[: -len(body)]
    watching = watch()
    with tcp_pair() as (client, server), tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        client.sendall(request("/file"))
        server.recv(4096)
        server.sendall(head)
        sender = threading.Thread(target=lambda: server.sendfile(file, 0))
        sender.start()
        read_exactly(client, len(head) + len(body))
        sender.join()
        exchange(client, server, request("/next"), response())
    watching.stop()
    for role, field in (("server", "bytes_sent"), ("client", "bytes_received")):
        first, second = watching.exchanges(role)
        assert (first["outcome"], first[field]) == ("ok", len(head) + len(body))
        assert (second["target"], second["outcome"]) == ("/next", "ok")


def test_splice_to_a_pipe_is_counted_and_never_guessed(watch):
    body = os.urandom(30_000)
    answer = response(body)
    watching = watch()
    with tcp_pair() as (client, server):
        client.sendall(request("/splice"))
        server.recv(4096)
        server.sendall(answer)
        read_exactly(client, len(answer) - len(body))
        r, w = os.pipe()
        left = len(body)
        while left:
            moved = os.splice(client.fileno(), w, min(left, 16_384))
            os.read(r, moved)
            left -= moved
        exchange(client, server, request("/next"), response())
    watching.stop()
    first, second = watching.exchanges("client")
    assert (first["outcome"], first["bytes_received"]) == ("ok", len(answer))
    assert (second["target"], second["outcome"]) == ("/next", "ok")


def test_send_from_a_page_not_yet_faulted_in(watch, tmp_path):
    trace = trace_id()
    whole = request("/mapped", trace=trace)
    path = tmp_path / "page"
    path.write_bytes(whole.ljust(mmap.PAGESIZE, b"\0"))
    watching = watch()
    with tcp_pair() as (client, server), path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ) as page, memoryview(page) as view:
            client.send(view[: len(whole)])
        finish(client, server, len(whole))
    event = only(watching.stop(), "client")
    assert (event["trace_id"], event["target"]) == (trace, "/mapped")


def test_receive_into_a_fresh_page(watch):
    trace = trace_id()
    whole = request("/fresh", trace=trace)
    watching = watch()
    with tcp_pair() as (client, server), mmap.mmap(-1, mmap.PAGESIZE) as page:
        client.sendall(whole)
        time.sleep(0.01)
        assert server.recv_into(page) == len(whole)
        server.sendall(response())
        read_exactly(client, len(response()))
    event = only(watching.stop(), "server")
    assert (event["trace_id"], event["target"]) == (trace, "/fresh")


def test_zerocopy_send(watch):
    so_zerocopy, msg_zerocopy = 60, 0x4000000
    trace = trace_id()
    whole = request("/zero", method="POST", trace=trace, body=b"q" * 40_000)
    watching = watch()
    with tcp_pair() as (client, server):
        client.setsockopt(socket.SOL_SOCKET, so_zerocopy, 1)
        sent = client.send(whole, msg_zerocopy)
        client.sendall(whole[sent:])
        read_exactly(server, len(whole))
        client.recvmsg(1, 512, socket.MSG_ERRQUEUE)  # the completion: no bytes of the stream
        server.sendall(response())
        read_exactly(client, len(response()))
    event = only(watching.stop(), "client")
    assert (event["trace_id"], event["bytes_sent"], event["outcome"]) == (trace, len(whole), "ok")


def test_io_uring_is_right_or_unknown(watch, tmp_path):
    source = tmp_path / "uring.c"
    source.write_text(URING)
    binary = tmp_path / "uring"
    if os.system(f"gcc -O1 -o {binary} {source} 2>{tmp_path}/gcc.log"):
        pytest.fail((tmp_path / "gcc.log").read_text())
    with socket.create_server(("127.0.0.1", 0)) as server:
        watching = watch("--port", server.getsockname()[1])
        pid = os.posix_spawn(binary, [str(binary), str(server.getsockname()[1])], os.environ)
        accepted, _ = server.accept()
        with accepted:
            data = accepted.recv(4096)
            _, status = os.waitpid(pid, 0)
            if os.waitstatus_to_exitcode(status) == 77:
                pytest.skip("cannot be done on this kernel: io_uring is disabled")
            assert data
    watching.stop()
    for event in watching.exchanges("client"):
        assert event["target"] in (None, "/uring")
        assert event["method"] in (None, "GET")
    assert [e["target"] for e in watching.exchanges("server")] == ["/uring"]


URING = r"""
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int c, char **v) {
	const char *text = "GET /uring HTTP/1.1\r\nHost: a\r\n\r\n";
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(v[1])), .sin_addr = {htonl(0x7f000001)}};
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s, (void *)&a, sizeof(a))) return 1;
	struct io_uring_params p; memset(&p, 0, sizeof(p));
	int r = syscall(__NR_io_uring_setup, 4, &p);
	if (r < 0) { write(s, text, strlen(text)); return 77; }
	char *sq = mmap(0, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, r, IORING_OFF_SQ_RING);
	struct io_uring_sqe *e = mmap(0, p.sq_entries * sizeof(*e), PROT_READ | PROT_WRITE, MAP_SHARED, r, IORING_OFF_SQES);
	memset(e, 0, sizeof(*e)); e->opcode = IORING_OP_SEND; e->fd = s; e->addr = (unsigned long)text; e->len = strlen(text);
	unsigned *tail = (void *)(sq + p.sq_off.tail), *array = (void *)(sq + p.sq_off.array);
	array[0] = 0; __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, r, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0) return 1;
	usleep(50000); return 0;
}
"""
