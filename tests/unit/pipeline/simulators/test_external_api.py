"""The oracle itself: one effect per key, faults as scripted, and honest books."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from pipeline.errors import ScriptInvalid
from pipeline.simulators.external_api import ExternalApi
from pipeline.simulators.faults import FaultSource, parse
from pipeline.simulators.serving import Listener, serving


class Served:
    """The API and its books, over real connections."""

    def __init__(self, api: ExternalApi, client: httpx2.AsyncClient, control: httpx2.AsyncClient) -> None:
        self.api = api
        self._client = client
        self.control = control

    async def post(self, key: str | None, body: bytes = b"{}", path: str = "/orders") -> httpx2.Response:
        headers = {} if key is None else {"idempotency-key": key}
        return await self._client.post(path, content=body, headers=headers)

    async def ledger(self) -> dict[str, Any]:
        return dict((await self.control.get("/ledger")).json())

    async def script(self, *faults: dict[str, Any]) -> httpx2.Response:
        return await self.control.put("/script", json={"routes": {"*": {"faults": list(faults)}}})


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    api = ExternalApi()
    async with (
        serving(api.app(), Listener(), protocol=api.connections.protocol()) as port,
        serving(api.control_app(), Listener()) as control_port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=1.0) as client,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{control_port}", trust_env=False) as control,
    ):
        yield Served(api, client, control)


async def test_a_key_has_one_effect_and_its_replays_are_counted(served: Served) -> None:
    answers = [await served.post("k") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    books = await served.ledger()
    assert (books["effects"], books["replays"], books["arrivals"], books["doubled"]) == (1, 2, 3, 0)


async def test_what_was_told_whole_and_is_asked_again_counts_as_repeated(served: Served) -> None:
    await served.script({"kind": "status", "share": 1.0, "status": 500, "after_effect": True})
    await served.post("k")
    await served.script()
    await served.post("k")
    assert (await served.ledger())["repeats"] == 0  # the first answer was a fault: to ask again was right
    await served.post("k")
    books = await served.ledger()
    assert (books["replays"], books["repeats"]) == (2, 1)
    assert (await served.control.get("/ledger/effects")).json() == books["effects"] == 1


async def test_another_body_under_the_same_key_is_a_conflict_without_effect(served: Served) -> None:
    await served.post("k", b"1")
    assert (await served.post("k", b"2")).status_code == 422
    books = await served.ledger()
    assert (books["effects"], books["conflicts"]) == (1, 1)


async def test_a_request_without_a_key_is_noted(served: Served) -> None:
    await served.post(None)
    assert (await served.ledger())["keyless"] == 1


async def test_a_retry_before_its_time_is_noted(served: Served) -> None:
    await served.script({"kind": "status", "share": 1.0, "status": 503, "retry_after_s": 1})
    answer = await served.post("k")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await served.post("k")
    assert (await served.ledger())["early_retries"] == 1


@pytest.mark.parametrize(
    ("fault", "effects"),
    [
        ({"kind": "reset"}, 0),
        ({"kind": "reset", "after_effect": True}, 1),
        ({"kind": "reset_mid_body"}, 1),
        ({"kind": "short_body"}, 1),
        ({"kind": "drip"}, 1),
        ({"kind": "slow_headers"}, 0),
        ({"kind": "hang"}, 0),
        ({"kind": "hang", "after_effect": True}, 1),
    ],
)
async def test_a_fault_below_http_leaves_the_effect_that_it_says(
    served: Served, fault: dict[str, Any], effects: int
) -> None:
    await served.script({"share": 1.0, **fault})
    with pytest.raises((httpx2.TransportError, TimeoutError)):
        async with asyncio.timeout(0.3):
            await served.post("k")
    books = await served.ledger()
    assert books["effects"] == effects
    assert sum(books["faults"].values()) == 1


async def test_accounts_are_told_one_a_line(served: Served) -> None:
    await served.post("a")
    await served.post("b")
    lines = (await served.control.get("/ledger/accounts")).text.splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]


async def test_a_script_that_makes_no_sense_changes_nothing(served: Served) -> None:
    refused = await served.script({"kind": "status", "share": 2.0, "status": 500})
    assert refused.status_code == 400
    assert (await served.post("k")).status_code == 201


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b'{"routes":{"*":{"faults":[{"kind":"gremlin","share":1}]}}}', b'{"surprise":1}',
     b'{"routes":{"*":{"faults":[{"kind":"hang","share":-0.1}]}}}'],
)  # fmt: skip
def test_an_invalid_script_is_refused(text: bytes) -> None:
    with pytest.raises(ScriptInvalid):
        parse(text)


def test_the_same_seed_draws_the_same_faults_for_each_route_apart() -> None:
    script = parse(
        b'{"seed":7,"routes":{"*":{"latency":{"median_ms":10,"sigma":0.5},"faults":[{"kind":"hang","share":0.3}]}}}'
    )
    one, other, mixed = FaultSource(script), FaultSource(script), FaultSource(script)
    plans = [one.plan("/a/1") for _ in range(200)]
    assert plans == [other.plan("/a/2") for _ in range(200)]
    assert plans == [(mixed.plan("/b"), mixed.plan("/a"))[1] for _ in range(200)]
    assert 30 < sum(plan.fault is not None for plan in plans) < 90
