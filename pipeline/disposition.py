"""What becomes of a record after a call: delivered, parked, or held for another round."""

from collections.abc import Callable
from typing import TypeAlias, assert_never

import msgspec

from pipeline.outbound.backoff import FullJitter
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
from pipeline.outbound.retry import transient_status


class RoundsPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a record is taken up again. A round that ends while the destination is sick does not count."""

    max_rounds: int = 8
    pause: FullJitter = FullJitter(base_s=0.5, cap_s=10.0)
    longest_wait_s: float = 300.0  # who is asked to wait longer parks the record


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The effect has happened."""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """Refused for good, or the rounds ran out."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Again, not before so many seconds; `counted` where this was one of the rounds."""

    delay_s: float
    counted: bool


Disposition: TypeAlias = Delivered | Parked | Held


class Disposer:
    """Applies the policy; randomness is handed in."""

    def __init__(self, policy: RoundsPolicy, draw: Callable[[], float]) -> None:
        self._policy = policy
        self._draw = draw

    def dispose(self, outcome: Outcome, *, rounds: int, well: bool) -> Disposition:
        """Return what becomes of a record after so many counted rounds; `well`: the circuit is closed."""
        match outcome:
            case Ok():
                return Delivered()
            case HttpError(status=status, retry_after_s=wait):
                return self._again(rounds, well=well, wait_s=wait) if transient_status(status) else Parked()
            case RejectedByBudget(retry_after_s=wait) | Unknown(retry_after_s=wait):
                return self._again(rounds, well=well, wait_s=wait)
            case Timeout() | Refused() | Reset():
                return self._again(rounds, well=well, wait_s=None)
            case RejectedByBreaker() | RejectedByBulkhead():
                return Held(delay_s=0.0, counted=False)
            case _:
                assert_never(outcome)

    def _again(self, rounds: int, *, well: bool, wait_s: float | None) -> Disposition:
        policy = self._policy
        if (well and rounds + 1 >= policy.max_rounds) or (wait_s or 0.0) > policy.longest_wait_s:
            return Parked()
        return Held(delay_s=(wait_s or 0.0) + policy.pause.delay(rounds + 1, self._draw), counted=well)
