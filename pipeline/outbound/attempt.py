"""What one attempt on the wire can come to."""

from typing import Literal, TypeAlias

import msgspec


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A whole response."""

    status: int
    retry_after_s: float | None = None


class NotAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """No whole response; `sent` tells whether any byte of the request may have left."""

    kind: Literal["timeout", "refused", "reset", "protocol", "oversized"]
    sent: bool
    status: int | None = None


AttemptResult: TypeAlias = Answered | NotAnswered
