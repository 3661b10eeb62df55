"""What the load produces: valid messages with a trace of their own, and poison of every kind."""

import random
from typing import Final

import msgspec

from pipeline.records import Headers

_POISON: Final = ("not_json", "truncated", "schema", "unknown_field", "line_end_in_id", "null", "encoding", "bad_route")


class Produced(msgspec.Struct, frozen=True, kw_only=True):
    """One record to be produced."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    poison: str | None = None


class MessageSource:
    """Makes records; the same seed makes the same ones, but for the time in them."""

    def __init__(self, *, run: str, seed: int, poison_share: float, routes: tuple[str, ...], pad_bytes: int) -> None:
        self._run = run
        self._random = random.Random(seed)  # noqa: S311 - a sequence that can be repeated, no secrets
        self._poison_share = poison_share
        self._routes = routes
        self._pad = "x" * pad_bytes

    def make(self, number: int, *, intended_ns: int) -> Produced:
        """Return the n-th record."""
        source = self._random
        name = f"{self._run}-{number}"
        trace = f"00-{source.getrandbits(128) or 1:032x}-{source.getrandbits(64) or 1:016x}-01"
        headers = (("traceparent", trace.encode()), ("x-request-id", f"r-{name}".encode()))
        if source.random() < self._poison_share:
            kind = source.choice(_POISON)
            key = None if kind == "null" else name.encode()
            return Produced(key=key, value=poison(kind, name), headers=headers, poison=kind)
        value = msgspec.json.encode(
            {
                "id": name,
                "method": "POST",
                "route": source.choice(self._routes),
                "payload": {"intended_ns": intended_ns, "order": number, "pad": self._pad},
            }
        )
        return Produced(key=name.encode(), value=value, headers=headers)


def poison(kind: str, name: str) -> bytes | None:
    """Return a value that nobody can deliver."""
    marked = name.encode()
    values: dict[str, bytes | None] = {
        "not_json": b"\x00\x01 not json " + marked,
        "truncated": b'{"route":"/orders","id":"' + marked,
        "schema": b'{"route":7,"id":"' + marked + b'"}',
        "unknown_field": b'{"route":"/orders","surprise":1,"id":"' + marked + b'"}',
        "line_end_in_id": b'{"route":"/orders","id":"' + marked + b'\\r\\nX-Injected: 1"}',
        "null": None,
        "encoding": ('{"route":"/orders","id":"' + name + '"}').encode("utf-16"),
        "bad_route": b'{"route":"/orders/../admin HTTP/1.1\\r\\n","id":"' + marked + b'"}',
    }
    return values[kind]
