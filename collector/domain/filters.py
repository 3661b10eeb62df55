"""The filter grammar that the command line, REST, the feed and the page share.

filter  = term *(" " term)            all terms must hold
term    = field operator value *("," value)    any of the values
operator: = != > >= < <= ; values of `=` and `!=` may hold `*`; durations end in us, ms or s
"""

import difflib
import fnmatch
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from collector.errors import UsageProblem

_TERM: Final = re.compile(r"([a-z_]+)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "": 1.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|)")

_TEXT: Final = {
    "service": "service", "route": "route", "outcome": "outcome", "severity": "severity", "trace_id": "trace_id",
    "peer": "peer_ip", "local": "local_ip", "method": "method", "host": "host", "role": "role", "kind": None,
    "target": "target", "comm": "comm", "request_id": "request_id", "idempotency_key": "idempotency_key",
    "protocol": "protocol", "cgroup": "cgroup", "retry_reason": "retry_reason",
}  # fmt: skip
_NUMBERS: Final = {
    "status": "status_code", "pid": "pid", "attempt": "attempt", "retransmits": "retransmits",
    "bytes_sent": "bytes_sent", "bytes_received": "bytes_received", "port": "peer_port", "local_port": "local_port",
}  # fmt: skip
_DURATIONS: Final = {
    "latency": "elapsed_ms", "wait": "wait_ms", "read_delay": "read_delay_ms", "connect": "connect_ms",
    "send": "send_ms", "receive": "receive_ms",
}  # fmt: skip
FIELDS: Final = tuple(sorted({*_TEXT, *_NUMBERS, *_DURATIONS}))
_CHOICES: Final = {
    "outcome": (
        "ok", "http_error", "timeout", "reset", "refused", "closed_by_peer", "closed_by_local", "truncated", "tunnel",
        "gap", "null",
    ),
    "severity": ("error", "warning", "info"),
    "role": ("client", "server"),
    "kind": ("exchange", "connection"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text field equals (or not) one of some patterns; "null" stands for what is not known."""

    field: str
    negated: bool
    patterns: tuple[str, ...]

    def matches(self, event: Any) -> bool:
        """Tell whether the event fits."""
        name = _TEXT[self.field]
        value = type(event).__name__.lower() if name is None else getattr(event, name, None)
        text = "null" if value is None else str(value)
        found = any(fnmatch.fnmatchcase(text, pattern) for pattern in self.patterns)
        return found is not self.negated


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number (or a duration in milliseconds) compares to a value; an unknown number fits only `!=`."""

    attribute: str
    sign: str
    values: tuple[float, ...]

    def matches(self, event: Any) -> bool:
        """Tell whether the event fits."""
        value = getattr(event, self.attribute, None)
        if self.sign in ("=", "!="):
            return (value in self.values) is (self.sign == "=")
        return value is not None and _COMPARE[self.sign](value, self.values[0])


Term = Text | Number


def parse(words: Sequence[str]) -> tuple[Term, ...]:
    """Parse filter words. Raises UsageProblem that points at the column and names the nearest valid choice."""
    whole = " ".join(words)
    terms: list[Term] = []
    column = 0
    for word in whole.split(" "):
        if word:
            terms.append(_term(word, whole, column))
        column += len(word) + 1
    return tuple(terms)


def predicate(terms: Sequence[Term]) -> Callable[[Any], bool] | None:
    """Return what tells whether an event fits all terms; None where there are none."""
    if not terms:
        return None
    return lambda event: all(term.matches(event) for term in terms)


def _fail(whole: str, column: int, message: str) -> UsageProblem:
    return UsageProblem(f"filter: {message}\n  {whole}\n  {' ' * column}^")


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
    values = text.split(",")
    if not all(values):
        raise _fail(whole, at, "a value is missing")
    if name in _TEXT:
        return _text(name, sign, values, whole, at)
    return _number(name, sign, values, whole, at)


def _text(name: str, sign: str, values: list[str], whole: str, at: int) -> Text:
    if sign not in ("=", "!="):
        raise _fail(whole, at - len(sign), f"{name} is text: use = or !=")
    for value in values:
        choices = _CHOICES.get(name)
        if choices and "*" not in value and value not in choices:
            raise _fail(whole, at, f"{name} is never {value!r}{_near(value, choices)}")
    return Text(field=name, negated=sign == "!=", patterns=tuple(values))


def _number(name: str, sign: str, values: list[str], whole: str, at: int) -> Number:
    if len(values) > 1 and sign not in ("=", "!="):
        raise _fail(whole, at, f"{sign} takes one value")
    numbers = []
    for value in values:
        found = _DURATION.fullmatch(value)
        if found is None or (found[2] and name not in _DURATIONS):
            wanted = "a duration, as 250ms" if name in _DURATIONS else "a number"
            raise _fail(whole, at, f"{value!r} is not {wanted}")
        numbers.append(float(found[1]) * _UNITS[found[2]])
    return Number(attribute=_NUMBERS.get(name) or _DURATIONS[name], sign=sign, values=tuple(numbers))
