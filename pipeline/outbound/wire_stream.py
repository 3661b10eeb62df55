"""One connection, as httpcore2 reads and writes it: asyncio only, exact about what was sent and what was left over.

A response that goes on after its end must never be read as the answer to the next request (RFC 9112, section 11.2). So
reads stop at the end of the head and at the end of a body of known length; what is left over, in the buffer or in the
kernel, makes the pool drop the connection.
"""

# ruff: noqa: ARG002, ASYNC109, D102 - names and signatures are httpcore2's port; its docstrings hold

import asyncio
import contextlib
import re
import select
import ssl
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final, Literal

import httpcore2

from pipeline.outbound.wire import HIGH, Wire

_HEAD_END: Final = re.compile(rb"\n\r?\n")  # a bare LF ends a line too (RFC 9112, section 2.2)


class AttemptTrace:
    """What the connection notes about the attempt of the task that uses it."""

    __slots__ = ("heard", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.heard = False


current_attempt: ContextVar[AttemptTrace | None] = ContextVar("current_attempt", default=None)


def _note(mark: Literal["heard", "sent"]) -> None:
    attempt = current_attempt.get()
    if attempt is not None:
        setattr(attempt, mark, True)


@contextlib.contextmanager
def translated(to: type[Exception]) -> Iterator[None]:
    """Raise what the socket raises as httpcore2's own."""
    try:
        yield
    except OSError as problem:
        raise to(str(problem)) from problem


def _kernel_has_more(transport: asyncio.Transport | None) -> bool:
    """Tell whether data, or the peer's FIN, waits in the kernel: the loop may not have looked yet."""
    if transport is None or transport.is_closing():
        return True
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poller.poll(0))


class WireStream(httpcore2.AsyncNetworkStream):
    """The stream of one connection. Time limits are the caller's: `asyncio.timeout` around the whole attempt."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._unsent = bytearray()
        self._reused = False  # the next request is not the first one
        self._left: int | None = 0  # of the body; 0: a head is due, None: as the framing says
        self._tail = b""
        self._tainted = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        wire = self._wire
        if self._unsent:
            await self._send()
        while not (size := self._readable(max_bytes)):
            if wire.error is not None:
                raise httpcore2.ReadError(str(wire.error)) from wire.error
            if wire.ended:
                rest, wire.buffer = bytes(wire.buffer), bytearray()
                return rest
            await wire.more()
        data = bytes(wire.buffer[:size])
        del wire.buffer[:size]
        if len(wire.buffer) <= HIGH and wire.transport is not None and not wire.transport.is_closing():
            wire.transport.resume_reading()
        self._account(data)
        _note("heard")
        return data

    def _readable(self, max_bytes: int) -> int:
        buffer = self._wire.buffer
        if self._left == 0:
            if end := _HEAD_END.search(buffer):
                return min(end.end(), max_bytes)
            return max_bytes if len(buffer) > max_bytes else 0
        return min(len(buffer), max_bytes if self._left is None else min(max_bytes, self._left))

    def _account(self, data: bytes) -> None:
        if self._left is None:
            seen = self._tail + data
            self._tainted = self._tainted or b"HTTP/1." in seen
            self._tail = seen[-8:]
        elif self._left > 0:
            self._left -= len(data)

    def expect_body(self, length: int | None) -> None:
        """Learn the framing of the body that follows the head just read: so many bytes, or None for chunked."""
        self._left = length
        self._tail = b""

    def settle(self) -> None:
        """The response is complete; a head is due next, and anything before the next request is a lie."""
        if (self._left is None and not self._tail.endswith(b"\r\n\r\n")) or self._left:
            self._tainted = True
        self._left = 0
        self._reused = True

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        wire = self._wire
        if wire.transport is None or wire.ended:
            raise httpcore2.WriteError("the connection is closed")
        if self._reused:
            self._reused = False
            if _kernel_has_more(wire.transport):
                raise httpcore2.ConnectionNotAvailable  # the pool closes it and takes another
        self._unsent += buffer  # head and body come one by one; sent together they are one call and one segment
        if len(self._unsent) > HIGH:
            await self._send()

    async def _send(self) -> None:
        wire, data = self._wire, bytes(self._unsent)
        self._unsent.clear()
        if wire.transport is None or wire.ended:
            return  # reading says how it ended
        _note("sent")
        wire.transport.write(data)
        await wire.drained()

    async def aclose(self) -> None:
        if self._wire.transport is not None:
            self._wire.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        wire = self._wire
        assert wire.transport is not None
        plain = wire.transport
        try:
            with translated(httpcore2.ConnectError):
                secure = await asyncio.get_running_loop().start_tls(
                    plain, wire, ssl_context, server_hostname=server_hostname
                )
        except BaseException:
            plain.abort()
            raise
        if secure is None:  # the peer went away during the handshake
            raise httpcore2.ConnectError("the peer closed during the TLS handshake")
        wire.transport = secure
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            wire = self._wire
            # The pool asks this of every idle connection at every call; `write` asks the kernel, of the chosen one.
            return self._tainted or bool(wire.buffer) or wire.ended
        transport = self._wire.transport
        return transport.get_extra_info(info) if transport is not None else None


class WireBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for the pool."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.AsyncNetworkStream:
        local = (local_address, 0) if local_address is not None else None
        with translated(httpcore2.ConnectError):
            _, wire = await asyncio.get_running_loop().create_connection(Wire, host, port, local_addr=local)
        return WireStream(wire)

    async def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> Any:
        raise NotImplementedError("the external API is reached over TCP")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
