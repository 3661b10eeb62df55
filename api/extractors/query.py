"""Query strings into types: unknown names, doubles and wrong values are problem documents."""

import re
from collections.abc import Sequence
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from api.errors import bad_parameter
from collector.domain import filters
from collector.errors import UsageProblem, nearest

_AT: Final = re.compile(r" - at `\$\.?(.*)`$")
_LIMIT: Final = 4096  # bytes of a query string
_PAIRS: Final = 64

QueryT = TypeVar("QueryT", bound=msgspec.Struct)
Pairs = Sequence[tuple[str, str]]


def pairs(query_string: bytes) -> Pairs:
    """Return (name, value) of each part, decoded. Raises ApiProblem where it is too long or no UTF-8."""
    if len(query_string) > _LIMIT:
        raise bad_parameter("query", f"longer than {_LIMIT} bytes")
    try:
        return parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_PAIRS,
            encoding="utf-8",
            errors="strict",
        )
    except ValueError as problem:  # UnicodeError, too
        raise bad_parameter("query", f"not readable, or more than {_PAIRS} parts") from problem


def take(found: Pairs, kind: type[QueryT]) -> QueryT:
    """Return the query as a value of its type. Raises ApiProblem."""
    values = dict[str, str]()
    known = {one.encode_name for one in msgspec.structs.fields(kind)}
    for name, value in found:
        if name not in known:
            raise bad_parameter(_shown(name), f"no such parameter{nearest(name, known)}")
        if name in values:
            raise bad_parameter(name, "given twice")
        values[name] = value
    return _convert(values, kind)


def _convert(values: dict[str, str], kind: type[QueryT]) -> QueryT:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as problem:
        place = _AT.search(str(problem))
        raise bad_parameter(place[1] if place else "query", _AT.sub("", str(problem))) from problem


def split(found: Pairs, kind: type[QueryT]) -> tuple[QueryT, Pairs]:
    """Return the named parameters, and the rest: terms of the filter grammar."""
    known = {one.encode_name for one in msgspec.structs.fields(kind)}
    return take([one for one in found if one[0] in known], kind), [one for one in found if one[0] not in known]


def terms(rest: Pairs, text: str | None) -> tuple[tuple[filters.Term, ...], str]:
    """Return the filter and its text: `filter=` and every `field=value` together. Raises ApiProblem."""
    words = sorted(_word(name, value) for name, value in rest)
    whole = " ".join([text, *words] if text else words)
    try:
        return filters.parse([whole]), whole
    except UsageProblem as problem:
        raise bad_parameter("filter", str(problem).removeprefix("filter: ").splitlines()[0]) from problem


def _word(name: str, value: str) -> str:
    """Put a term back together: `status>=500` was cut at its `=`, `latency>250ms` has none."""
    if not value and ("<" in name or ">" in name):
        return name
    if any(letter.isspace() for letter in value) and '"' not in value:
        value = f'"{value}"'
    return f"{name}={value}"


def _shown(name: str) -> str:
    return name if name.isidentifier() and len(name) < 64 else "query"
