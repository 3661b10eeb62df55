"""GET /health/live, /health/ready."""

from starlette.requests import Request
from starlette.responses import Response

from api import responses
from api.dto.queries import NoQuery
from api.extractors.request import query_of, state_of
from api.services import health


async def live(request: Request) -> Response:
    """Tell that the process answers."""
    query_of(request, NoQuery)
    state = state_of(request)
    found = health.live(
        release=state.release,
        epoch=state.epoch,
        now_ns=state.clocks.monotonic_ns(),
        wall_ns=state.clocks.wall_ns(),
        started_ns=state.started_ns,
    )
    return responses.json(found, media_type=responses.HEALTH_TYPE)


async def ready(request: Request) -> Response:
    """Tell whether what is observed can be relied on; 503 with reasons where not."""
    query_of(request, NoQuery)
    state = state_of(request)
    found = health.ready(
        state.observer.status(),
        release=state.release,
        epoch=state.epoch,
        now_ns=state.clocks.monotonic_ns(),
        wall_ns=state.clocks.wall_ns(),
    )
    return responses.json(found, status=503 if found.status == "fail" else 200, media_type=responses.HEALTH_TYPE)
