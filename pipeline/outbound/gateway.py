"""The one way out: every call to the external API passes here, under all policies at once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Protocol, assert_never

import msgspec

from pipeline.outbound import outcome as ends
from pipeline.outbound.attempt import Answered, AttemptResult, NotAnswered
from pipeline.outbound.breaker import Breaker, BreakerPolicy, CallResult, Circuit, Permit
from pipeline.outbound.budget import BudgetPolicy, RetryBudget
from pipeline.outbound.bulkhead import BulkheadPolicy
from pipeline.outbound.course import Course
from pipeline.outbound.deadline import Deadline
from pipeline.outbound.door import Door
from pipeline.outbound.outcome import Outcome
from pipeline.outbound.request import OutboundRequest
from pipeline.outbound.retry import RetryPolicy, decide
from pipeline.outbound.snapshot import ResilienceSnapshot


class OutboundGateway(Protocol):
    """The port: what the worker knows of the outside."""

    async def send(self, request: OutboundRequest) -> Outcome:
        """Call, retry where that is safe and allowed, and say how it ended, at the deadline at the latest."""

    async def passable(self) -> None:
        """Wait until a call stands a chance of being admitted."""

    @property
    def closed(self) -> bool:
        """Whether the circuit is closed: the destination is taken to be well."""

    def snapshot(self) -> ResilienceSnapshot:
        """Return the state of the policies as of now."""


class Sender(Protocol):
    """What makes one attempt."""

    async def attempt(self, request: OutboundRequest, *, until: float) -> AttemptResult:
        """Send once; end by `until` on the loop's clock."""

    async def aclose(self) -> None:
        """Let go of the connections."""


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """All that governs the calls to one destination."""

    deadline_s: float = 5.0
    attempt_timeout_s: float = 1.5
    retry: RetryPolicy = RetryPolicy()
    budget: BudgetPolicy = BudgetPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    bulkhead: BulkheadPolicy = BulkheadPolicy()


class ResilientGateway:
    """Calls one destination; create one for each, inside a running event loop."""

    def __init__(
        self, name: str, sender: Sender, policies: Policies, *, draw: Callable[[], float] = random.random
    ) -> None:
        self._name = name
        self._sender = sender
        self._policies = policies
        self._draw = draw
        self._clock = asyncio.get_running_loop().time
        self._breaker = Breaker(policies.breaker)
        self._budget = RetryBudget(policies.budget, now=self._clock())
        self._door = Door(policies.bulkhead)
        self._changed: asyncio.Future[None] | None = None
        self._outcomes: Counter[str] = Counter()
        self._attempts = 0
        self._retries = 0
        self._timeouts = 0

    async def send(self, request: OutboundRequest) -> Outcome:
        """Call, retry where that is safe and allowed, and say how it ended, at the deadline at the latest."""
        began = self._clock()
        deadline = Deadline.after(self._policies.deadline_s, now=began)
        course = Course(safe=request.safe)
        door = await self._door.enter(until=deadline.at)
        if door is None:
            try:
                outcome = await self._attempts_within(request, course, deadline=deadline, began=began)
            finally:
                self._door.leave()
        else:
            outcome = course.not_begun(door, elapsed_s=self._clock() - began)
        self._outcomes[ends.name(outcome)] += 1
        return outcome

    async def _attempts_within(
        self, request: OutboundRequest, course: Course, *, deadline: Deadline, began: float
    ) -> Outcome:
        policies, clock = self._policies, self._clock
        self._budget.request()
        while True:
            permit = self._admit()
            if permit is None:
                return course.stopped_by_breaker(elapsed_s=clock() - began)
            result = await self._attempt(request, permit, deadline=deadline)
            course.add(result)
            time_left_s = deadline.remaining(clock())
            delay = decide(
                result, attempt=course.attempts, policy=policies.retry, time_left_s=time_left_s, draw=self._draw
            )
            if delay is None:
                return course.ended(elapsed_s=clock() - began)
            if self._breaker.circuit is not Circuit.CLOSED:
                return course.stopped_by_breaker(elapsed_s=clock() - began)
            if not self._budget.take(clock()):
                return course.stopped_by_budget(elapsed_s=clock() - began)
            self._retries += 1
            await asyncio.sleep(delay)

    async def _attempt(self, request: OutboundRequest, permit: Permit, *, deadline: Deadline) -> AttemptResult:
        now = self._clock()
        self._attempts += 1
        verdict = CallResult.NEUTRAL
        try:
            result = await self._sender.attempt(
                request, until=deadline.sooner(self._policies.attempt_timeout_s, now=now)
            )
            verdict = judge(result)
            if isinstance(result, NotAnswered) and result.kind == "timeout":
                self._timeouts += 1
        finally:
            ended = self._clock()
            before = self._breaker.circuit
            self._breaker.record(permit, verdict, took_s=ended - now, now=ended)
            if before is not Circuit.CLOSED or self._breaker.circuit is not before:
                self._announce()
        return result

    def _admit(self) -> Permit | None:
        return self._breaker.admit(self._clock())

    def _announce(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def passable(self) -> None:
        """Wait until a call stands a chance of being admitted."""
        while (wait_s := self._breaker.wait_s(self._clock())) != 0.0:
            if self._changed is None or self._changed.done():
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._changed], timeout=wait_s)

    @property
    def closed(self) -> bool:
        """Whether the circuit is closed: the destination is taken to be well."""
        return self._breaker.circuit is Circuit.CLOSED

    def snapshot(self) -> ResilienceSnapshot:
        """Return the state of the policies as of now."""
        return ResilienceSnapshot(
            destination=self._name,
            circuit=self._breaker.circuit.value,
            circuit_opened_total=self._breaker.opened_total,
            in_flight=self._door.in_flight,
            queue_depth=self._door.queued,
            saturation=self._door.saturation,
            retry_budget=self._budget.available(self._clock()),
            requests_total=self._outcomes.total(),
            attempts_total=self._attempts,
            retries_total=self._retries,
            timeouts_total=self._timeouts,
            outcomes=dict(self._outcomes),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._sender.aclose()


def judge(result: AttemptResult) -> CallResult:
    """Return what an attempt tells the breaker: refusals of one request say nothing bad about the destination."""
    match result:
        case Answered(status=status):
            return CallResult.FAILURE if status >= 500 or status == 429 else CallResult.SUCCESS
        case NotAnswered():
            return CallResult.FAILURE
        case _:
            assert_never(result)
