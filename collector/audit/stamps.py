"""Times as the archive writes them: RFC 3339 in UTC, and whole hours since 1970."""

import re
from datetime import UTC, datetime
from typing import Final

HOUR_S: Final = 3600
_FRACTION: Final = re.compile(r"[.,](\d+)")


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


def nanoseconds(text: str) -> int:
    """Return nanoseconds since 1970 of a time as events write it. Raises ValueError."""
    seconds, _, rest = normalised(text).rstrip("Z").partition(".")
    return int(datetime.fromisoformat(seconds).replace(tzinfo=UTC).timestamp()) * 1_000_000_000 + int(rest)


def checked_hour(text: str) -> str:
    """Return `2026-11-21T07` as it is; it may become part of a name. Raises ValueError where it is no hour."""
    if hour_text(hour_number(text)) != text:
        raise ValueError(f"{text!r} is no hour")
    return text


def normalised(text: str) -> str:
    """Return any ISO 8601 time (a date alone, an hour, an offset; none means UTC) as archived events write theirs.

    Equal forms compare as text. Raises ValueError.
    """
    fraction = _FRACTION.search(text)
    at = datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    digits = (fraction[1] if fraction else "")[:9].ljust(9, "0")
    return f"{at:%Y-%m-%dT%H:%M:%S}.{digits}Z"
