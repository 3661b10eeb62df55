"""uvicorn's protocols with the bounds it lacks: slow heads, unread pongs, refused upgrades told as problems."""

import asyncio
import socket
from typing import Any, Final, cast

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Response
from websockets.server import ServerProtocol

from api.dto.problem import Problem

_SEND_BUFFER: Final = 262_144  # in the kernel, of one subscriber
_UNREAD_BYTES: Final = 1 << 20  # waiting for a client that does not read: answers to its pings, mostly
_ABORT_AFTER_S: Final = 5.0
_LAST_WORD_S: Final = 1.0


def _head(status: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %b\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        % (status, len(body))
    )


def _document(status: int, type_: str, title: str, detail: str = "") -> bytes:
    return msgspec.json.encode(
        Problem(type=f"/docs/reference/rest.md#{type_}", title=title, status=status, detail=detail)
    )


class BoundedHttp(H11Protocol):
    """HTTP whose request heads have to come in time, on connections whose number is bounded."""

    head_s = 10.0
    write_s = 30.0
    max_connections = 1_024
    head_timer: asyncio.TimerHandle | None = None
    stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or say that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._end(b"503 Service Unavailable", 503, "too-many-connections", "Too many connections")
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the time for a head ends with the head and begins with the first byte of the next one."""
        before = cast("RequestResponseCycle | None", self.cycle)
        super().data_received(data)
        if id(self.cycle) != id(before) or self.transport.get_protocol() is not self:
            self._head_is_in()
        elif self.head_timer is None and (before is None or before.response_complete):
            self._await_head()

    def pause_writing(self) -> None:
        """A client that does not read its answer is let go after a while; closing alone would wait for it for ever."""
        super().pause_writing()
        self.stall_timer = self.loop.call_later(self.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        self._reads_again()
        super().resume_writing()

    def _reads_again(self) -> None:
        if self.stall_timer is not None:
            self.stall_timer.cancel()
            self.stall_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._head_is_in()
        self._reads_again()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._end(b"400 Bad Request", 400, "bad-request", "This is not HTTP", msg)

    def _await_head(self) -> None:
        self.head_timer = self.loop.call_later(self.head_s, self._head_too_slow)

    def _head_is_in(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _head_too_slow(self) -> None:
        self.head_timer = None
        self._end(
            b"408 Request Timeout", 408, "slow-head", "The request's head took too long", f"more than {self.head_s:g} s"
        )

    def _end(self, status: bytes, code: int, type_: str, title: str, detail: str = "") -> None:
        if self.transport.is_closing():
            return
        self.logger.warning("connection refused: %s", type_)
        body = _document(code, type_, title, detail)
        self.transport.write(_head(status, body) + body)
        self.transport.close()
        self.loop.call_later(_ABORT_AFTER_S, self.transport.abort)


def bounded_http(*, head_s: float, write_s: float, max_connections: int) -> type[BoundedHttp]:
    """Return the protocol with these bounds: uvicorn makes one of a class by itself."""
    bounds = {"head_s": head_s, "write_s": write_s, "max_connections": max_connections}
    return type("BoundedHttp", (BoundedHttp,), bounds)


class RefusesWithProblems(ServerProtocol):
    """The sans-I/O protocol, whose refusals are problem documents."""

    def reject(self, status: int, text: str) -> Response:
        """Return the refusal of an upgrade."""
        self.logger.warning("upgrade refused: %.200s", text.partition("\n")[0])
        found = super().reject(status, text)
        body = _document(int(status), "bad-upgrade", "This is no WebSocket upgrade", text.partition("\n")[0])
        for name, value in (("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))):
            del found.headers[name]
            found.headers[name] = value
        return Response(found.status_code, found.reason_phrase, found.headers, body)


class FeedProtocol(WebSocketsSansIOProtocol):
    """WebSockets that take ready frames, as many clients get the same ones."""

    def __init__(self, config: Config, *args: Any, **more: Any) -> None:
        super().__init__(config, *args, **more)
        self.conn = RefusesWithProblems(max_size=config.ws_max_size, logger=self.logger)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what the kernel holds for a client that does not read."""
        super().connection_made(transport)
        found = transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that cannot be read as an upgrade is refused, too."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.logger.warning("upgrade refused: %.200s", self.conn.handshake_exc)
            body = _document(400, "bad-upgrade", "This is no WebSocket upgrade", str(self.conn.handshake_exc))
            self.transport.write(_head(b"400 Bad Request", body) + body)
            self.close_sent = self.handshake_complete = True
            self.transport.close()

    async def run_asgi(self) -> None:
        """Offer the application to take ready frames."""
        self.scope["extensions"]["netscope.frames"] = {}
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send; `frames` are whole frames, written as they are."""
        frames = message.get("frames")
        if frames is None:
            await super().send(message)
            if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
                self.handshake_complete = True  # refused in full; uvicorn would log it as an error of ours
            return
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.transport.is_closing():
            raise ConnectionResetError
        self.transport.write(frames)

    def handle_parser_exception(self) -> None:
        """Close on frames that break the protocol, and say so."""
        if self.conn.close_sent is not None:
            self.logger.warning("feed client closed with %d", self.conn.close_sent.code)
        super().handle_parser_exception()

    def handle_ping(self) -> None:
        """Answer, but not without end to one who does not read the answers."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > _UNREAD_BYTES:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """Close, and do not wait long for a client that may never read that."""
        super().keepalive_timeout()
        self.loop.call_later(_ABORT_AFTER_S, self.transport.abort)

    def shutdown(self) -> None:
        """Say that the service ends; who does not read it is cut off."""
        super().shutdown()
        self.loop.call_later(_LAST_WORD_S, self.transport.abort)
