"""Times as the archive writes them: RFC 3339 in UTC, and whole hours since 1970."""

from datetime import UTC, datetime
from typing import Final

HOUR_S: Final = 3600


def rfc3339(wall_ns: int) -> str:
    """Return nanoseconds since 1970 as text."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def hour_text(hour: int) -> str:
    """Return an hour as `2026-11-21T07`."""
    return f"{datetime.fromtimestamp(hour * HOUR_S, UTC):%Y-%m-%dT%H}"


def hour_number(text: str) -> int:
    """Return the hour in which an RFC 3339 time in UTC lies (or of `2026-11-21T07`). Raises ValueError."""
    return int(datetime.strptime(text[:13], "%Y-%m-%dT%H").replace(tzinfo=UTC).timestamp()) // HOUR_S


def checked_hour(text: str) -> str:
    """Return `2026-11-21T07` as it is; it may become part of a name. Raises ValueError where it is no hour."""
    if hour_text(hour_number(text)) != text:
        raise ValueError(f"{text!r} is no hour")
    return text
