"""Sockets keep their identity whatever happens to descriptors, processes and ports (adversarial cases 22-26, 52)."""

import os
import socket
import time

import pytest

from tests.support import kernel_has
from tests.support.sockets import exchange, read_exactly, request, response, tcp_pair, trace_id


def seen(watching, role, *fields):
    return [tuple(e[f] for f in fields) for e in watching.exchanges(role)]


def in_child(work):
    """Run `work` in a forked child and wait for it."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_sequential_connections_reusing_descriptor_and_port(watch):
    watching = watch()
    traces = [trace_id() for _ in range(5)]
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as spare:
        source = spare.getsockname()[1]
        spare.close()
        descriptors = set()
        for trace in traces:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(("127.0.0.1", source))
            client.connect(server.getsockname())
            descriptors.add(client.fileno())
            accepted, _ = server.accept()
            exchange(client, accepted, request("/r", trace=trace), response())
            accepted.close()  # TIME_WAIT stays on the server's side, so the client's port is free at once
            client.recv(1)
            client.close()
    watching.stop()
    assert len(descriptors) == 1
    events = watching.exchanges("client")
    assert [e["trace_id"] for e in events] == traces
    assert {e["local_port"] for e in events} == {source}
    assert len({e["connection_id"] for e in events}) == 5
    assert {e["exchange_no"] for e in events} == {1}


def test_dup_and_write_on_the_duplicate(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, request("/original"), response())
        cookie = client.getsockopt(socket.SOL_SOCKET, 57, 8)  # SO_COOKIE
        duplicate = client.dup()
        client.close()
        exchange(duplicate, server, request("/duplicate"), response())
        duplicate.close()
    watching.stop()
    assert seen(watching, "client", "target", "exchange_no") == [("/original", 1), ("/duplicate", 2)]
    (connection,) = {e["connection_id"] for e in watching.exchanges("client")}
    if kernel_has.socket_cookies():
        assert connection == int.from_bytes(cookie, "little")


def test_fork_child_sends_parent_receives(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        exchange(client, server, request("/parent"), response())
        child = in_child(lambda: client.sendall(request("/child", trace="ab" * 16)))
        read_exactly(server, len(request("/child", trace="ab" * 16)))
        server.sendall(response())
        read_exactly(client, len(response()))
    watching.stop()
    first, second = watching.exchanges("client")
    assert (first["pid"], first["target"]) == (os.getpid(), "/parent")
    assert (second["pid"], second["target"], second["trace_id"], second["outcome"]) == (
        child,
        "/child",
        "ab" * 16,
        "ok",
    )


def test_descriptor_passed_to_another_process(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        ours, theirs = socket.socketpair()
        exchange(client, server, request("/before"), response())

        def other():
            _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
            passed = socket.socket(fileno=descriptors[0])
            passed.setblocking(True)
            passed.sendall(request("/passed"))
            passed.recv(4096)

        pid = os.fork()
        if not pid:
            try:
                client.close()
                other()
            finally:
                os._exit(0)
        socket.send_fds(ours, [b"x"], [client.fileno()])
        read_exactly(server, len(request("/passed")))
        server.sendall(response())
        os.waitpid(pid, 0)
        ours.close()
        theirs.close()
    watching.stop()
    assert seen(watching, "client", "target", "outcome", "pid") == [
        ("/before", "ok", os.getpid()),
        ("/passed", "ok", pid),
    ]


def test_connection_opened_before_attach_idle(watch):
    with tcp_pair() as (client, server):
        exchange(client, server, request("/unseen"), response())
        watching = watch()
        trace = trace_id()
        exchange(client, server, request("/1", trace=trace), response())
        exchange(client, server, request("/2"), response())
        watching.stop()
    for role in ("client", "server"):
        events = watching.exchanges(role)
        assert [(e["target"], e["exchange_no"], e["outcome"]) for e in events] == [("/1", 1, "ok"), ("/2", 2, "ok")]
        assert all(e["quality"]["joined_mid"] for e in events)
        assert events[0]["trace_id"] == trace


@pytest.mark.parametrize("part", ["head", "body", "response"])
def test_connection_joined_within_an_exchange_never_guesses(watch, part):
    whole = request("/half", method="POST", trace=trace_id(), body=b"b" * 200)
    answer = response(b"r" * 300)
    at = {"head": 20, "body": len(whole) - 100, "response": len(whole)}[part]
    with tcp_pair() as (client, server):
        client.sendall(whole[:at])
        read_exactly(server, at)
        if part == "response":
            server.sendall(answer[:100])
            read_exactly(client, 100)
        watching = watch()
        client.sendall(whole[at:])
        read_exactly(server, len(whole) - at)
        rest = answer[100:] if part == "response" else answer
        server.sendall(rest)
        read_exactly(client, len(rest))
        exchange(client, server, request("/whole", trace="cd" * 16), response())
        watching.stop()
    for role in ("client", "server"):
        whole_ones = [e for e in watching.exchanges(role) if e["target"] == "/whole"]
        assert [(e["trace_id"], e["outcome"], e["status_code"]) for e in whole_ones] == [("cd" * 16, "ok", 200)]
        assert all(e["quality"]["joined_mid"] for e in watching.exchanges(role))
        for other in watching.exchanges(role):
            if other["target"] != "/whole":
                assert (other["method"], other["target"], other["trace_id"]) == (None, None, None)


def test_exec_under_the_same_pid(watch, tmp_path):
    """The process that moved the first byte stays the exchange's, and the new program is told apart."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = (
            "import socket,sys,os\n"
            f"c=socket.create_connection(('127.0.0.1',{port}))\n"
            "c.sendall(b'GET /before HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); c.recv(4096)\n"
            "os.set_inheritable(c.fileno(), True)\n"
            "os.execv('/bin/bash', ['bash','-c', 'printf \"GET /after HTTP/1.1\\\\r\\\\nHost: a\\\\r\\\\n\\\\r\\\\n\" >&%d; "
            "read -r line <&%d' % (c.fileno(), c.fileno())])\n"
        )
        path = tmp_path / "exec_me.py"
        path.write_text(script)
        watching = watch("--", "/usr/bin/python3", path)
        accepted, _ = server.accept()
        with accepted:
            for _ in range(2):
                accepted.recv(4096)
                accepted.sendall(response())
            time.sleep(0.1)
        watching.wait()
    events = watching.exchanges("client")
    assert [(e["target"], e["comm"]) for e in events] == [("/before", "python3"), ("/after", "bash")]
    assert len({e["pid"] for e in events}) == 1


def test_a_new_process_with_an_old_pid_is_not_taken_for_it(watch):
    """PID reuse: the number is given up when its process ends."""
    if not os.path.exists("/proc/sys/kernel/ns_last_pid"):
        pytest.skip("cannot be done on this kernel: no ns_last_pid to choose the next process's number")
    with socket.create_server(("127.0.0.1", 0)) as server:
        hold_r, hold_w = os.pipe()

        def talk():
            with socket.create_connection(server.getsockname()) as client:
                client.sendall(request("/old"))
                client.recv(4096)

        first = os.fork()
        if not first:
            try:
                os.read(hold_r, 1)
                talk()
            finally:
                os._exit(0)
        watching = watch("--pid", first)
        os.write(hold_w, b"x")
        accepted, _ = server.accept()
        accepted.recv(4096)
        accepted.sendall(response())
        os.waitpid(first, 0)
        accepted.close()
        os.close(hold_r)
        os.close(hold_w)
        time.sleep(0.05)
        for _ in range(50):
            with open("/proc/sys/kernel/ns_last_pid", "w") as handle:
                handle.write(str(first - 1))
            second = os.fork()
            if not second:
                try:
                    if os.getpid() == first:
                        with socket.create_connection(server.getsockname()) as client:
                            client.sendall(request("/new"))
                finally:
                    os._exit(0)
            os.waitpid(second, 0)
            if second == first:
                break
        else:
            pytest.skip("cannot be done on this kernel: the number was taken by others each time")
        watching.stop()
    assert seen(watching, "client", "target") == [("/old",)]
