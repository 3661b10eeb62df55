"""GET /v1/exchanges, /v1/traces/{trace_id}, /v1/connections."""

from starlette.requests import Request
from starlette.responses import Response

from api import responses
from api.dto.pages import ConnectionPage, ExchangePage
from api.dto.queries import EventsQuery, NoQuery
from api.errors import ApiProblem
from api.extractors import cursor, query
from api.extractors.request import query_of, state_of
from api.services import traces
from collector.domain import filters


async def exchanges(request: Request) -> Response:
    """Return a page of exchanges, newest first."""
    state = state_of(request)
    asked, rest = query.split(query.pairs(request.scope["query_string"]), EventsQuery)
    terms, _ = query.terms(rest, asked.filter)
    before = cursor.read(state.epoch, asked.cursor)
    items, following = state.exchanges.page(before=before, limit=asked.limit, accept=filters.predicate(terms))
    return responses.json(
        ExchangePage(
            items=items,
            next=cursor.make(state.epoch, following),
            kept=len(state.exchanges),
            forgotten=state.exchanges.evicted,
        )
    )


async def connections(request: Request) -> Response:
    """Return a page of connections that ended, newest first."""
    state = state_of(request)
    asked, rest = query.split(query.pairs(request.scope["query_string"]), EventsQuery)
    terms, _ = query.terms(rest, asked.filter)
    before = cursor.read(state.epoch, asked.cursor)
    status, accept = state.observer.status(), filters.predicate(terms)
    items, following = state.connections.page(before=before, limit=asked.limit, accept=accept)
    return responses.json(
        ConnectionPage(
            items=items,
            next=cursor.make(state.epoch, following),
            kept=len(state.connections),
            forgotten=state.connections.evicted,
            open=status.open_connections,
            standing=state.observer.open_connections(accept, asked.limit) if before is None else [],
            streams=status.streams,
        )
    )


async def trace(request: Request) -> Response:
    """Return every kept exchange of one trace."""
    query_of(request, NoQuery)
    found = traces.find(state_of(request).exchanges, request.path_params["trace_id"])
    if found is None:
        raise ApiProblem(404, "unknown-trace", "No kept exchange has this trace ID", "older ones may be in the archive")
    return responses.json(found)
