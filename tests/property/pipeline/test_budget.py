"""The retry budget: no sequence of events gets more out of it than its law allows."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline.outbound.budget import BudgetPolicy, RetryBudget

POLICY = BudgetPolicy(ratio=0.2, minimum=3, window_s=10.0, burst=20)


class BudgetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.budget = RetryBudget(POLICY, now=0.0)
        self.requests = 0
        self.retries = 0

    @rule(count=st.integers(min_value=1, max_value=50))
    def requests_come(self, count: int) -> None:
        for _ in range(count):
            self.budget.request()
        self.requests += count

    @rule(seconds=st.floats(min_value=0.0, max_value=30.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def clock_stands_or_goes_back(self) -> None:
        self.budget.available(self.now - 1.0)

    @rule(tries=st.integers(min_value=1, max_value=50))
    def retries_are_wanted(self, tries: int) -> None:
        available = self.budget.available(self.now)
        got = sum(self.budget.take(self.now) for _ in range(tries))
        assert got == min(tries, available)
        self.retries += got

    @invariant()
    def the_law_holds(self) -> None:
        allowed = POLICY.ratio * self.requests + POLICY.minimum * (1 + self.now / POLICY.window_s)
        assert self.retries <= allowed + 1e-6

    @invariant()
    def what_is_saved_is_bounded(self) -> None:
        assert 0 <= self.budget.available(self.now) <= POLICY.burst + POLICY.minimum


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


def test_amplification_stays_below_one_point_two_when_everything_fails() -> None:
    budget, attempts, requests = RetryBudget(POLICY, now=0.0), 0, 10_000
    for n in range(requests):
        budget.request()
        attempts += 1
        for _ in range(2):
            attempts += budget.take(n / 1000)
    assert attempts / requests <= 1.2 + (POLICY.minimum * 2) / requests


def test_a_trickle_of_requests_still_gets_its_minimum() -> None:
    budget = RetryBudget(POLICY, now=0.0)
    budget.request()
    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert budget.take(10.0)
