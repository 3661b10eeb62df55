"""The breaker against a plain model of its rules."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from pipeline.outbound.breaker import Breaker, BreakerPolicy, CallResult, Circuit, Permit

POLICY = BreakerPolicy(
    window_s=2.0, min_calls=4, failure_rate=0.5, slow_call_s=1.0, slow_call_rate=0.8, consecutive_failures=6,
    open_s=1.0, open_max_s=4.0, half_open_calls=3,
)  # fmt: skip


class BreakerMachine(RuleBasedStateMachine):
    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now = 0.0
        self.opened_at: float | None = None
        self.trials_out: set[int] = set()
        self.calls: list[tuple[float, bool, bool]] = []  # of the present closed period: when, failed, slow
        self.period = 0
        self.serial = 0

    def _note_transition(self, before: Circuit) -> None:
        after = self.breaker.circuit
        if before is not after:
            self.period += 1
            self.calls = []
            self.trials_out = set()
            if after is Circuit.OPEN:
                self.opened_at = self.now

    @rule(seconds=st.floats(min_value=0.0, max_value=5.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=permits)
    def ask(self) -> tuple[Permit | None, int, int]:
        before = self.breaker.circuit
        wait = self.breaker.wait_s(self.now)
        permit = self.breaker.admit(self.now)
        self._note_transition(before)
        self.serial += 1
        match before:
            case Circuit.CLOSED:
                assert permit is not None
            case Circuit.OPEN:
                assert self.opened_at is not None
                assert (permit is not None) == (wait == 0.0)
                if permit is not None:
                    assert self.now >= self.opened_at + POLICY.open_s
                else:
                    assert self.now < self.opened_at + POLICY.open_max_s
            case Circuit.HALF_OPEN:
                assert (permit is None) == (wait is None)
        if permit is not None and self.breaker.circuit is Circuit.HALF_OPEN:
            self.trials_out.add(self.serial)
        return permit, self.period, self.serial

    @rule(held=consumes(permits), result=st.sampled_from(CallResult), took=st.sampled_from([0.1, 1.5]))
    def call_ends(self, held: tuple[Permit | None, int, int], result: CallResult, took: float) -> None:
        permit, period, serial = held
        if permit is None:
            return
        before = self.breaker.circuit
        current = period == self.period
        if current and before is Circuit.CLOSED and result is not CallResult.NEUTRAL:
            self.calls.append((self.now, result is CallResult.FAILURE, took >= POLICY.slow_call_s))
        self.breaker.record(permit, result, took_s=took, now=self.now)
        after = self.breaker.circuit
        if not current:
            assert after is before, "a call of an earlier period changed the circuit"
        elif before is Circuit.CLOSED and after is Circuit.OPEN:
            assert self._opening_is_due()
        elif before is Circuit.CLOSED:
            assert not self._opening_is_certain()
        self.trials_out.discard(serial)
        self._note_transition(before)

    def _opening_is_due(self) -> bool:
        """Whether some reading of the window (its slices are a tenth of it) asks for opening."""
        return any(self._asks(POLICY.window_s * share) for share in (0.9, 0.95, 1.0, 1.05, 1.1))

    def _opening_is_certain(self) -> bool:
        tail = self.calls[-POLICY.consecutive_failures :]
        return len(tail) == POLICY.consecutive_failures and all(failed for _, failed, _ in tail)

    def _asks(self, span: float) -> bool:
        if self._opening_is_certain():
            return True
        recent = [call for call in self.calls if call[0] > self.now - span]
        if len(recent) < POLICY.min_calls:
            return False
        failed = sum(call[1] for call in recent) / len(recent)
        slow = sum(call[2] for call in recent) / len(recent)
        return failed >= POLICY.failure_rate or slow >= POLICY.slow_call_rate

    @invariant()
    def no_more_trials_than_allowed(self) -> None:
        assert len(self.trials_out) <= POLICY.half_open_calls

    @precondition(lambda self: self.breaker.circuit is Circuit.OPEN)
    @rule()
    def an_open_circuit_always_opens_its_door_again(self) -> None:
        wait = self.breaker.wait_s(self.now)
        assert wait is not None
        assert 0.0 <= wait <= POLICY.open_max_s


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_an_outage_opens_within_the_run_and_recovers_within_two_pauses() -> None:
    breaker, now = Breaker(POLICY), 0.0
    for _ in range(1000):  # a healthy past must not hide an outage
        permit = breaker.admit(now)
        assert permit is not None
        breaker.record(permit, CallResult.SUCCESS, took_s=0.01, now=now)
        now += 0.001
    failures = 0
    while (permit := breaker.admit(now)) is not None:
        breaker.record(permit, CallResult.FAILURE, took_s=0.01, now=now)
        failures += 1
        now += 0.001
    assert failures == POLICY.consecutive_failures
    healthy_from = now
    while breaker.circuit is not Circuit.CLOSED:
        wait = breaker.wait_s(now)
        assert wait is not None
        now += wait
        permit = breaker.admit(now)
        assert permit is not None
        breaker.record(permit, CallResult.SUCCESS, took_s=0.01, now=now)
    assert now - healthy_from <= 2 * POLICY.open_s
