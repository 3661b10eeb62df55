"""A TCP server that misbehaves below HTTP, by the first segment of the path; `/ok` and `/delay-MS` behave."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from typing import Final, Protocol

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_SMUGGLED: Final = b"HTTP/1.1 418 I am not your answer\r\nContent-Length: 0\r\n\r\n"
STEP_S: Final = 0.05  # between two bytes of a slow answer


class Line(Protocol):
    """What a script may do with its connection."""

    transport: asyncio.Transport

    def write(self, data: bytes) -> None:
        """Send these bytes."""

    async def drain(self) -> None:
        """Wait until they are mostly gone."""

    def close(self) -> None:
        """End with FIN once they are."""


async def _blackhole(_: Line) -> None:
    await asyncio.Event().wait()


async def _reset(line: Line) -> None:
    reset(line.transport)


async def _reset_mid_body(line: Line) -> None:
    line.write(_HEAD + b"Content-Length: 100\r\n\r\n{")
    await line.drain()
    await asyncio.sleep(STEP_S)
    reset(line.transport)


async def _slow_headers(line: Line) -> None:
    for byte in _HEAD * 1000:
        line.write(bytes([byte]))
        await line.drain()
        await asyncio.sleep(STEP_S)


async def _drip(line: Line) -> None:
    line.write(_HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        line.write(b" ")
        await line.drain()
        await asyncio.sleep(STEP_S)


async def _short_body(line: Line) -> None:
    line.write(_HEAD + b"Content-Length: 100\r\n\r\n{}")
    await line.drain()
    line.close()


async def _long_body(line: Line) -> None:
    line.write(_HEAD + b"Content-Length: 2\r\n\r\n{}" + _SMUGGLED)
    await line.drain()


async def _long_chunks(line: Line) -> None:
    line.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + _SMUGGLED)
    await line.drain()


async def _bad_chunks(line: Line) -> None:
    line.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")
    await line.drain()


async def _two_lengths(line: Line) -> None:
    line.write(_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")
    await line.drain()


async def _garbage(line: Line) -> None:
    line.write(b"\x00\xff SSH-2.0 not HTTP\r\n\r\n")
    await line.drain()


async def _endless(line: Line) -> None:
    line.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        line.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await line.drain()


async def _endless_head(line: Line) -> None:
    line.write(_HEAD)
    while True:
        line.write(b"X-Filler: " + b"x" * 8000 + b"\r\n")
        await line.drain()


BEHAVIOURS: Final[dict[str, Callable[[Line], Coroutine[None, None, None]]]] = {
    "blackhole": _blackhole,
    "reset": _reset,
    "reset-mid-body": _reset_mid_body,
    "slow-headers": _slow_headers,
    "drip": _drip,
    "short-body": _short_body,
    "long-body": _long_body,
    "long-chunks": _long_chunks,
    "bad-chunks": _bad_chunks,
    "two-lengths": _two_lengths,
    "garbage": _garbage,
    "endless": _endless,
    "endless-head": _endless_head,
}


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection with RST rather than FIN."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


class _Connection(asyncio.Protocol):
    """Reads one request after the other, and runs the script that the path names for each."""

    transport: asyncio.Transport

    def __init__(self, api: "HostileApi") -> None:
        self._api = api
        self._buffer = bytearray()
        self._script: asyncio.Task[None] | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._api.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._api.open.discard(self)
        if self._script is not None:
            self._script.cancel()

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    async def drain(self) -> None:
        await asyncio.sleep(0)
        await self._flowing.wait()

    def close(self) -> None:
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = bytes(self._buffer[:end])
        length = _content_length(head)
        if len(self._buffer) < end + length:
            return
        body = bytes(self._buffer[end : end + length])
        del self._buffer[: end + length]
        self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        behaviour = head.split(b" ", 2)[1].decode("ascii").strip("/").split("/", 1)[0]
        self._api.received(behaviour, head, body)
        loop = asyncio.get_running_loop()
        if script := BEHAVIOURS.get(behaviour):
            self._script = loop.create_task(script(self))
        elif behaviour.startswith("delay-"):
            loop.call_later(int(behaviour.removeprefix("delay-")) / 1000, self._ok)
        else:
            self._ok()

    def _ok(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(OK)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.removeprefix(b"content-length:"))
    return 0


class HostileApi:
    """The server; it counts the requests that reached it, and keeps them where that is wanted."""

    def __init__(self, *, keep: bool = False) -> None:
        self.requests: list[tuple[str, bytes, bytes]] = []  # behaviour, head, body
        self.count = 0
        self.port = 0
        self.open: set[_Connection] = set()
        self._keep = keep
        self._server: asyncio.Server | None = None

    async def start(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listen; `port` says where."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        assert self._server is not None
        self._server.close()
        for connection in tuple(self.open):
            connection.transport.abort()
        while self.open:  # noqa: ASYNC110 - a matter of a turn of the loop
            await asyncio.sleep(0)

    def received(self, behaviour: str, head: bytes, body: bytes) -> None:
        """Take note of a request."""
        self.count += 1
        if self._keep:
            self.requests.append((behaviour, head, body))
