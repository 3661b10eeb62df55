"""Request ID, trace context, security headers and one log event for every request."""

import re
import secrets
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.state import AppState

_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_CSP: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY: Final = [
    (b"content-security-policy", _CSP),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start"})


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return a request header's first value."""
    return next((value for key, value in scope["headers"] if key == name), None)


class RequestContext:
    """The outermost: whatever happens inside, the answer carries these headers and is logged once."""

    def __init__(self, app: ASGIApp, state: AppState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = header(scope, b"x-request-id") or b""
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        found = _TRACEPARENT.fullmatch(header(scope, b"traceparent") or b"")
        trace_id = found[1].decode() if found else secrets.token_hex(16)
        span_id = secrets.token_hex(8)
        scope.setdefault("state", {}).update(request_id=request_id, trace_id=trace_id)
        ours = [
            *_SECURITY,
            (b"x-request-id", request_id.encode()),
            (b"traceresponse", f"00-{trace_id}-{span_id}-01".encode()),
        ]
        status = 101 if scope["type"] == "websocket" else 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *ours]}
            await send(message)

        clock = self._state.clocks.monotonic_ns
        began = clock()
        try:
            await self._app(scope, receive, sending)
        finally:
            self._state.log(
                "debug" if status < 400 else "error" if status >= 500 and status != 503 else "info",
                "request_served",
                method=scope.get("method", "WEBSOCKET"),
                path=scope["path"][:256],
                status=status,
                duration_ms=round((clock() - began) / 1e6, 3),
                client=(scope.get("client") or ("",))[0],
                request_id=request_id,
                trace_id=trace_id,
                span_id=span_id,
            )
