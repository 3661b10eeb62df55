"""One attempt on the wire: the only module that speaks HTTP, with httpx2's transport (docs/decisions/0100)."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

import httpcore2
import httpx2
import msgspec

from pipeline.outbound import retry_after
from pipeline.outbound.attempt import Answered, AttemptResult, NotAnswered
from pipeline.outbound.connections import Connections
from pipeline.outbound.request import OutboundRequest
from pipeline.outbound.wire_stream import AttemptTrace, WireBackend, WireStream, current_attempt

_BODILESS: Final = frozenset({204, 304})
_Header = tuple[bytes, bytes]


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where the API is, and how it is reached."""

    name: str
    url: str  # scheme, authority and a path to put before every target
    max_connections: int = 64
    ca_file: str | None = None
    max_response_bytes: int = 1024 * 1024


class HttpSender:
    """Sends requests to one destination over kept connections."""

    def __init__(self, destination: Destination, *, utc_now: Callable[[], datetime] | None = None) -> None:
        url = httpx2.URL(destination.url)
        self._scheme, self._host, self._port = url.raw_scheme, url.raw_host, url.port
        self._prefix = url.raw_path.rstrip(b"/")
        self._common: tuple[_Header, ...] = (
            (b"Host", url.netloc),
            (b"User-Agent", b"netscope-pipeline"),
            (b"Accept", b"application/json"),
        )
        self._limit = destination.max_response_bytes
        self._utc_now = utc_now or (lambda: datetime.now(UTC))
        tls = _tls(destination) if url.scheme == "https" else None
        port = url.port or (80 if tls is None else 443)
        self._connections = Connections(
            httpcore2.Origin(url.raw_scheme, url.raw_host, port),
            backend=WireBackend(),
            tls=tls,
            limit=destination.max_connections,
        )

    async def attempt(self, request: OutboundRequest, *, until: float) -> AttemptResult:
        """Send once; end by `until` on the loop's clock. What goes wrong on the wire is a result, no exception."""
        trace = AttemptTrace()
        current_attempt.set(trace)
        progress = _Progress()
        try:
            async with asyncio.timeout_at(until):
                return await self._exchange(request, progress)
        except TimeoutError:
            return _not_answered("timeout", trace, progress)
        except httpcore2.ConnectError:
            return _not_answered("refused", trace, progress)
        except httpcore2.RemoteProtocolError:
            kind: Literal["reset", "protocol"] = "reset" if progress.status is None and not trace.heard else "protocol"
            return _not_answered(kind, trace, progress)
        except httpcore2.NetworkError:
            return _not_answered("reset", trace, progress)

    async def _exchange(self, request: OutboundRequest, progress: "_Progress") -> AttemptResult:
        line = await self._connections.send(self._compose(request))
        response = line.response
        progress.status = response.status
        try:
            whole = await self._read(response, head=request.method == "HEAD")
        finally:
            await self._connections.release(line)
        if not whole:
            return NotAnswered(kind="oversized", sent=True, status=response.status)
        return Answered(status=response.status, retry_after_s=self._retry_after(response))

    def _compose(self, request: OutboundRequest) -> httpcore2.Request:
        headers = [
            *self._common,
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(request.body)),
            (b"Idempotency-Key", request.idempotency_key.encode("ascii")),
            (b"X-Request-Id", request.request_id.encode("ascii")),
            (b"traceparent", request.traceparent.encode("ascii")),
        ]
        if request.tracestate:
            headers.append((b"tracestate", request.tracestate.encode("ascii")))
        url = httpcore2.URL(
            scheme=self._scheme, host=self._host, port=self._port, target=self._prefix + request.target.encode("ascii")
        )
        return httpcore2.Request(request.method.encode("ascii"), url, headers=headers, content=request.body)

    async def _read(self, response: httpcore2.Response, *, head: bool) -> bool:
        """Read the body to its end and drop it; False where it does not end within the limit."""
        stream = response.extensions["network_stream"]
        assert isinstance(stream, WireStream)
        length = 0 if head or response.status in _BODILESS else _body_length(response.headers)
        if length is not None and length > self._limit:
            return False
        stream.expect_body(length)
        size = 0
        async for part in response.aiter_stream():
            size += len(part)
            if size > self._limit:
                return False
        stream.settle()
        return True

    def _retry_after(self, response: httpcore2.Response) -> float | None:
        if response.status < 400:
            return None
        value = _field(response.headers, b"retry-after")
        return retry_after.seconds(value, now=self._utc_now()) if value is not None else None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connections.aclose()


class _Progress:
    """How far an exchange got; what is known of it when it is cut off."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status: int | None = None


def _not_answered(
    kind: Literal["timeout", "refused", "reset", "protocol"], trace: AttemptTrace, progress: _Progress
) -> NotAnswered:
    return NotAnswered(kind=kind, sent=trace.sent, status=progress.status)


def _field(headers: list[_Header], name: bytes) -> str | None:
    for key, value in headers:
        if key.lower() == name:
            return value.decode("latin-1")
    return None


def _body_length(headers: list[_Header]) -> int | None:
    if _field(headers, b"transfer-encoding") is not None:
        return None
    length = _field(headers, b"content-length")
    return int(length) if length is not None and length.isdigit() else None


def _tls(destination: Destination) -> ssl.SSLContext:
    context = httpx2.create_ssl_context()
    if destination.ca_file is not None:
        context = ssl.create_default_context(cafile=destination.ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
