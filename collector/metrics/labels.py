"""Label values: closed lists, and open ones with a bound; what does not fit becomes `_other`, and is counted."""

from collections.abc import Iterable
from typing import Final

OTHER: Final = "_other"
UNKNOWN: Final = "_unknown"
OPEN: Final = "open"  # outcome of an exchange that had not ended, or whose end cannot be known
NO_STATUS: Final = "none"
VALUE_LIMIT: Final = 256  # characters

# RFC 9110 section 9.3, and PATCH (RFC 5789)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})


def method(sent: str | None) -> str:
    """Return the method, if it is a known one."""
    if sent is None:
        return UNKNOWN
    return sent if sent in METHODS else OTHER


def status_class(code: int | None) -> str:
    """Return "1xx" to "5xx", "none" where no final response was seen."""
    if code is None:
        return NO_STATUS
    return f"{code // 100}xx" if 100 <= code < 600 else OTHER


def value(text: str | None) -> str:
    """Return a text as a label's value: short, and of characters that Prometheus and JSON can carry."""
    if text is None:
        return UNKNOWN
    text = text[:VALUE_LIMIT]
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


class Bounded:
    """The values of one open label: the first `limit` of them, `_other` beyond."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: set[str] = set()

    def admit(self, text: str | None) -> str:
        """Return the text as a label's value, or `_other`."""
        if text is None:
            return UNKNOWN
        wanted = value(text)
        if wanted not in self._values and wanted != OTHER:
            if len(self._values) >= self._limit:
                return OTHER
            self._values.add(wanted)
        return wanted

    def keep(self, values: Iterable[str]) -> None:
        """Forget all other values, so that new ones find room."""
        self._values.intersection_update(values)

    def __len__(self) -> int:
        return len(self._values)
