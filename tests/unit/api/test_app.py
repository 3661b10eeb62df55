"""The application on fakes: what the real service does not do on demand."""

import asyncio
import json
import time

import httpx
import pytest

from api.app import build
from api.routes.feed import Rounds
from api.services.feed import FeedHub
from api.services.invariants import InvariantLedger
from api.services.recent import Recent
from api.state import Access, AppState, Clocks, Limits
from collector.bus import Bus
from collector.domain.ports import ArchiveUnavailable
from tests.support.exchanges import exchange
from tests.unit.api.test_services import status

EPOCH = "0123456789abcdef"


class Observer:
    def status(self):
        return status(at_ns=time.monotonic_ns())

    def open_connections(self, accept, limit):
        return []


class Archive:
    """Gives back two blocks, or fails."""

    def __init__(self, problem=None):
        self.problem = problem
        self.asked = None

    def read(self, query):
        self.asked = query
        if self.problem:
            raise ArchiveUnavailable(self.problem)
        yield b'{"n":1}\n'
        yield b'{"n":2}\n'


class Engine:
    """Answers what the test says."""

    def __init__(self, answer):
        self.answer = answer

    def resilience(self):
        return self.answer()

    def exposition(self, *, openmetrics):
        return self.answer()


@pytest.fixture
def logged():
    return []


def client_of(logged, **more):
    exchanges = Recent(1 << 20)
    hub = FeedHub(log=exchanges, epoch=EPOCH, max_clients=4)
    hub.add([exchange(seq=seq) for seq in range(1, 6)])
    given = {
        "release": "0", "epoch": EPOCH, "started_ns": 0, "observer": Observer(), "bus": Bus(), "metrics": None,
        "clocks": Clocks(monotonic_ns=time.monotonic_ns, wall_ns=time.time_ns), "audit": None, "exchanges": exchanges,
        "connections": Recent(1 << 20), "hub": hub, "invariants": InvariantLedger(), "limits": Limits(),
        "access": Access(hosts=frozenset({"test"})), "log": lambda *what, **fields: logged.append((*what, fields)), **more,
    }  # fmt: skip
    transport = httpx.ASGITransport(build(AppState(**given), Rounds(hub)))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def problem(answer, code, type_):
    assert (answer.status_code, answer.headers["content-type"]) == (code, "application/problem+json")
    found = answer.json()
    assert found["type"].endswith(f"#{type_}")
    assert found["instance"].endswith(answer.headers["x-request-id"])
    return found


async def test_a_bug_is_told_without_its_insides_and_logged_with_its_place(logged):
    def fails():
        raise RuntimeError("inside")

    async with client_of(logged, metrics=Engine(fails)) as client:
        found = problem(await client.get("/v1/resilience/state"), 500, "internal")
    assert "inside" not in json.dumps(found)
    failed = next(fields for level, event, fields in logged if event == "request_failed")
    assert failed["error"] == "RuntimeError('inside')"
    assert failed["exc_info"] is not None


async def test_an_answer_that_takes_too_long_is_given_up(logged):
    ended = asyncio.Event()

    class Slow:
        def exposition(self, *, openmetrics):
            while not ended.is_set():
                time.sleep(0.01)
            return b""

    async with client_of(logged, metrics=Slow(), limits=Limits(answer_s=0.1)) as client:
        asked = asyncio.ensure_future(client.get("/metrics"))
        await asyncio.sleep(0.2)
        ended.set()
        problem(await asked, 503, "timeout")


async def test_a_client_that_stops_reading_is_let_go():
    from api.errors import ClientStalled
    from api.middleware.bounds import Bounds

    class State:
        limits = Limits(write_s=0.05)

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    sent = []

    async def stalls_at_the_third(message):
        sent.append(message)
        if len(sent) == 3:
            await asyncio.Event().wait()

    with pytest.raises(ClientStalled):
        await Bounds(endless, State())({"type": "http", "headers": []}, None, stalls_at_the_third)
    assert len(sent) == 3


async def test_a_body_that_grows_too_big_is_refused():
    from api.errors import ApiProblem
    from api.middleware.bounds import Bounds

    class State:
        limits = Limits(body_bytes=10)

    async def reads(scope, receive, send):
        while True:
            await receive()

    async def receive():
        return {"type": "http.request", "body": b"123456", "more_body": True}

    with pytest.raises(ApiProblem) as caught:
        await Bounds(reads, State())({"type": "http", "headers": []}, receive, None)
    assert caught.value.status == 413


async def test_the_archive_is_streamed(logged):
    archive = Archive()
    asked = "/v1/audit?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00.5Z&service=worker"
    async with client_of(logged, audit=archive) as client:
        answer = await client.get(asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert [json.loads(line)["n"] for line in answer.text.splitlines()] == [1, 2]
    assert (archive.asked.since, archive.asked.service) == ("2026-01-01T00:00:00Z", "worker")


async def test_an_archive_that_cannot_be_read_says_so(logged):
    asked = "/v1/audit?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"
    async with client_of(logged, audit=Archive("no route to the store")) as client:
        found = problem(await client.get(asked), 503, "archive-unavailable")
        assert found["detail"] == "no route to the store"
    async with client_of(logged) as client:
        assert problem(await client.get(asked), 503, "no-archive")["title"] == "no archive configured"


async def test_without_an_engine_there_are_no_metrics(logged):
    async with client_of(logged) as client:
        for path in ("/metrics", "/metrics/network", "/resilience/state"):
            problem(await client.get(path), 503, "no-metrics")


async def test_pages_lead_to_each_other(logged):
    async with client_of(logged) as client:
        first = (await client.get("/v1/exchanges?limit=3")).json()
        second = (await client.get(f"/v1/exchanges?limit=3&cursor={first['next']}")).json()
    assert [item["seq"] for item in first["items"] + second["items"]] == [5, 4, 3, 2, 1]
    assert second["next"] is None


async def test_prometheus_gets_the_format_it_asks_for(logged):
    async with client_of(logged, metrics=Engine(lambda: b"# EOF\n")) as client:
        plain = await client.get("/metrics")
        modern = await client.get(
            "/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"}
        )
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert modern.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"


async def test_every_request_is_logged_once_with_its_trace(logged):
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    async with client_of(logged) as client:
        await client.get("/v1/losses", headers=headers)
        await client.get("/v1/nothing", headers={"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"})
    (good, bad) = [(level, fields) for level, event, fields in logged if event == "request_served"]
    assert (good[0], good[1]["status"], good[1]["trace_id"]) == ("debug", 200, "4bf92f3577b34da6a3ce929d0e0e4736")
    assert (bad[0], bad[1]["status"]) == ("info", 404)
    assert bad[1]["trace_id"] != "0" * 32


async def test_the_page_of_another_host_is_refused(logged):
    async with client_of(logged) as client:
        problem(await client.get("/v1/losses", headers={"host": "evil.example"}), 421, "foreign-host")
        problem(await client.get("/v1/losses", headers={"origin": "http://evil.example"}), 403, "foreign-origin")
        assert (await client.get("/v1/losses", headers={"origin": "http://test"})).status_code == 200


async def test_a_client_that_never_reads_its_answer_is_cut_off():
    """On a real socket: closing alone would wait for it for ever."""
    import socket

    from api.protocols import bounded_http

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0.001)

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    kind = bounded_http(head_s=5, write_s=0.2, max_connections=10)
    server = uvicorn.Server(
        uvicorn.Config(endless, http=kind, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(listener.getsockname())
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(20):
                while not server.server_state.connections:  # noqa: ASYNC110  # uvicorn has no event for it
                    await asyncio.sleep(0.01)
                while server.server_state.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        server.should_exit = True
