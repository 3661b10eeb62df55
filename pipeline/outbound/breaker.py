"""Whether a destination is called at all: a circuit breaker in the terms of resilience4j."""

import enum

import msgspec

from pipeline.outbound.call_window import CallWindow


class Circuit(enum.Enum):
    """The three states."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CallResult(enum.Enum):
    """What a call tells about its destination; NEUTRAL: nothing, as it was cancelled."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to open, for how long, and how to try again.

    The rates are taken over a window of time. A run of failures with no success in between opens too: it shows an
    outage before the successes from before it have left the window.
    """

    window_s: float = 2.0
    min_calls: int = 20
    failure_rate: float = 0.5
    slow_call_s: float = 2.0
    slow_call_rate: float = 0.8
    consecutive_failures: int = 20
    open_s: float = 1.0
    open_max_s: float = 5.0  # the pause doubles up to here while trials fail
    half_open_calls: int = 3


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to make one call; what comes of it counts only in the period of the circuit that gave it."""

    period: int


class Breaker:
    """The state machine. It reads no clock: `now`, in seconds, comes with every call."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._window = CallWindow(span_s=policy.window_s)
        self._permit = Permit(period=0)
        self._failures_in_row = 0
        self._pause_s = policy.open_s
        self._until = 0.0
        self._trials_out = 0
        self._trials_good = 0
        self._trials_bad = 0
        self.circuit = Circuit.CLOSED
        self.opened_total = 0

    def admit(self, now: float) -> Permit | None:
        """Return leave to call, or None."""
        match self.circuit:
            case Circuit.CLOSED:
                return self._permit
            case Circuit.OPEN:
                if now < self._until:
                    return None
                self._enter(Circuit.HALF_OPEN)
                return self._trial()
            case Circuit.HALF_OPEN:
                return self._trial()

    def wait_s(self, now: float) -> float | None:
        """Return the seconds until a call may be admitted: 0 at once, None when it hangs on a trial under way."""
        match self.circuit:
            case Circuit.CLOSED:
                return 0.0
            case Circuit.OPEN:
                return max(0.0, self._until - now)
            case Circuit.HALF_OPEN:
                return 0.0 if self._trials_open() > 0 else None

    def record(self, permit: Permit, result: CallResult, *, took_s: float, now: float) -> None:
        """Take in what came of an admitted call; each permit is recorded exactly once."""
        if permit.period != self._permit.period:
            return
        if self.circuit is Circuit.HALF_OPEN:
            self._record_trial(result, took_s=took_s, now=now)
        elif result is not CallResult.NEUTRAL:
            self._record_call(result, took_s=took_s, now=now)

    def _record_call(self, result: CallResult, *, took_s: float, now: float) -> None:
        policy = self._policy
        failed = result is CallResult.FAILURE
        self._window.add(now, failed=failed, slow=took_s >= policy.slow_call_s)
        self._failures_in_row = self._failures_in_row + 1 if failed else 0
        if self._failures_in_row >= policy.consecutive_failures or self._rate_reached():
            self._open(now, pause_s=policy.open_s)

    def _rate_reached(self) -> bool:
        window, policy = self._window, self._policy
        if window.calls < policy.min_calls:
            return False
        return (
            window.failed >= policy.failure_rate * window.calls or window.slow >= policy.slow_call_rate * window.calls
        )

    def _record_trial(self, result: CallResult, *, took_s: float, now: float) -> None:
        policy = self._policy
        self._trials_out -= 1
        if result is CallResult.NEUTRAL:
            return
        if result is CallResult.FAILURE or took_s >= policy.slow_call_s:
            self._trials_bad += 1
        else:
            self._trials_good += 1
        if self._trials_bad >= policy.failure_rate * policy.half_open_calls:
            self._open(now, pause_s=min(policy.open_max_s, self._pause_s * 2))
        elif self._trials_good + self._trials_bad >= policy.half_open_calls:
            self._enter(Circuit.CLOSED)

    def _open(self, now: float, *, pause_s: float) -> None:
        self._enter(Circuit.OPEN)
        self._pause_s = pause_s
        self._until = now + pause_s
        self.opened_total += 1

    def _enter(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self._permit = Permit(period=self._permit.period + 1)
        self._window = CallWindow(span_s=self._policy.window_s)
        self._failures_in_row = 0
        self._trials_out = self._trials_good = self._trials_bad = 0

    def _trials_open(self) -> int:
        return self._policy.half_open_calls - self._trials_out - self._trials_good - self._trials_bad

    def _trial(self) -> Permit | None:
        if self._trials_open() <= 0:
            return None
        self._trials_out += 1
        return self._permit
