"""When events began and ended, as wall-clock nanoseconds, from their RFC 3339 text."""

import functools
from datetime import UTC, datetime
from typing import Final

from collector.domain.events import Connection, Exchange

_MS: Final = 1_000_000


@functools.lru_cache(maxsize=256)
def _second(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * 1_000_000_000


def began_ns(event: Exchange | Connection) -> int:
    """Return when an event began. Its time is as collector.correlate.text writes it: UTC, nine digits."""
    text = event.started_at
    return _second(text[:19]) + int(text[20:29])


def ended_ns(event: Exchange | Connection, began: int) -> int:
    """Return when an event ended, `began` where it had not."""
    elapsed = event.elapsed_ms
    return began if elapsed is None else began + int(elapsed * _MS)


def shown(wall_ns: int) -> str:
    """Return RFC 3339 in UTC with milliseconds."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // _MS:03d}Z"


def is_attempt(event: Connection) -> bool:
    """Tell whether a connection is an attempt of a client that found no one: refused, or given up before it stood."""
    return event.role == "client" and event.outcome in ("refused", "closed_by_local")
