"""One attempt against a server that lies: every ending is typed, and no answer is read twice."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pipeline.outbound.attempt import Answered, AttemptResult, NotAnswered
from pipeline.outbound.http_sender import Destination, HttpSender
from pipeline.outbound.request import OutboundRequest
from pipeline.simulators.hostile_api import HostileApi


def request(behaviour: str, *, key: str = "k-1", body: bytes = b'{"n":1}') -> OutboundRequest:
    return OutboundRequest(
        method="POST",
        route=f"/{behaviour}",
        target=f"/{behaviour}",
        body=body,
        idempotency_key=key,
        request_id="r-1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )


@pytest.fixture
async def api() -> AsyncIterator[HostileApi]:
    server = HostileApi(keep=True)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def sender(api: HostileApi) -> AsyncIterator[HttpSender]:
    one = HttpSender(
        Destination(name="api", url=f"http://127.0.0.1:{api.port}", max_connections=2, max_response_bytes=200_000)
    )
    yield one
    await one.aclose()


async def attempt(sender: HttpSender, behaviour: str, *, within: float = 0.4) -> AttemptResult:
    return await sender.attempt(request(behaviour), until=asyncio.get_running_loop().time() + within)


async def test_a_whole_response_is_answered(sender: HttpSender, api: HostileApi) -> None:
    assert await attempt(sender, "ok") == Answered(status=200)
    _, head, body = api.requests[0]
    assert body == b'{"n":1}'
    lines = head.decode().lower().split("\r\n")
    assert "idempotency-key: k-1" in lines
    assert "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" in lines
    assert "x-request-id: r-1" in lines


@pytest.mark.parametrize(
    ("behaviour", "kind", "status"),
    [
        ("blackhole", "timeout", None),
        ("slow-headers", "timeout", None),
        ("drip", "timeout", 200),
        ("reset", "reset", None),
        ("reset-mid-body", "reset", 200),
        ("short-body", "protocol", 200),
        ("bad-chunks", "protocol", 200),
        ("two-lengths", "protocol", None),
        ("garbage", "protocol", None),
        ("endless", "oversized", 200),
        ("endless-head", "protocol", None),
    ],
)
async def test_a_lie_is_a_typed_result_after_bytes_were_sent(
    sender: HttpSender, behaviour: str, kind: str, status: int | None
) -> None:
    result = await attempt(sender, behaviour)
    assert isinstance(result, NotAnswered)
    assert (result.kind, result.status, result.sent) == (kind, status, True)
    assert await attempt(sender, "ok") == Answered(status=200)


@pytest.mark.parametrize("behaviour", ["long-body", "long-chunks"])
async def test_what_follows_a_response_is_never_the_next_answer(sender: HttpSender, behaviour: str) -> None:
    assert await attempt(sender, behaviour) == Answered(status=200)
    for _ in range(3):
        assert await attempt(sender, "ok") == Answered(status=200)


async def test_connections_are_kept(sender: HttpSender, api: HostileApi) -> None:
    for _ in range(5):
        await attempt(sender, "ok")
    assert len(api.open) == 1


async def test_refused_where_nobody_listens(api: HostileApi) -> None:
    port = api.port
    await api.stop()
    sender = HttpSender(Destination(name="api", url=f"http://127.0.0.1:{port}"))
    assert await attempt(sender, "ok") == NotAnswered(kind="refused", sent=False)
    await sender.aclose()
    await api.start()


async def test_a_connection_that_was_closed_while_idle_is_not_used(sender: HttpSender, api: HostileApi) -> None:
    await attempt(sender, "ok")
    for connection in tuple(api.open):
        connection.transport.close()
    await asyncio.sleep(0.01)  # the FIN crosses loopback
    assert await attempt(sender, "ok") == Answered(status=200)
