"""The application: routes, and what every request passes, in order."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api import responses
from api.assets import Assets
from api.errors import ApiProblem
from api.middleware.access import Access
from api.middleware.bounds import Bounds
from api.middleware.context import RequestContext
from api.middleware.problems import Problems, of_http
from api.middleware.rate_limit import RateLimit
from api.routes import account, audit, documents, events, health, metrics
from api.routes.feed import Feed, Rounds
from api.state import AppState


def routes(feed: ASGIApp) -> list[BaseRoute]:
    """Return every route; docs/reference/openapi.json describes them."""
    assets = Assets()
    return [
        Route("/health/live", health.live, methods=["GET"]),
        Route("/health/ready", health.ready, methods=["GET"]),
        Route("/metrics/network", metrics.network, methods=["GET"]),
        Route("/resilience/state", metrics.resilience, methods=["GET"]),
        Route("/metrics", metrics.exposition, methods=["GET"]),
        Route("/v1/metrics/network", metrics.network, methods=["GET"]),
        Route("/v1/resilience/state", metrics.resilience, methods=["GET"]),
        Route("/v1/exchanges", events.exchanges, methods=["GET"]),
        Route("/v1/traces/{trace_id:path}", events.trace, methods=["GET"]),
        Route("/v1/connections", events.connections, methods=["GET"]),
        Route("/v1/invariants", account.invariants, methods=["GET"]),
        Route("/v1/losses", account.lost, methods=["GET"]),
        Route("/v1/audit", audit.audit, methods=["GET"]),
        Route("/v1/feed", feed, methods=["GET"]),
        WebSocketRoute("/v1/feed", feed),
        Route("/openapi.json", documents.openapi_document, methods=["GET"]),
        Route("/asyncapi.json", documents.asyncapi_document, methods=["GET"]),
        Route("/", assets.page, methods=["GET"]),
        Route("/static/{name:path}", assets.file, methods=["GET"]),
    ]


def build(state: AppState, rounds: Rounds) -> Starlette:
    """Return the application on its state."""
    passed = [Middleware(kind, state=state) for kind in (RequestContext, Problems, RateLimit, Access, Bounds)]
    app = Starlette(routes=routes(Feed(state, rounds)), middleware=passed, exception_handlers={HTTPException: _refused})
    app.state.netscope = state
    app.router.default = _nothing_here
    return app


async def _refused(request: Request, found: Exception) -> Response:
    assert isinstance(found, HTTPException)
    return responses.problem(of_http(found), request.scope)


async def _nothing_here(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise ApiProblem(404, "not-found", "There is nothing here", "the routes are described at /openapi.json")
