"""How a call can end: a closed union, so that whoever handles outcomes handles all of them."""

from typing import Literal, TypeAlias

import msgspec


class _Ended(msgspec.Struct, frozen=True, kw_only=True):
    attempts: int  # that were begun on the wire
    elapsed_s: float


class Ok(_Ended, frozen=True, kw_only=True, tag="ok"):
    """A complete response with a status of 2xx: what was asked is done."""

    status: int


class HttpError(_Ended, frozen=True, kw_only=True, tag="http_error"):
    """A complete response with any other status; a redirect is not followed, and nothing is done yet."""

    status: int
    retry_after_s: float | None = None


class Timeout(_Ended, frozen=True, kw_only=True, tag="timeout"):
    """Time ran out, and no effect can have come of it: nothing was sent, or the method is safe."""

    phase: Literal["queue", "connect", "response"]


class Refused(_Ended, frozen=True, kw_only=True, tag="refused"):
    """No connection could be made."""


class Reset(_Ended, frozen=True, kw_only=True, tag="reset"):
    """The connection broke, and no effect can have come of it."""


class RejectedByBreaker(_Ended, frozen=True, kw_only=True, tag="rejected_by_breaker"):
    """The circuit is not closed; nothing (more) was sent."""


class RejectedByBudget(_Ended, frozen=True, kw_only=True, tag="rejected_by_budget"):
    """A retry was due, and the budget had none; the earlier attempt certainly had no effect."""

    status: int | None = None
    retry_after_s: float | None = None


class RejectedByBulkhead(_Ended, frozen=True, kw_only=True, tag="rejected_by_bulkhead"):
    """All places and the queue were full; nothing was sent."""


class Unknown(_Ended, frozen=True, kw_only=True, tag="unknown"):
    """Bytes were sent and no whole answer came: the effect may have happened, or not."""

    cause: Literal["timeout", "reset", "protocol", "oversized"]
    status: int | None = None  # where a head was read
    retry_after_s: float | None = None  # asked for by a later answer that left the question open


Outcome: TypeAlias = (
    Ok | HttpError | Timeout | Refused | Reset | RejectedByBreaker | RejectedByBudget | RejectedByBulkhead | Unknown
)


def name(outcome: Outcome) -> str:
    """Return the outcome's name, as metrics and logs write it."""
    return str(outcome.__struct_config__.tag)
