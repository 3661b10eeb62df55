"""The faults below HTTP, played on the connection under a request that uvicorn serves."""

import asyncio
from typing import Any, Final, assert_never

from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.simulators.faults import Drip, Hang, Reset, ResetMidBody, ShortBody, SlowHeaders
from pipeline.simulators.hostile_api import reset

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EFFECT_FIRST: Final = (ResetMidBody, Drip, ShortBody)


class Connections:
    """The open connections of one server, by the client's address."""

    def __init__(self) -> None:
        self._open: dict[Any, asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return uvicorn's protocol class, but one that registers its connections here."""
        opened = self._open

        class Registered(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                opened[transport.get_extra_info("peername")] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                opened.pop(self.client, None)
                super().connection_lost(exc)

        return Registered

    def of(self, client: Any) -> asyncio.Transport | None:
        """Return the connection of this client, while it is open."""
        return self._open.get(tuple(client))


async def play(fault: Hang | Reset | ResetMidBody | Drip | SlowHeaders | ShortBody, line: asyncio.Transport) -> None:
    """Do what the fault says; the connection is of no use afterwards."""
    match fault:
        case Hang():
            while not line.is_closing():  # noqa: ASYNC110 - a transport has no event for its end
                await asyncio.sleep(0.1)
        case Reset():
            pass
        case ResetMidBody():
            line.write(_HEAD + b"Content-Length: 100\r\n\r\n{")
            await asyncio.sleep(0.005)
        case Drip(every_s=every_s):
            line.write(_HEAD + b"Content-Length: 1000\r\n\r\n")
            await _trickle(line, b" " * 1000, every_s)
        case SlowHeaders(every_s=every_s):
            await _trickle(line, _HEAD * 20, every_s)
        case ShortBody():
            line.write(_HEAD + b"Content-Length: 100\r\n\r\n{}")
            line.close()
            return
        case _:
            assert_never(fault)
    reset(line)


async def _trickle(line: asyncio.Transport, data: bytes, every_s: float) -> None:
    for byte in data:
        if line.is_closing():
            return
        line.write(bytes([byte]))
        await asyncio.sleep(every_s)
