"""What every handler begins with."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from api.extractors import query
from api.state import AppState

QueryT = TypeVar("QueryT", bound=msgspec.Struct)


def state_of(request: Request) -> AppState:
    """Return the one state."""
    found: AppState = request.app.state.netscope
    return found


def query_of(request: Request, kind: type[QueryT]) -> QueryT:
    """Return the query as its type. Raises ApiProblem."""
    return query.take(query.pairs(request.scope["query_string"]), kind)
