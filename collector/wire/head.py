"""One HTTP/1.x head: start line, and of the header section only what is allowed to leave this module.

RFC 9112 sections 2-6. Values of fields that are not wanted are never kept: not in a head, not in a memo.
"""

import re
from typing import Final, NamedTuple

from collector.wire.message import NOTHING, Head, Identifiers
from collector.wire.trace_context import parse_traceparent, read_identifiers

HEAD_LIMIT: Final = 8192

_IDENTIFIERS: Final = frozenset(
    {
        b"traceparent", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-trace-id", b"x-request-id", b"x-correlation-id",
        b"idempotency-key",
    }
)  # fmt: skip
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})
# Fields without secrets whose lines recur: a memo of whole lines may hold them.
_HARMLESS: Final = frozenset(
    {
        b"accept", b"accept-encoding", b"accept-language", b"user-agent", b"connection", b"content-type", b"server",
        b"date", b"cache-control", b"vary", b"keep-alive", b"content-encoding", b"access-control-allow-origin",
    }
)  # fmt: skip
_MEMO_LIMIT: Final = 4096
_RESPONSE_LIMIT: Final = 1024
_SECTION_LIMIT: Final = 1024
_TRACE_LINE: Final = re.compile(rb"\ntraceparent: ([^\n]{55})\r\n")  # as most libraries write it
_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_METHOD_LIMIT: Final = 32
_DIGITS: Final = frozenset(b"0123456789")


def may_be_request(data: bytes) -> bool:
    """Tell whether bytes can be the beginning of a request line."""
    space = data.find(b" ", 0, _METHOD_LIMIT + 1)
    if space < 0:
        return len(data) <= _METHOD_LIMIT and _TOKEN.issuperset(data.rstrip(b"\r\n"))
    if not space or not _TOKEN.issuperset(data[:space]):
        return False
    end = data.find(b"\n")
    return end < 0 or _request_line(data[:end].rstrip(b"\r")) is not None


def may_be_response(data: bytes) -> bool:
    """Tell whether bytes can be the beginning of a status line."""
    if len(data) < 7:
        return b"HTTP/1.".startswith(data)
    if not data.startswith(b"HTTP/1."):
        return False
    return len(data) < 12 or _status_line(data[:12]) is not None


def is_request_line(data: bytes) -> bool:
    """Tell whether bytes begin with a whole, plausible request line."""
    end = data.find(b"\n")
    return end > 0 and _request_line(data[:end].rstrip(b"\r")) is not None


def is_status_line(data: bytes) -> bool:
    """Tell whether bytes begin with a plausible status line, up to its code at least."""
    return _status_line(data[:12]) is not None


def _request_line(line: bytes) -> tuple[str, bytes, str] | None:
    parts = line.split(b" ")
    if len(parts) != 3 or not parts[1] or not parts[0] or len(parts[0]) > _METHOD_LIMIT:
        return None
    version = parts[2]
    if len(version) != 8 or not version.startswith(b"HTTP/1.") or version[7] not in _DIGITS:
        return None
    if not _TOKEN.issuperset(parts[0]):
        return None
    return parts[0].decode(), parts[1], version[5:].decode()


def _status_line(line: bytes) -> tuple[int, str] | None:
    if (
        len(line) < 12
        or not line.startswith(b"HTTP/1.")
        or line[7] not in _DIGITS
        or line[8] != 0x20
        or not _DIGITS.issuperset(line[9:12])
    ):
        return None
    if len(line) > 12 and line[12] != 0x20:
        return None
    status = int(line[9:12])
    return (status, line[5:8].decode()) if 100 <= status <= 999 else None


def head_end(data: bytes, start: int = 0) -> int:
    """Return where the header section's empty line ends, or -1. A bare LF ends a line too (RFC 9112, 2.2)."""
    with_cr = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, with_cr + 1 if with_cr >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return with_cr + 3 if with_cr >= 0 else -1


class _Section(NamedTuple):
    """What a header section says that is the same for every message that has it."""

    host: str | None
    length: int
    chunked: bool
    unknown_coding: bool
    invalid: tuple[str, ...]


class HeadParser:
    """Parses heads; remembers what recurs, so that a known line, or a known section, costs one look-up."""

    def __init__(self) -> None:
        self._memo: dict[bytes, tuple[bytes, bytes] | None] = {}
        self._responses: dict[bytes, Head] = {}  # whole heads of which every line may be kept
        self._sections: dict[bytes, _Section] = {}  # of requests, without their traceparent; every line may be kept

    def request(self, raw: bytes, *, truncated: bool = False) -> Head | None:
        """Parse a request head (up to and with its empty line, or cut). None where it is no request."""
        if truncated:
            return self._request(raw, truncated=True)
        start = raw.find(b"\n") + 1
        trace = _TRACE_LINE.search(raw, start - 1)
        rest = raw[start:] if trace is None else raw[start : trace.start() + 1] + raw[trace.end() :]
        section = self._sections.get(rest)
        if section is None:
            head = self._request(raw, truncated=False)
            if head is not None:
                self._remember(rest, head)
            return head
        line = _request_line(raw[: start - 1].rstrip(b"\r"))
        if line is None:
            return None
        identifiers = NOTHING
        if trace is not None:
            ids = parse_traceparent(trace[1])
            if ids is None:
                return self._request(raw, truncated=False)
            identifiers = Identifiers(ids[0], ids[1], "traceparent")
        return Head(line[0], line[1], 0, line[2], *section[:4], False, identifiers, section.invalid)  # noqa: FBT003

    def _remember(self, rest: bytes, head: Head) -> None:
        """Keep a section of which every line may be kept: no secret, no identifier, no line folded into another."""
        if b"\n " in rest or b"\n\t" in rest or rest.startswith((b" ", b"\t")):
            return
        if not all(line in self._memo for line in rest.split(b"\n")[:-2]):
            return
        if len(self._sections) >= _SECTION_LIMIT:
            self._sections.clear()
        self._sections[rest] = _Section(head.host, head.length, head.chunked, head.unknown_coding, head.invalid)

    def _request(self, raw: bytes, *, truncated: bool) -> Head | None:
        lines = _lines(raw, truncated=truncated)
        line = _request_line(lines[0].rstrip(b"\r")) if lines else None
        if line is None:
            return None
        head = Head(method=line[0], target=line[1], version=line[2], truncated=truncated)
        self._fields(head, lines, with_identifiers=True)
        return head

    def response(self, raw: bytes, *, truncated: bool = False) -> Head | None:
        """Parse a response head. None where it is no response. Heads that recur are shared: do not change them."""
        known = self._responses.get(raw)
        if known is not None and not truncated:
            return known
        lines = _lines(raw, truncated=truncated)
        line = _status_line(lines[0].rstrip(b"\r")) if lines else None
        if line is None:
            return None
        head = Head(status=line[0], version=line[1], truncated=truncated)
        self._fields(head, lines, with_identifiers=False)
        if not truncated and all(line in self._memo for line in lines[1:-2]):
            if len(self._responses) >= _RESPONSE_LIMIT:
                self._responses.clear()
            self._responses[raw] = head
        return head

    def _fields(self, head: Head, lines: list[bytes], *, with_identifiers: bool) -> None:
        memo = self._memo
        identifiers: dict[bytes, list[bytes]] | None = None
        lengths: list[bytes] | None = None
        codings: list[bytes] | None = None
        hosts = 0
        for line in lines[1:]:
            try:
                known = memo[line]
            except KeyError:
                known = self._read(line)
            if known is None:
                continue
            name, value = known
            if name == b"host":
                hosts += 1
                head.host = value.decode("latin-1")
            elif name == b"content-length":
                lengths = [*(lengths or ()), value]
            elif name == b"transfer-encoding":
                codings = [*(codings or ()), value]
            elif with_identifiers:
                if identifiers is None:
                    identifiers = {}
                identifiers.setdefault(name, []).append(value)
        if lengths or codings:
            _frame(head, lengths or [], codings or [])
        if hosts > 1:
            head.host = None
            head.invalid = (*head.invalid, "host")
        if identifiers:
            head.identifiers = _identify(identifiers)

    def _read(self, line: bytes) -> tuple[bytes, bytes] | None:
        """Read one line that is not in the memo; put it there if its value may be kept."""
        colon = line.find(b":")
        name = line[:colon].lower() if colon > 0 else b""
        if name in _FRAMING:
            known = (name, line[colon + 1 :].strip(b" \t\r"))
            if len(self._memo) < _MEMO_LIMIT:
                self._memo[line] = known
            return known
        if name in _IDENTIFIERS:
            return name, line[colon + 1 :].strip(b" \t\r")
        if name in _HARMLESS:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[line] = None
        return None


def _lines(raw: bytes, *, truncated: bool) -> list[bytes]:
    if b"\n " in raw or b"\n\t" in raw:
        raw = _unfold(raw)
    lines = raw.split(b"\n")
    if truncated:
        lines.pop()  # the last line is cut: nothing of it is certain
    return lines


def _unfold(raw: bytes) -> bytes:
    """Join folded lines with one space (RFC 9112, 5.2)."""
    whole: list[bytes] = []
    for line in raw.split(b"\n"):
        if whole and line[:1] in (b" ", b"\t"):
            whole[-1] = whole[-1].rstrip(b" \t\r") + b" " + line.strip(b" \t\r")
        else:
            whole.append(line)
    return b"\n".join(whole)


def _identify(fields: dict[bytes, list[bytes]]) -> Identifiers:
    if len(fields) == 1 and (values := fields.get(b"traceparent")) and len(values) == 1:
        ids = parse_traceparent(values[0])  # the common case, without the rest of the machinery
        if ids is not None:
            return Identifiers(ids[0], ids[1], "traceparent")
    return read_identifiers(fields)


def _frame(head: Head, lengths: list[bytes], codings: list[bytes]) -> None:
    """RFC 9112 section 6.3: Transfer-Encoding wins; lengths that agree count once."""
    if codings:
        names = [name.strip().lower() for value in codings for name in value.split(b",") if name.strip()]
        if names and names[-1] == b"chunked" and names.count(b"chunked") == 1:
            head.chunked = True
        else:
            head.unknown_coding = True
            head.invalid = (*head.invalid, "transfer-encoding")
        if lengths:
            head.invalid = (*head.invalid, "content-length")
        return
    values = {part.strip() for value in lengths for part in value.split(b",")}
    (value, *others) = values
    if others or not value or not _DIGITS.issuperset(value) or len(value) > 18:
        head.length = -2
        head.invalid = (*head.invalid, "content-length")
    else:
        head.length = int(value)
