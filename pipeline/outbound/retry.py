"""Whether an attempt is followed by another one, and when."""

from collections.abc import Callable
from typing import Final, assert_never

import msgspec

from pipeline.outbound.attempt import Answered, AttemptResult, NotAnswered
from pipeline.outbound.backoff import FullJitter

_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
WORTHWHILE_S: Final = 0.01  # a retry that could not even connect before the deadline is not begun


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, how soon."""

    max_attempts: int = 3
    backoff: FullJitter = FullJitter(base_s=0.05, cap_s=1.0)
    retry_after_cap_s: float = 2.0  # who is asked to wait longer does not wait here, but gives the place to others


def transient_status(status: int) -> bool:
    """Tell whether a response with this status is worth another attempt."""
    return status in _AGAIN


def transient(result: AttemptResult) -> bool:
    """Tell whether a later attempt may fare better."""
    match result:
        case Answered(status=status):
            return transient_status(status)
        case NotAnswered():
            return True
        case _:
            assert_never(result)


def ambiguous(result: AttemptResult, *, safe: bool) -> bool:
    """Tell whether the attempt may have had an effect that nobody reported."""
    match result:
        case Answered():
            return False
        case NotAnswered(sent=sent):
            return sent and not safe
        case _:
            assert_never(result)


def decide(
    result: AttemptResult, *, attempt: int, policy: RetryPolicy, time_left_s: float, draw: Callable[[], float]
) -> float | None:
    """Return the seconds to wait before the next attempt, or None where there is none.

    Every request carries an idempotency key, so sending one again is safe even after an ambiguous attempt.
    """
    if attempt >= policy.max_attempts or not transient(result):
        return None
    delay = policy.backoff.delay(attempt, draw)
    if isinstance(result, Answered) and result.retry_after_s is not None:
        if result.retry_after_s > policy.retry_after_cap_s:
            return None
        delay += result.retry_after_s  # jitter on top: never sooner than asked, and not all at once
    return delay if delay + WORTHWHILE_S < time_left_s else None
