"""Loopback pairs and small HTTP texts for scenarios that need every byte under control."""

import contextlib
import itertools
import os
import socket

TRACE = itertools.count(1)
_TIMEOUT_S = 5.0 * float(os.environ.get("TEST_PATIENCE", "1"))  # more where the machine is emulated


def trace_id():
    """A fresh trace ID."""
    return f"{next(TRACE):032x}"


def traceparent(trace, span="00f067aa0ba902b7"):
    return f"00-{trace}-{span}-01"


@contextlib.contextmanager
def tcp_pair(family=socket.AF_INET, host=None):
    """A connected client and the server's end of it."""
    host = host or {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}[family]
    with socket.create_server((host, 0), family=family) as server, socket.socket(family) as client:
        client.settimeout(_TIMEOUT_S)
        client.connect(server.getsockname()[:2])
        accepted, _ = server.accept()
        accepted.settimeout(_TIMEOUT_S)
        with accepted:
            yield client, accepted


def request(target="/", *, method="GET", trace=None, body=b"", headers=()):
    lines = [f"{method} {target} HTTP/1.1", "Host: api.test"]
    if trace:
        lines.append(f"traceparent: {traceparent(trace)}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines += headers
    return "\r\n".join([*lines, "", ""]).encode() + body


def response(body=b"ok", *, status=200, headers=(), length=True):
    lines = [f"HTTP/1.1 {status} Reason"]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    lines += headers
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            break
        data += piece
    return data


def exchange(client, server, req, res):
    """One whole exchange, both ends in this process."""
    client.sendall(req)
    read_exactly(server, len(req))
    server.sendall(res)
    read_exactly(client, len(res))
