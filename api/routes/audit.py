"""GET /v1/audit: what the archive gives back, streamed."""

from collections.abc import AsyncIterator, Iterator

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.dto.queries import AuditRange
from api.errors import bad_parameter, unavailable
from api.extractors.request import query_of, state_of
from collector.domain.ports import ArchiveUnavailable, AuditQuery


async def audit(request: Request) -> Response:
    """Stream archived events as NDJSON, oldest first."""
    asked = query_of(request, AuditRange)
    if asked.from_ >= asked.to:
        raise bad_parameter("from", "must be before to")
    reader = state_of(request).audit
    if reader is None:
        raise unavailable("no-archive", "no archive configured", "see docs/how-to/serve.md")
    blocks = iter(reader.read(AuditQuery(since=asked.from_, until=asked.to, service=asked.service)))
    try:
        first = await run_in_threadpool(next, blocks, b"")
    except ArchiveUnavailable as problem:
        raise unavailable("archive-unavailable", "The archive cannot be read now", str(problem)) from problem
    return StreamingResponse(_joined(first, blocks), media_type="application/x-ndjson")


async def _joined(first: bytes, rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for block in iterate_in_threadpool(rest):
        yield block
