"""Ten thousand calls to a server that never plays by the rules: each ends in time, and the client is whole afterwards."""

import asyncio
import contextlib
import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from types import ModuleType

import httpx
import httpx2
import pytest

from pipeline.outbound import outcome as ends
from pipeline.outbound.breaker import BreakerPolicy
from pipeline.outbound.bulkhead import BulkheadPolicy
from pipeline.outbound.gateway import Policies, ResilientGateway
from pipeline.outbound.http_sender import Destination, HttpSender
from pipeline.outbound.outcome import Ok, Outcome
from pipeline.outbound.request import OutboundRequest
from tests.integration.pipeline.rig import ROOT

pytestmark = pytest.mark.timeout(180)

CALLS = 10_000
AT_ONCE = 64  # as many as a worker has by default
DEADLINE_S = 0.25
GRACE_S = 0.1
PLACES = 20
BEHAVIOURS = ("slow-headers", "drip", "blackhole", "reset")
SERVER = """
import asyncio
from pipeline.simulators.hostile_api import HostileApi
async def main():
    api = HostileApi()
    await api.start()
    print(api.port, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def url() -> Iterator[str]:
    """A process of its own, so that the server's work delays no deadline of the client's."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def request(number: int, behaviour: str) -> OutboundRequest:
    return OutboundRequest(
        method="POST", route=f"/{behaviour}", target=f"/{behaviour}", body=b"{}", idempotency_key=f"k-{number}",
        request_id=f"r-{number}", traceparent=f"00-{number + 1:032x}-00f067aa0ba902b7-01", trace_id=f"{number + 1:032x}",
    )  # fmt: skip


@contextlib.asynccontextmanager
async def gateway(url: str) -> AsyncIterator[ResilientGateway]:
    """All policies but the breaker, which would keep the calls from the server."""
    never = BreakerPolicy(min_calls=10**9, consecutive_failures=10**9)
    policies = Policies(
        deadline_s=DEADLINE_S, attempt_timeout_s=0.2, breaker=never,
        bulkhead=BulkheadPolicy(max_in_flight=AT_ONCE, max_queued=AT_ONCE),
    )  # fmt: skip
    one = ResilientGateway("api", HttpSender(Destination(name="api", url=url, max_connections=AT_ONCE)), policies)
    try:
        yield one
    finally:
        await one.aclose()


async def test_every_hostile_call_ends_by_its_deadline_and_the_client_is_whole_afterwards(url: str) -> None:
    numbers = iter(range(CALLS))
    took: list[float] = []
    outcomes: Counter[str] = Counter()
    clock = asyncio.get_running_loop().time

    async def call(way_out: ResilientGateway, number: int, behaviour: str) -> Outcome:
        began = clock()
        outcome = await way_out.send(request(number, behaviour))
        took.append(clock() - began)
        return outcome

    async def caller(way_out: ResilientGateway, place: int) -> None:
        await asyncio.sleep(DEADLINE_S * place / AT_ONCE)  # as calls begin in life: not all at once
        for number in numbers:
            outcomes[ends.name(await call(way_out, number, BEHAVIOURS[number % len(BEHAVIOURS)]))] += 1

    async with gateway(url) as way_out:
        await asyncio.gather(*(caller(way_out, place) for place in range(AT_ONCE)))
        normal = await asyncio.gather(*(call(way_out, CALLS + n, "ok") for n in range(20)))
    print(f"\n{CALLS} hostile calls: longest {max(took) * 1000:.0f} ms of {(DEADLINE_S + GRACE_S) * 1000:.0f},"
          f" {dict(outcomes)}; then {sum(isinstance(one, Ok) for one in normal)} of 20 normal ones")  # fmt: skip
    assert max(took) <= DEADLINE_S + GRACE_S
    assert outcomes.total() == CALLS
    assert set(outcomes) <= {"unknown", "timeout"}
    assert all(isinstance(one, Ok) for one in normal)


async def churn_then_probe(library: ModuleType, url: str) -> int:
    """Cancel slow calls by a total deadline for a while; return how many of 20 normal calls succeed afterwards."""
    limits = library.Limits(max_connections=PLACES, max_keepalive_connections=PLACES)
    async with library.AsyncClient(
        base_url=url, limits=limits, timeout=library.Timeout(5.0, pool=1.0), trust_env=False
    ) as client:
        delays = itertools.cycle(range(10, 90, 3))

        async def caller(until: float) -> None:
            while asyncio.get_running_loop().time() < until:
                with contextlib.suppress(TimeoutError, library.HTTPError):
                    async with asyncio.timeout(0.05):
                        await client.get(f"/delay-{next(delays)}")

        until = asyncio.get_running_loop().time() + 5.0
        await asyncio.gather(*(caller(until) for _ in range(3 * PLACES)))

        async def probe() -> bool:
            try:
                return bool((await client.get("/ok")).status_code == 200)
            except library.HTTPError:
                return False

        return sum(await asyncio.gather(*(probe() for _ in range(20))))


async def test_httpx_loses_its_pool_to_cancelled_calls_and_httpx2_does_not(url: str) -> None:
    kept, lost = await churn_then_probe(httpx2, url), await churn_then_probe(httpx, url)
    print(f"\nafter calls cancelled by their deadline: httpx2 {kept} of 20, httpx {httpx.__version__} {lost} of 20")
    assert kept == 20
    assert lost < 20, "httpx is well again: docs/decisions/0100 may be reconsidered"
