"""`collector run` as users run it, on a port of its own, and small clients for it."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.running import Running

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30.0


class Service(Running):
    """One service as a subprocess."""

    def __init__(self, *options, env=None, listen="127.0.0.1:0", wait=True):
        command = [sys.executable, "-m", "collector", "run", "--listen", listen]
        if os.environ.get("NETSCOPE_TEST_RUNG"):
            command += ["--rung", os.environ["NETSCOPE_TEST_RUNG"]]
        command += [str(option) for option in options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env={**os.environ, **(env or {})}
        )
        self.stderr = ""
        self.port = 0
        os.set_blocking(self.process.stderr.fileno(), False)
        if wait:
            self.await_said(r"^observing")
            self.port = int(re.search(r"^observing.*:(\d+)$", self.stderr, re.MULTILINE)[1])

    def read(self):
        """Take what stderr holds; return all of it so far."""
        with contextlib.suppress(BlockingIOError, ValueError):
            while chunk := os.read(self.process.stderr.fileno(), 65536):
                self.stderr += chunk.decode()
        return self.stderr

    def await_said(self, pattern, seconds=READY_S):
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.read(), re.MULTILINE):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.read()
                self.process.kill()
                self.process.wait()
                self.process.stderr.close()
                raise AssertionError(f"not said: {pattern}\n{self.stderr}")
            select.select([self.process.stderr], [], [], 0.1)
        return re.search(pattern, self.stderr, re.MULTILINE)

    def logged(self, event=None):
        lines = [json.loads(line) for line in self.read().splitlines() if line.startswith("{")]
        return [line for line in lines if event in (None, line["event"])]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def get(self, path, headers=None, method="GET", body=None):
        """One request on a connection of its own: (status, headers, body)."""
        asked = urllib.request.Request(self.url + path, headers=headers or {}, method=method, data=body)
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.headers, refused.read()

    def json(self, path, **more):
        return json.loads(self.get(path, **more)[2])

    def until(self, path, holds, seconds=20.0):
        """Ask until the answer holds; return it."""
        deadline = time.monotonic() + seconds
        while not holds(found := self.json(path)):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def raw(self, data=b"", timeout=20.0):
        """A connection, with some bytes sent on it."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        if data:
            sock.sendall(data)
        return sock

    def stop(self, number=signal.SIGTERM, timeout=30):
        if self.process.poll() is None:
            self.process.send_signal(number)
        os.set_blocking(self.process.stderr.fileno(), True)
        _, rest = self.process.communicate(timeout=timeout)
        self.stderr += rest.decode()
        return self.process.returncode

    def failed(self):
        self.read()
        sys.stderr.write(self.stderr[-4000:])


def drained(sock):
    """Everything until the peer closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return data


class Frames:
    """A WebSocket client that shows every byte: for tests that count, stall and misbehave."""

    def __init__(self, service, path="/v1/feed", headers=(), receive_buffer=0):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", service.port))
        lines = [
            f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{service.port}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *headers, "", "",
        ]  # fmt: skip
        self.sock.sendall("\r\n".join(lines).encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            piece = self.sock.recv(65536)
            if not piece:
                break
            self.buffer += piece
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.head = head.decode()
        self.status = int(self.head.split()[1])

    def refusal(self):
        """The problem document of a refused upgrade."""
        return json.loads(self.buffer + drained(self.sock))

    def frame(self):
        """The next frame: (opcode, payload)."""
        opcode, length = self._exactly(2)
        if length & 0x7F == 126:
            length = int.from_bytes(self._exactly(2), "big")
        elif length & 0x7F == 127:
            length = int.from_bytes(self._exactly(8), "big")
        return opcode & 0xF, self._exactly(length)

    def message(self):
        """The next text frame's JSON; pings are answered."""
        while True:
            opcode, payload = self.frame()
            if opcode == 1:
                return json.loads(payload)
            if opcode == 9:
                self.send(10, payload)
            if opcode == 8:
                raise ConnectionError(f"closed with {int.from_bytes(payload[:2], 'big')}: {payload[2:].decode()}")

    def event(self):
        """The next event: heartbeats are passed over."""
        while (found := self.message())["kind"] == "heartbeat":
            pass
        return found

    def close_code(self):
        """Read until the close frame; return its code."""
        while True:
            opcode, payload = self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")

    def send(self, opcode, payload=b"", *, mask=b"abcd"):
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        elif size < 65536:
            length = b"\xfe" + size.to_bytes(2, "big")
        else:
            length = b"\xff" + size.to_bytes(8, "big")
        self.sock.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def _exactly(self, size):
        while len(self.buffer) < size:
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise ConnectionError("the service closed the connection")
            self.buffer += piece
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
