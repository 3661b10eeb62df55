"""What the attempts of one call add up to: the outcome, which never calls failed what may have happened."""

from typing import Literal, TypeAlias, assert_never

from pipeline.outbound.attempt import Answered, AttemptResult, NotAnswered
from pipeline.outbound.outcome import (
    HttpError,
    Ok,
    Outcome,
    Refused,
    RejectedByBreaker,
    RejectedByBudget,
    RejectedByBulkhead,
    Reset,
    Timeout,
    Unknown,
)
from pipeline.outbound.retry import ambiguous, transient

_Cause: TypeAlias = Literal["timeout", "reset", "protocol", "oversized"]


class Course:
    """The attempts so far, and what they leave open."""

    __slots__ = ("_last", "_open", "_safe", "attempts")

    def __init__(self, *, safe: bool) -> None:
        self._safe = safe
        self._last: AttemptResult | None = None
        self._open: NotAnswered | None = None  # the latest attempt that may have had an unreported effect
        self.attempts = 0

    def add(self, result: AttemptResult) -> None:
        """Take in the result of one more attempt."""
        self.attempts += 1
        self._last = result
        if ambiguous(result, safe=self._safe):
            assert isinstance(result, NotAnswered)
            self._open = result

    def not_begun(self, why: Literal["full", "late"], *, elapsed_s: float) -> Outcome:
        """Return the outcome of a call that never got a place."""
        if why == "full":
            return RejectedByBulkhead(attempts=0, elapsed_s=elapsed_s)
        return Timeout(attempts=0, elapsed_s=elapsed_s, phase="queue")

    def ended(self, *, elapsed_s: float) -> Outcome:
        """Return the outcome where the last attempt is the last word."""
        last, attempts = self._last, self.attempts
        assert last is not None
        if self._open is not None and transient(last):
            return self._unknown(elapsed_s)
        match last:
            case Answered(status=status) if status < 300:
                return Ok(attempts=attempts, elapsed_s=elapsed_s, status=status)
            case Answered(status=status, retry_after_s=wait):
                return HttpError(attempts=attempts, elapsed_s=elapsed_s, status=status, retry_after_s=wait)
            case NotAnswered(kind="timeout", sent=sent):
                return Timeout(attempts=attempts, elapsed_s=elapsed_s, phase="response" if sent else "connect")
            case NotAnswered(kind="refused"):
                return Refused(attempts=attempts, elapsed_s=elapsed_s)
            case NotAnswered():
                return Reset(attempts=attempts, elapsed_s=elapsed_s)
            case _:
                assert_never(last)

    def stopped_by_breaker(self, *, elapsed_s: float) -> Outcome:
        """Return the outcome where the circuit forbids the next attempt."""
        if self._open is not None:
            return self._unknown(elapsed_s)
        if self._last is not None:
            return self.ended(elapsed_s=elapsed_s)
        return RejectedByBreaker(attempts=0, elapsed_s=elapsed_s)

    def stopped_by_budget(self, *, elapsed_s: float) -> Outcome:
        """Return the outcome where there is no retry left to spend."""
        if self._open is not None:
            return self._unknown(elapsed_s)
        last = self._last
        status = last.status if last is not None else None
        wait = last.retry_after_s if isinstance(last, Answered) else None
        return RejectedByBudget(attempts=self.attempts, elapsed_s=elapsed_s, status=status, retry_after_s=wait)

    def _unknown(self, elapsed_s: float) -> Unknown:
        left = self._open
        assert left is not None
        cause: _Cause = "reset" if left.kind == "refused" else left.kind
        wait = self._last.retry_after_s if isinstance(self._last, Answered) else None
        return Unknown(attempts=self.attempts, elapsed_s=elapsed_s, cause=cause, status=left.status, retry_after_s=wait)
