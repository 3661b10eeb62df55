"""The filter grammar that the command line, REST, the feed and the page share.

filter   = term *(space term)                            all terms must hold
term     = field operator value *("," value)             any of the values
operator = "=" | "!=" | ">" | ">=" | "<" | "<="          order only for numbers and durations, with one value
value    = text with "*" for anything, in double quotes where it holds spaces or commas | number | duration | "null"

A duration is a number with us, ms or s (without: ms). `null` is what is not known. Nothing else is special.
"""

import difflib
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from collector.errors import UsageProblem

_WORD: Final = re.compile(r'(?:"[^"]*"|[^\s"])+')
_TERM: Final = re.compile(r"([a-z_]+)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_VALUE: Final = re.compile(r'(?:"[^"]*"|[^,"])*')
_NUMBER: Final = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?)(us|ms|s|)")
_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "": 1.0}
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip

_TEXT: Final = {
    "service": "service", "route": "route", "outcome": "outcome", "severity": "severity", "trace_id": "trace_id",
    "peer": "peer_ip", "local": "local_ip", "method": "method", "host": "host", "role": "role", "kind": None,
    "target": "target", "comm": "comm", "request_id": "request_id", "idempotency_key": "idempotency_key",
    "protocol": "protocol", "cgroup": "cgroup", "retry_reason": "retry_reason", "errno": "errno",
}  # fmt: skip
_NUMBERS: Final = {
    "status": ("status_code",), "pid": ("pid",), "attempt": ("attempt",), "retransmits": ("retransmits",),
    "bytes_sent": ("bytes_sent",), "bytes_received": ("bytes_received",), "port": ("local_port", "peer_port"),
    "local_port": ("local_port",), "peer_port": ("peer_port",), "connection_id": ("connection_id",),
    "exchange_no": ("exchange_no",),
}  # fmt: skip
_DURATIONS: Final = {
    "latency": ("elapsed_ms",), "wait": ("wait_ms",), "read_delay": ("read_delay_ms",), "connect": ("connect_ms",),
    "send": ("send_ms",), "receive": ("receive_ms",),
}  # fmt: skip
TEXT_FIELDS: Final = tuple(_TEXT)
NUMBER_FIELDS: Final = tuple(_NUMBERS)
DURATION_FIELDS: Final = tuple(_DURATIONS)
FIELDS: Final = tuple(sorted({*_TEXT, *_NUMBERS, *_DURATIONS}))
CHOICES: Final = {
    "outcome": (
        "ok", "http_error", "timeout", "reset", "refused", "closed_by_peer", "closed_by_local", "truncated", "tunnel",
        "gap", "null",
    ),
    "severity": ("error", "warning", "info"),
    "role": ("client", "server", "null"),
    "kind": ("exchange", "connection"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text field equals (or not) one of some patterns; "null" stands for what is not known."""

    attribute: str | None  # None: the kind of the event
    negated: bool
    patterns: tuple[str, ...]

    def matches(self, event: Any) -> bool:
        """Tell whether the event fits."""
        name = self.attribute
        value = type(event).__name__.lower() if name is None else getattr(event, name, None)
        text = "null" if value is None else str(value)
        for pattern in self.patterns:
            if text == pattern or ("*" in pattern and _fits(pattern, text)):
                return not self.negated
        return self.negated


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One of some attributes (durations in milliseconds) compares to a value. Unknown fits `null` and `!=` alone."""

    attributes: tuple[str, ...]
    sign: str
    values: tuple[float | None, ...]

    def matches(self, event: Any) -> bool:
        """Tell whether the event fits."""
        compare = _COMPARE.get(self.sign)
        for name in self.attributes:
            value = getattr(event, name, None)
            if value in self.values if compare is None else value is not None and compare(value, self.values[0]):
                return self.sign != "!="
        return self.sign == "!="


Term = Text | Number


def _fits(pattern: str, text: str) -> bool:
    """Tell whether a pattern with `*` covers the text, in linear time: patterns come from clients, too."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    *middle, last = rest
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def parse(words: Sequence[str]) -> tuple[Term, ...]:
    """Parse filter words. Raises UsageProblem that points at the column and names the nearest valid choice."""
    whole = " ".join(words)
    terms: list[Term] = []
    column = 0
    while column < len(whole):
        if whole[column].isspace():
            column += 1
            continue
        word = _WORD.match(whole, column)
        at = word.end() if word else column
        if at < len(whole) and not whole[at].isspace():
            raise _fail(whole, at, 'a " has no partner')
        terms.append(_term(whole[column:at], whole, column))
        column = at
    return tuple(terms)


def predicate(terms: Sequence[Term]) -> Callable[[Any], bool] | None:
    """Return what tells whether an event fits all terms; None where there are none."""
    if not terms:
        return None
    first, *rest = [term.matches for term in terms]
    if not rest:
        return first
    return lambda event: first(event) and all(matches(event) for matches in rest)


def _fail(whole: str, column: int, message: str) -> UsageProblem:
    shown = "".join(letter if letter.isprintable() else " " for letter in whole)  # so that the caret stands right
    return UsageProblem(f"filter: {message}\n  {shown}\n  {' ' * column}^")


def _near(word: str, choices: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, choices, n=1, cutoff=0.4)
    return f"; did you mean {found[0]}?" if found else f"; one of {', '.join(choices)}"


def _term(word: str, whole: str, column: int) -> Term:
    parts = _TERM.fullmatch(word)
    if parts is None:
        raise _fail(whole, column, f"{word!r} is no term: write field=value, 'status>=500' or 'latency>250ms'")
    name, sign, text = parts.groups()
    if name not in FIELDS:
        raise _fail(whole, column, f"unknown field {name!r}{_near(name, FIELDS)}")
    at = column + len(name) + len(sign)
    if sign not in ("=", "!=") and name in _TEXT:
        raise _fail(whole, column + len(name), f"{name} is text: use = or !=")
    values = tuple(_values(text, whole, at))
    if name in _TEXT:
        patterns = tuple(_pattern(name, value, whole, where) for value, where in values)
        return Text(attribute=_TEXT[name], negated=sign == "!=", patterns=patterns)
    if len(values) > 1 and sign not in ("=", "!="):
        raise _fail(whole, values[1][1], f"{sign} takes one value")
    numbers = tuple(_number(name, sign, value, whole, where) for value, where in values)
    return Number(attributes=_NUMBERS.get(name) or _DURATIONS[name], sign=sign, values=numbers)


def _values(text: str, whole: str, column: int) -> Iterator[tuple[str, int]]:
    """Yield each value without its quotes, and its column."""
    at = 0
    while at <= len(text):
        found = _VALUE.match(text, at)
        raw = found[0] if found else ""
        if not raw:
            raise _fail(whole, column + at, 'a value is missing; an empty text is ""')
        yield raw.replace('"', ""), column + at
        at += len(raw) + 1


def _pattern(name: str, value: str, whole: str, column: int) -> str:
    choices = CHOICES.get(name)
    if choices and "*" not in value and value not in choices:
        raise _fail(whole, column, f"{name} is never {value!r}{_near(value, choices)}")
    return value


def _number(name: str, sign: str, value: str, whole: str, column: int) -> float | None:
    if value == "null" and sign in ("=", "!="):
        return None
    found = _NUMBER.fullmatch(value)
    if found is None or (found[2] and name not in _DURATIONS):
        wanted = "a duration, as 250ms" if name in _DURATIONS else "a number"
        raise _fail(whole, column, f"{value!r} is not {wanted}")
    if name not in _DURATIONS and "." not in found[1]:
        return int(found[1])  # exact: a socket's cookie has 64 bits
    return float(found[1]) * _UNITS[found[2]]
