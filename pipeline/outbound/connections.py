"""Kept connections to one destination: the one used last is used next, so none is searched and few stay open."""

import asyncio
import ssl
from typing import Final

import httpcore2
import msgspec

_KEPT_S: Final = 30.0  # unused for longer, a connection is not trusted any more


class Line(msgspec.Struct, frozen=True):
    """One connection and the request that it carries."""

    connection: httpcore2.AsyncHTTP11Connection
    response: httpcore2.Response


class Connections:
    """Opens a connection where none is free; more than `limit` are never in use at once."""

    def __init__(
        self,
        origin: httpcore2.Origin,
        *,
        backend: httpcore2.AsyncNetworkBackend,
        tls: ssl.SSLContext | None,
        limit: int,
    ) -> None:
        self._origin = origin
        self._backend = backend
        self._tls = tls
        self._places = asyncio.Semaphore(limit)
        self._free: list[httpcore2.AsyncHTTP11Connection] = []

    async def send(self, request: httpcore2.Request) -> Line:
        """Send a request; each line that was returned needs one `release`. Raises httpcore2's errors."""
        await self._places.acquire()
        try:
            while True:
                connection = await self._free_one() or await self._open()
                try:
                    return Line(connection, await connection.handle_async_request(request))
                except httpcore2.ConnectionNotAvailable:  # it closed itself
                    continue
        except BaseException:
            self._places.release()
            raise

    async def release(self, line: Line) -> None:
        """Take a connection back, however far its response was read: what is not at its end is closed."""
        connection, kept = line.connection, False
        try:
            await line.response.aclose()
            if connection.is_idle():
                self._free.append(connection)
                kept = True
            await self._drop_oldest()
        finally:
            self._places.release()
            if not kept:
                await connection.aclose()

    async def _drop_oldest(self) -> None:
        while self._free and self._free[0].has_expired():
            await self._free.pop(0).aclose()

    async def _free_one(self) -> httpcore2.AsyncHTTP11Connection | None:
        while self._free:
            connection = self._free.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    async def _open(self) -> httpcore2.AsyncHTTP11Connection:
        host, port = self._origin.host.decode("ascii"), self._origin.port
        stream = await self._backend.connect_tcp(host, port)
        if self._tls is not None:
            stream = await stream.start_tls(self._tls, server_hostname=host)
        return httpcore2.AsyncHTTP11Connection(self._origin, stream, keepalive_expiry=_KEPT_S)

    async def aclose(self) -> None:
        """Close every connection that is not in use."""
        while self._free:
            await self._free.pop().aclose()
