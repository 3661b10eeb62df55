"""The gateway with a sender that follows a script: what is tried again, what is not, and what is said of it."""

import asyncio

import pytest

from pipeline.outbound import outcome as ends
from pipeline.outbound.attempt import Answered, AttemptResult, NotAnswered
from pipeline.outbound.backoff import FullJitter
from pipeline.outbound.breaker import BreakerPolicy
from pipeline.outbound.budget import BudgetPolicy
from pipeline.outbound.bulkhead import BulkheadPolicy
from pipeline.outbound.gateway import Policies, ResilientGateway
from pipeline.outbound.outcome import HttpError, Ok, Outcome, RejectedByBudget, RejectedByBulkhead, Timeout, Unknown
from pipeline.outbound.request import OutboundRequest
from pipeline.outbound.retry import RetryPolicy

OK = Answered(status=201)
BROKEN = Answered(status=503)
SENT_THEN_RESET = NotAnswered(kind="reset", sent=True)
REFUSED = NotAnswered(kind="refused", sent=False)
LATE = NotAnswered(kind="timeout", sent=True)
QUICK = RetryPolicy(max_attempts=3, backoff=FullJitter(base_s=0.001, cap_s=0.001))


class ScriptedSender:
    """Answers as told, and notes the keys that it was sent."""

    def __init__(self, *results: AttemptResult, hold: asyncio.Event | None = None) -> None:
        self.results = list(results)
        self.keys: list[str] = []
        self.hold = hold

    async def attempt(self, request: OutboundRequest, *, until: float) -> AttemptResult:
        self.keys.append(request.idempotency_key)
        if self.hold is not None:
            await self.hold.wait()
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]

    async def aclose(self) -> None:
        pass


def request(method: str = "POST") -> OutboundRequest:
    return OutboundRequest(
        method=method, route="/a", target="/a", body=b"{}", idempotency_key="key", request_id="r",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", trace_id="0af7651916cd43dd8448eb211c80319c",
    )  # fmt: skip


async def send(*results: AttemptResult, method: str = "POST", policies: Policies | None = None) -> tuple[Outcome, int]:
    sender = ScriptedSender(*results)
    gateway = ResilientGateway("api", sender, policies or Policies(retry=QUICK))
    outcome = await gateway.send(request(method))
    assert set(sender.keys) == {"key"}
    return outcome, len(sender.keys)


@pytest.mark.parametrize(
    ("results", "method", "name", "attempts"),
    [
        ([OK], "POST", "ok", 1),
        ([BROKEN, OK], "POST", "ok", 2),
        ([SENT_THEN_RESET, OK], "POST", "ok", 2),
        ([REFUSED, REFUSED, OK], "POST", "ok", 3),
        ([Answered(status=404)], "POST", "http_error", 1),
        ([Answered(status=301)], "POST", "http_error", 1),  # nobody has done what was asked
        ([BROKEN], "POST", "http_error", 3),
        ([REFUSED], "POST", "refused", 3),
        ([LATE], "POST", "unknown", 3),
        ([LATE], "GET", "timeout", 3),
        ([SENT_THEN_RESET], "POST", "unknown", 3),
        ([SENT_THEN_RESET], "GET", "reset", 3),
        ([NotAnswered(kind="protocol", sent=True, status=200)], "POST", "unknown", 3),
        ([NotAnswered(kind="oversized", sent=True, status=200)], "POST", "unknown", 3),
        ([LATE, BROKEN, BROKEN], "POST", "unknown", 3),
        ([LATE, Answered(status=409)], "POST", "http_error", 2),
        ([LATE, REFUSED, REFUSED], "POST", "unknown", 3),
    ],
)
async def test_outcomes(results: list[AttemptResult], method: str, name: str, attempts: int) -> None:
    outcome, sent = await send(*results, method=method)
    assert (ends.name(outcome), outcome.attempts, sent) == (name, attempts, attempts)


async def test_retry_after_is_waited_for_within_the_call() -> None:
    began = asyncio.get_running_loop().time()
    outcome, _ = await send(Answered(status=429, retry_after_s=0.2), OK)
    assert isinstance(outcome, Ok)
    assert asyncio.get_running_loop().time() - began >= 0.2


async def test_a_longer_retry_after_is_handed_on_instead() -> None:
    outcome, sent = await send(Answered(status=503, retry_after_s=30.0), OK)
    assert isinstance(outcome, HttpError)
    assert (outcome.retry_after_s, sent) == (30.0, 1)


async def test_a_retry_after_survives_an_open_question() -> None:
    outcome, _ = await send(LATE, Answered(status=503, retry_after_s=30.0))
    assert isinstance(outcome, Unknown)
    assert outcome.retry_after_s == 30.0


async def test_without_budget_there_is_no_retry() -> None:
    policies = Policies(retry=QUICK, budget=BudgetPolicy(minimum=1, ratio=0.001))
    gateway = ResilientGateway("api", ScriptedSender(BROKEN), policies)
    first, second = await gateway.send(request()), await gateway.send(request())
    assert isinstance(first, RejectedByBudget)
    assert (first.attempts, second.attempts) == (2, 1)
    assert first.status == 503


async def test_an_open_circuit_sends_nothing_until_trials_succeed() -> None:
    breaker = BreakerPolicy(consecutive_failures=3, open_s=0.05, half_open_calls=2)
    sender = ScriptedSender(BROKEN)
    gateway = ResilientGateway("api", sender, Policies(retry=RetryPolicy(max_attempts=1), breaker=breaker))
    names = [ends.name(await gateway.send(request())) for _ in range(5)]
    assert names == ["http_error"] * 3 + ["rejected_by_breaker"] * 2
    assert (len(sender.keys), gateway.snapshot().circuit) == (3, "open")
    sender.results = [OK]
    await gateway.passable()
    assert [ends.name(await gateway.send(request())) for _ in range(3)] == ["ok"] * 3
    assert gateway.snapshot().circuit == "closed"


async def test_whoever_waits_for_a_trial_is_woken_by_its_end() -> None:
    hold = asyncio.Event()
    breaker = BreakerPolicy(consecutive_failures=1, open_s=0.01, half_open_calls=1)
    sender = ScriptedSender(BROKEN, OK)
    gateway = ResilientGateway("api", sender, Policies(retry=RetryPolicy(max_attempts=1), breaker=breaker))
    await gateway.send(request())
    await gateway.passable()
    sender.hold = hold
    async with asyncio.TaskGroup() as group:
        group.create_task(gateway.send(request()))
        await asyncio.sleep(0)
        waiting = group.create_task(gateway.passable())
        await asyncio.sleep(0)
        assert not waiting.done()
        hold.set()
    assert gateway.closed


async def test_a_full_house_is_said_at_once_and_a_full_queue_too() -> None:
    hold = asyncio.Event()
    policies = Policies(deadline_s=0.1, retry=QUICK, bulkhead=BulkheadPolicy(max_in_flight=1, max_queued=1))
    gateway = ResilientGateway("api", ScriptedSender(OK, hold=hold), policies)
    async with asyncio.TaskGroup() as group:
        inside = group.create_task(gateway.send(request()))
        await asyncio.sleep(0)
        queued = group.create_task(gateway.send(request()))
        await asyncio.sleep(0)
        assert isinstance(await gateway.send(request()), RejectedByBulkhead)
        assert (gateway.snapshot().in_flight, gateway.snapshot().queue_depth) == (1, 1)
        late = await queued
        assert isinstance(late, Timeout)
        assert late.phase == "queue"
        hold.set()
    assert isinstance(inside.result(), Ok)
    assert gateway.snapshot().in_flight == 0


async def test_a_cancelled_call_leaves_its_place_and_its_trial() -> None:
    hold = asyncio.Event()
    breaker = BreakerPolicy(consecutive_failures=1, open_s=0.01, half_open_calls=1)
    sender = ScriptedSender(BROKEN, OK)
    gateway = ResilientGateway("api", sender, Policies(retry=RetryPolicy(max_attempts=1), breaker=breaker))
    await gateway.send(request())
    await gateway.passable()
    sender.hold = hold
    async with asyncio.TaskGroup() as group:
        trial = group.create_task(gateway.send(request()))
        await asyncio.sleep(0)
        trial.cancel()
    sender.hold = None
    assert isinstance(await gateway.send(request()), Ok)
    assert gateway.snapshot().in_flight == 0
