"""GET /v1/losses, /v1/invariants."""

from starlette.requests import Request
from starlette.responses import Response

from api import responses
from api.dto.losses import Invariants
from api.dto.queries import NoQuery
from api.extractors.request import query_of, state_of
from api.services import losses


async def lost(request: Request) -> Response:
    """Return what was lost, where and why."""
    query_of(request, NoQuery)
    state = state_of(request)
    found = losses.account(
        state.observer.status(),
        feed=state.hub.statistics(),
        bus=state.bus.losses(),
        engine=state.metrics.losses() if state.metrics else {},
        kept=(state.exchanges.added, state.connections.added),
    )
    return responses.json(found)


async def invariants(request: Request) -> Response:
    """Return the verdicts on I1 to I5."""
    query_of(request, NoQuery)
    state = state_of(request)
    resilience = state.metrics.resilience() if state.metrics else None
    found = state.invariants.judge(state.observer.status(), resilience, archived=state.audit is not None)
    return responses.json(Invariants(invariants=found))
