"""The API in a thread of its own: uvicorn on an asyncio loop, fed by the drain loop through one mailbox."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import build
from api.protocols import FeedProtocol, bounded_http
from api.routes.feed import Rounds
from api.state import AppState
from collector.domain.events import Connection, Exchange
from collector.domain.watching import Told

_START_S: Final = 15.0
_GRACE_S: Final = 3
_KEEP_ALIVE_S: Final = 30


class ApiThread:
    """Starts and ends the server; `wake` may be called from any thread."""

    def __init__(self, state: AppState, listener: socket.socket, take: Callable[[], list[Sequence[Told]]]) -> None:
        self._state = state
        self._listener = listener
        self._take = take
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rounds: Rounds | None = None
        self._server: uvicorn.Server | None = None
        self._started = threading.Event()
        self._woken = False
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self.problem: BaseException | None = None
        self.asked = 0  # requests that are being answered

    def start(self) -> None:
        """Return when requests are answered. Raises RuntimeError where that fails."""
        self._thread.start()
        if not self._started.wait(_START_S) or self.problem:
            raise RuntimeError(f"the API did not start: {self.problem!r}")

    @property
    def alive(self) -> bool:
        """Tell whether it still serves."""
        return self._thread.is_alive() and self.problem is None

    def wake(self) -> None:
        """Say that there are new events; one call a batch crosses into the loop, none while one is on its way."""
        if self._loop is not None and not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._gather)
            except RuntimeError:  # the loop has ended: nobody is served any more
                return

    def stop(self, grace_s: float = _GRACE_S + 2) -> None:
        """Take what still waits, end gracefully, and wait for it."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join(grace_s)

    def _end(self) -> None:
        self._gather()
        if self._rounds is not None:
            self._rounds.now()
        if self._server is not None:
            self._server.should_exit = True

    def _run(self) -> None:
        try:
            # the drain loop preempts nobody; an answer somebody waits for is like any other program's
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            asyncio.run(self._serve())
        except BaseException as problem:  # noqa: BLE001  # the thread's top: told where the thread was started
            self.problem = problem
            self._state.log("error", "api_failed", error=repr(problem), exc_info=problem)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rounds = Rounds(self._state.hub)
        self._server = uvicorn.Server(self._configuration(self._rounds))
        async with asyncio.TaskGroup() as tasks:
            beats = tasks.create_task(self._beat(self._rounds))
            watcher = tasks.create_task(self._tell_start(self._server))
            await self._server.serve(sockets=[self._listener])
            watcher.cancel()
            beats.cancel()

    def _configuration(self, rounds: Rounds) -> uvicorn.Config:
        limits = self._state.limits
        return uvicorn.Config(
            self._count_asked(build(self._state, rounds)),
            http=bounded_http(head_s=limits.head_s, write_s=limits.write_s, max_connections=limits.connections),
            ws=FeedProtocol,
            ws_max_size=limits.feed_message_bytes,
            ws_ping_interval=limits.ping_s,
            ws_ping_timeout=limits.ping_s,
            ws_per_message_deflate=False,  # frames are made once, for everybody
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # else X-Forwarded-For would choose whose rate limit counts
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=32_768,
        )

    def _count_asked(self, app: ASGIApp) -> ASGIApp:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            self.asked += 1
            try:
                await app(scope, receive, send)
            finally:
                self.asked -= 1

        return counted

    async def _tell_start(self, server: uvicorn.Server) -> None:
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.005)
        self._started.set()

    async def _beat(self, rounds: Rounds) -> None:
        while True:
            await asyncio.sleep(self._state.hub.heartbeat_s)
            self._state.hub.beat()
            rounds.now()

    def _gather(self) -> None:
        """Take the batches that wait into memory, the invariants and the feed."""
        self._woken = False
        state, news = self._state, False
        for batch in self._take():
            exchanges = [event for event in batch if type(event) is Exchange]
            state.invariants.add(exchanges)
            news |= state.hub.add(exchanges)
            if len(exchanges) < len(batch):
                ended = [event for event in batch if type(event) is Connection]
                state.connections.add(ended)
                state.invariants.add_connections(ended)
        if news and self._rounds is not None:
            self._rounds.ring()
