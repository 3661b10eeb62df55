"""GET /v1/metrics/network, /v1/resilience/state, /metrics."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api import responses
from api.dto.queries import NetworkQuery, NoQuery
from api.errors import bad_parameter, unavailable
from api.extractors.request import query_of, state_of
from collector.domain.metrics import MetricsReader

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def _engine(request: Request) -> MetricsReader:
    found = state_of(request).metrics
    if found is None:
        raise unavailable("no-metrics", "No metrics engine is running")
    return found


async def network(request: Request) -> Response:
    """Return the traffic of a window."""
    asked = query_of(request, NetworkQuery)
    if asked.route is not None and asked.peer is not None:
        raise bad_parameter("peer", "cannot be asked for together with route")
    return responses.json(
        _engine(request).network(service=asked.service, route=asked.route, peer=asked.peer, window=asked.window)
    )


async def resilience(request: Request) -> Response:
    """Return retries, timeouts and breakers as seen from the wire."""
    query_of(request, NoQuery)
    return responses.json(_engine(request).resilience())


async def exposition(request: Request) -> Response:
    """Return what Prometheus scrapes, in the format it asks for."""
    query_of(request, NoQuery)
    openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
    body = await run_in_threadpool(_engine(request).exposition, openmetrics=openmetrics)
    return Response(body, headers={"content-type": _OPENMETRICS if openmetrics else _TEXT})
