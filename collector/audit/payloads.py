"""From the beginning of a body to what may be archived of it: text, the values of telling names replaced by `*`."""

import re
from typing import Final

import msgspec

from collector.domain.audit import Payload
from collector.domain.bodies import Bodies, Body
from collector.domain.events import Event, Exchange

_NAME: Final = (
    r"[\w.-]{0,40}(?:passw|pwd|passphrase|secret|token|api[_-]?key|authori[sz]ation|credential|card|cvv|cvc|iban|ssn|"
    r"session|cookie|private[_-]?key|(?<![a-z])(?:pan|pin|otp)(?![a-z]))[\w.-]{0,40}"
)
_STRING: Final = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'  # also one that was cut off
_KEPT, _VALUE = "(?P<kept>%s)", "(?P<value>%s)"
_PATTERNS: Final = tuple(
    re.compile(_KEPT % kept + _VALUE % value, re.IGNORECASE)
    for kept, value in (
        # JSON in a JSON text: quotes behind as many backslashes
        (
            rf'(?P<slashes>\\+)"{_NAME}(?P=slashes)"\s{{0,9}}:\s{{0,9}}',
            r'(?P=slashes)"(?:[\s\S]*?(?<!\\)(?P=slashes)"|[\s\S]*)|[\[{][\s\S]*|[^\s,}\]"\[{\\]+',
        ),
        (rf'"{_NAME}"\s{{0,9}}:\s{{0,9}}', rf'{_STRING}|[\[{{][\s\S]*|[^\s,}}\]"\[{{]+'),  # JSON; a list takes the rest
        (rf'name="{_NAME}"[^\r\n]*(?:\r?\n[^\r\n]+)*\r?\n\r?\n', r"[^\r\n]+"),  # multipart/form-data
        (rf"<{_NAME}(?:\s[^>]*)?>", "[^<]+"),  # XML
        (rf"(?<![\w.-]){_NAME}=", r'(?!")[^&;\s]+'),  # a form
        (
            rf"(?<![\w.-]){_NAME}\s{{0,9}}[:=]\s{{0,9}}",
            rf'{_STRING}|[^\s"*,&][^\r\n,&]*',
        ),  # a header, a line of settings
        (r"\bBearer\s{1,9}", r"[^\s\",*]+"),
        ("", r"\beyJ[\w-]+\.[\w.-]+"),  # a JSON web token
        ("", r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"),  # a card's number
    )
)
_BINARY: Final = 10  # one character in so many that is none: no text


class PayloadLines:
    """Encodes events as the archive does, with the bodies in front of their own fields."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, event: Event) -> bytes:
        """Return an event's line; its bodies are taken, so ask once."""
        line = self._encode(event)
        if not isinstance(event, Exchange):
            return line
        sent, received = self._bodies.take(event.id)
        parts = [
            b'"%s":%s,' % (name, self._encode(payload(body)))
            for name, body in ((b"sent_payload", sent), (b"received_payload", received))
            if body is not None
        ]
        return b"".join((b"{", *parts, line[1:])) if parts else line


def payload(body: Body) -> Payload:
    """Return what may be kept of a body. Where it is no text nothing of it is shown: it could not be redacted."""
    data, whole = _dechunked(body.data) if body.chunked else (body.data, True)
    whole = whole and body.whole
    text = data.decode(errors="replace")
    if not whole:
        text = text.rstrip("\ufffd")  # a character that was cut
    if "\0" in text or text.count("\ufffd") * _BINARY > len(text):
        return Payload(text="", bytes=len(data), truncated=not whole, redacted=0)
    text, redacted = redact(text)
    return Payload(text=text, bytes=len(data), truncated=not whole, redacted=redacted)


def redact(text: str) -> tuple[str, int]:
    """Return the text with the values of telling names, tokens and card numbers replaced, and how many were."""
    total = 0
    for pattern in _PATTERNS:
        text, count = pattern.subn(_hidden, text)
        total += count
    return text, total


def _hidden(found: re.Match[str]) -> str:
    return found["kept"] + ('"*"' if found["value"].startswith(('"', "[", "{")) else "*")


def _dechunked(data: bytes) -> tuple[bytes, bool]:
    """Return the data of a body that came in chunks, as far as they are there, and whether that is all."""
    parts: list[bytes] = []
    at = 0
    while (newline := data.find(b"\n", at)) >= 0:
        digits = data[at:newline].split(b";", 1)[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            break
        if size == 0:
            return b"".join(parts), True
        parts.append(data[newline + 1 : newline + 1 + size])
        at = data.find(b"\n", newline + 1 + size) + 1
        if at == 0:
            break
    return b"".join(parts), False
