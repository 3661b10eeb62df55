"""WebSocket /v1/feed: the thin shell around the feed's core."""

import asyncio
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from api.dto.queries import FeedQuery
from api.errors import ApiProblem, bad_parameter, unavailable
from api.extractors import query
from api.middleware.access import SUBPROTOCOL
from api.services.feed import FeedClient, FeedFull, FeedHub
from api.state import AppState
from collector.domain import filters

_WRITE_BYTES: Final = 65_536  # one write; a stalled client holds about two of them
_NO_MESSAGES: Final = 1008  # policy violation, RFC 6455 7.4.1


class Rounds:
    """Wakes every writer at once, after a pause that grows with their number."""

    def __init__(self, hub: FeedHub) -> None:
        self._hub = hub
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """There is something to send: begin a round soon."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._hub.pause_s(), self.now)

    def now(self) -> None:
        """Begin a round."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due, self._due = self._due, asyncio.Event()
        due.set()

    async def wait(self) -> None:
        """Return when the next round begins."""
        await self._due.wait()


class Feed:
    """The endpoint: an ASGI application for one path."""

    def __init__(self, state: AppState, rounds: Rounds) -> None:
        self._state = state
        self._hub = state.hub
        self._rounds = rounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one subscriber until it goes."""
        if scope["type"] != "websocket":
            raise ApiProblem(426, "upgrade-needed", "This is a WebSocket", headers={"upgrade": "websocket"})
        client = self._join(scope)
        try:
            await receive()  # websocket.connect
            wanted = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
            await send({"type": "websocket.accept", "subprotocol": wanted})
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(client, scope, send))
                await self._listen(scope, receive, send)
                writer.cancel()
        except* OSError:  # the client went while we wrote
            pass
        finally:
            self._hub.leave(client)

    def _join(self, scope: Scope) -> FeedClient:
        asked, rest = query.split(query.pairs(scope["query_string"]), FeedQuery)
        terms, text = query.terms(rest, asked.filter)
        same = asked.epoch in (None, self._hub.epoch)
        try:
            return self._hub.join(text, filters.predicate(terms), after=asked.after, same_epoch=same)
        except ValueError as problem:
            raise bad_parameter("after", str(problem)) from problem
        except FeedFull as problem:
            raise unavailable("feed-full", "No more subscribers can be served", "try again later") from problem

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Return when the client goes; it has nothing to say here."""
        message: Message = await receive()
        if message["type"] == "websocket.receive":
            self._state.log("info", "feed_message_refused", client=(scope.get("client") or ("",))[0])
            await send({"type": "websocket.close", "code": _NO_MESSAGES, "reason": "this feed takes no messages"})

    async def _write(self, client: FeedClient, scope: Scope, send: Send) -> None:
        framed = "netscope.frames" in scope.get("extensions", {})
        while True:
            data = self._hub.take(client, _WRITE_BYTES)
            if not data:
                await self._rounds.wait()
            elif framed:
                await send({"type": "websocket.send", "frames": data})
                await asyncio.sleep(0)  # one that catches up lets others have their turn
            else:
                for text in unframed(data):
                    await send({"type": "websocket.send", "text": text})


def unframed(data: bytes) -> list[str]:
    """Take frames apart again, for servers that make their own."""
    texts = []
    at = 0
    while at < len(data):
        length, at = data[at + 1], at + 2
        if length > 125:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        texts.append(data[at : at + length].decode())
        at += length
    return texts
