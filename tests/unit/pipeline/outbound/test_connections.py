import asyncio
from collections.abc import AsyncIterator

import httpcore2
import pytest

from pipeline.outbound.connections import Connections, Line
from pipeline.outbound.wire_stream import WireBackend, WireStream
from pipeline.simulators.hostile_api import HostileApi

LIMIT = 2


@pytest.fixture
async def api() -> AsyncIterator[HostileApi]:
    server = HostileApi()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def connections(api: HostileApi) -> AsyncIterator[Connections]:
    origin = httpcore2.Origin(b"http", b"127.0.0.1", api.port)
    one = Connections(origin, backend=WireBackend(), tls=None, limit=LIMIT)
    yield one
    await one.aclose()


def request(api: HostileApi, path: str) -> httpcore2.Request:
    url = httpcore2.URL(scheme=b"http", host=b"127.0.0.1", port=api.port, target=f"/{path}".encode())
    return httpcore2.Request(b"GET", url, headers=[(b"Host", b"api")])


async def read(line: Line) -> None:
    stream = line.response.extensions["network_stream"]
    assert isinstance(stream, WireStream)
    stream.expect_body(2)
    await line.response.aread()
    stream.settle()


async def exchange(connections: Connections, api: HostileApi, path: str = "ok") -> Line:
    line = await connections.send(request(api, path))
    await read(line)
    await connections.release(line)
    return line


async def test_the_connection_used_last_is_used_next(connections: Connections, api: HostileApi) -> None:
    first, second = await connections.send(request(api, "ok")), await connections.send(request(api, "ok"))
    for line in (first, second):
        await read(line)
        await connections.release(line)
    for _ in range(3):
        assert (await exchange(connections, api)).connection is second.connection
    assert len(api.open) == 2


async def test_no_more_than_the_limit_are_in_use(connections: Connections, api: HostileApi) -> None:
    lines = [await connections.send(request(api, "ok")) for _ in range(LIMIT)]
    waiting = asyncio.create_task(connections.send(request(api, "ok")))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await read(lines[0])
    await connections.release(lines[0])
    last = await waiting
    assert last.connection is lines[0].connection
    await connections.release(lines[1])
    await connections.release(last)


async def test_a_response_that_was_not_read_to_its_end_costs_the_connection(
    connections: Connections, api: HostileApi
) -> None:
    line = await connections.send(request(api, "drip"))
    await connections.release(line)
    assert line.connection.is_closed()
    assert (await exchange(connections, api)).connection is not line.connection


async def test_cancelled_sends_give_their_places_back(connections: Connections, api: HostileApi) -> None:
    for _ in range(5 * LIMIT):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await connections.send(request(api, "blackhole"))
    async with asyncio.timeout(5):
        await asyncio.gather(*(exchange(connections, api) for _ in range(10)))
    while len(api.open) > LIMIT:  # noqa: ASYNC110 - the server hears of what was closed
        await asyncio.sleep(0.01)


async def test_refused_connections_give_their_places_back(connections: Connections, api: HostileApi) -> None:
    port = api.port
    await api.stop()
    for _ in range(2 * LIMIT):
        with pytest.raises(httpcore2.ConnectError):
            await connections.send(request(api, "ok"))
    await api.start(port=port)
    await exchange(connections, api)


async def test_what_the_server_closed_meanwhile_is_not_used(connections: Connections, api: HostileApi) -> None:
    before = await exchange(connections, api)
    for connection in tuple(api.open):
        connection.transport.close()
    async with asyncio.timeout(5):
        while not before.connection.has_expired():  # noqa: ASYNC110 - until the FIN is here
            await asyncio.sleep(0.001)
    assert (await exchange(connections, api)).connection is not before.connection
