"""How many requests one address may make a minute; wrong tokens weigh more."""

import ipaddress
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import ApiProblem
from api.state import AppState

_NETWORK_BITS: Final = 64  # one IPv6 subscriber has at least a /64


def address(scope: Scope) -> str:
    """Return the client's address; for IPv6 its /64, so that one host is one client."""
    text = (scope.get("client") or ("",))[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    if found.version == 4:
        return text
    mapped = found.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False).network_address)


class RateLimit:
    """Answers 429 with Retry-After beyond the limit."""

    def __init__(self, app: ASGIApp, state: AppState) -> None:
        self._app = app
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(state.limits.requests_per_minute)
        self._refusals = RateLimitItemPerMinute(state.limits.refusals_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or raise ApiProblem."""
        client = address(scope)
        if not await self._limiter.test(self._refusals, "refused", client):
            raise _too_many("too many wrong tokens")
        if not await self._limiter.hit(self._requests, "requests", client):
            raise _too_many(f"more than {self._requests.amount} requests a minute")
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["state"].get("refused"):
                await self._limiter.hit(self._refusals, "refused", client)


def _too_many(detail: str) -> ApiProblem:
    return ApiProblem(429, "too-many-requests", "Too many requests", detail, headers={"retry-after": "60"})
