"""uvicorn servers inside a running loop: they start, say their port, and stop without touching signals."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.errors import SimulatorFailed
from pipeline.simulators.external_api import ExternalApi


class Listener:
    """Where to listen, and with which certificate."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, cert: str | None = None, key: str | None = None
    ) -> None:
        self.host = host
        self.port = port
        self.cert = cert
        self.key = key


class _Quiet(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: Listener, *, protocol: type[H11Protocol] | None = None) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port. Raises SimulatorFailed where it cannot listen."""
    config = uvicorn.Config(
        app,
        host=listener.host,
        port=listener.port,
        http=protocol or H11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        backlog=4096,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
        ssl_certfile=listener.cert,
        ssl_keyfile=listener.key,
    )
    server = _Quiet(config)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_serve(server))
        try:
            while not server.started:
                if task.done():
                    raise SimulatorFailed(f"cannot listen on {listener.host}:{listener.port}")
                await asyncio.sleep(0.005)
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True


async def _serve(server: uvicorn.Server) -> None:
    try:
        await server.serve()
    except SystemExit as problem:  # uvicorn's way to say that it cannot listen
        raise SimulatorFailed(f"cannot listen on {server.config.host}:{server.config.port}") from problem


async def run_api(api: ExternalApi, listener: Listener, *, started: Callable[[int], None]) -> None:
    """Serve an API for ever, on one port, refusing connections while it is told to."""
    port = listener.port
    while True:
        await api.listening.wait()
        at = Listener(host=listener.host, port=port, cert=listener.cert, key=listener.key)
        async with serving(api.app(), at, protocol=api.connections.protocol()) as port:
            started(port)
            await api.silent.wait()
