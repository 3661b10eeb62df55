"""Thousands of calls to a server that will not answer: each ends on time, and the client is as good as new afterwards."""

import asyncio
import importlib
import os
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.external_api import make_certificate
from pipeline.outbound import outcome as ends
from pipeline.outbound.backoff import FullJitter
from pipeline.outbound.breaker import BreakerPolicy
from pipeline.outbound.budget import BudgetPolicy
from pipeline.outbound.bulkhead import BulkheadPolicy
from pipeline.outbound.gateway import Policies, ResilientGateway
from pipeline.outbound.http_sender import Destination, HttpSender
from pipeline.outbound.outcome import Ok
from pipeline.outbound.request import OutboundRequest
from pipeline.outbound.retry import RetryPolicy
from pipeline.simulators.hostile_api import HostileApi

pytestmark = pytest.mark.timeout(900)

FULL = bool(os.environ.get("NETSCOPE_FULL"))
CALLS = 10_000 if FULL else 2_000
AT_ONCE = 40
DEADLINE_S = 0.5
GRACE_S = 0.1
BEHAVIOURS = ("slow-headers", "drip", "blackhole", "reset", "reset-mid-body")
NEVER_OPEN = BreakerPolicy(min_calls=10**9, consecutive_failures=10**9)
POLICIES = Policies(
    deadline_s=DEADLINE_S,
    attempt_timeout_s=0.2,
    retry=RetryPolicy(max_attempts=3, backoff=FullJitter(base_s=0.01, cap_s=0.05)),
    budget=BudgetPolicy(),
    breaker=NEVER_OPEN,
    bulkhead=BulkheadPolicy(max_in_flight=20, max_queued=AT_ONCE),
)


@pytest.fixture(params=["http", "https"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, str | None]]:
    """A hostile server, and the certificate to trust for it."""
    api, tls, cert = HostileApi(), None, None
    if request.param == "https":
        cert, key = make_certificate(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, key)
    await api.start(tls=tls)
    yield f"{request.param}://127.0.0.1:{api.port}", cert
    await api.stop()


def request(behaviour: str, number: int) -> OutboundRequest:
    return OutboundRequest(
        method="POST",
        route=f"/{behaviour}",
        target=f"/{behaviour}",
        body=b"{}",
        idempotency_key=f"k-{number}",
        request_id=f"r-{number}",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )


async def test_every_call_ends_by_its_deadline_and_the_next_ones_succeed(place: tuple[str, str | None]) -> None:
    url, cert = place
    calls = CALLS if url.startswith("http:") else CALLS // 4
    sender = HttpSender(Destination(name="hostile", url=url, ca_file=cert, max_connections=20))
    gateway = ResilientGateway("hostile", sender, POLICIES)
    numbers, took, outcomes = iter(range(calls)), list[float](), Counter[str]()

    async def lane() -> None:
        for number in numbers:
            began = time.monotonic()
            outcome = await gateway.send(request(BEHAVIOURS[number % len(BEHAVIOURS)], number))
            took.append(time.monotonic() - began)
            outcomes[ends.name(outcome)] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(lane())
    after = await asyncio.gather(*(gateway.send(request("ok", calls + n)) for n in range(20)))
    await gateway.aclose()
    late = max(took) - DEADLINE_S
    print(f"\n{calls} hostile calls over {url.partition(':')[0]}: latest {late * 1000:+.0f} ms from its deadline, {dict(outcomes)};"
          f" afterwards {sum(isinstance(one, Ok) for one in after)} of 20")  # fmt: skip
    assert len(took) == calls == sum(outcomes.values())
    assert late <= GRACE_S
    assert all(isinstance(one, Ok) for one in after)
    assert set(outcomes) <= {"unknown", "timeout"}


async def churn(library: str, url: str, *, seconds: float) -> int:
    """Cancel requests by a total deadline for a while; return how many of 20 later ones succeed."""
    module: Any = importlib.import_module(library)
    limits = module.Limits(max_connections=20, max_keepalive_connections=20)
    async with module.AsyncClient(limits=limits, timeout=module.Timeout(5.0, pool=3.0), trust_env=False) as client:
        end = time.monotonic() + seconds

        async def lane() -> None:
            while time.monotonic() < end:
                try:
                    async with asyncio.timeout(0.05):
                        await client.get(url + "/delay-45")
                except (TimeoutError, module.HTTPError):
                    pass

        await asyncio.gather(*(lane() for _ in range(60)))
        await asyncio.sleep(0.3)  # for what was cancelled to settle

        async def probe() -> bool:
            try:
                return bool((await client.get(url + "/ok", timeout=module.Timeout(2, pool=2))).status_code == 200)
            except module.HTTPError:
                return False

        return sum(await asyncio.gather(*(probe() for _ in range(20))))


async def test_why_the_client_is_httpx2() -> None:
    """httpx 0.28 loses pool slots for ever when requests are cancelled; httpx2 does not (docs/decisions/0100)."""
    api = HostileApi()
    await api.start()
    url = f"http://127.0.0.1:{api.port}"
    survived = {library: await churn(library, url, seconds=20 if FULL else 8) for library in ("httpx", "httpx2")}
    await api.stop()
    print(f"\nafter cancellations, of 20 requests succeed: {survived}")
    assert survived["httpx2"] == 20
    assert survived["httpx"] < 20
