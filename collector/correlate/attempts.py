"""Attempts of the same request, linked by idempotency key or request ID across connections."""

from collections import OrderedDict
from typing import Final

from collector.correlate.pending import Pending, Told

_WINDOW_NS: Final = 60_000_000_000
_LIMIT: Final = 65_536

Key = tuple[int, int, str, str, str | None, str, str | None]


class AttemptTable:
    """The latest exchange of each client process under each key, for 60 s after it began."""

    def __init__(self) -> None:
        self._latest: OrderedDict[Key, Told] = OrderedDict()

    def begin(self, pending: Pending, exchange_id: str, path: str, host: str | None) -> None:
        """Number the attempt, and link it to the one before."""
        identifiers = pending.head.identifiers
        kind, value = "key", identifiers.idempotency_key
        if value is None:
            kind, value = "request", identifiers.request_id
        if value is None:
            return
        end, begun = pending.end, pending.begun_at
        key = (end.pid, end.started_ns, kind, value, pending.head.method, path, host)
        before = self._latest.pop(key, None)
        if before is not None and begun - before.begun_ns <= _WINDOW_NS:
            pending.attempt = before.attempt + 1
            pending.retry_of = before
        self._latest[key] = Told(exchange_id, pending.attempt, begun)
        pending.told = self._latest[key]
        if len(self._latest) > _LIMIT:
            self._latest.popitem(last=False)

    def expire(self, now_ns: int) -> None:
        """Forget what can no longer be linked to."""
        while self._latest:
            key, oldest = next(iter(self._latest.items()))
            if now_ns - oldest.begun_ns <= _WINDOW_NS:
                return
            del self._latest[key]
