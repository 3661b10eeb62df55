"""Who may ask: the names this host goes by, the page's own Origin, the bearer token."""

import hashlib
import hmac
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import ApiProblem
from api.middleware.context import header
from api.state import AppState

_OPEN: Final = ("/health/", "/static/")  # nothing observed is shown there
SUBPROTOCOL: Final = "netscope.feed.v1"
_BEARER_PREFIX: Final = "bearer."


def is_open(path: str) -> bool:
    """Tell whether a path needs no token: health, and the page itself, which holds no data."""
    return path == "/" or path.startswith(_OPEN)


def matches(given: bytes, token: bytes) -> bool:
    """Compare in constant time, whatever the lengths."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(token).digest())


class Access:
    """Refuses foreign names and Origins, and what has no token where one is needed."""

    def __init__(self, app: ASGIApp, state: AppState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or raise ApiProblem."""
        self._check_name(scope)
        self._check_origin(scope)
        self._check_token(scope)
        await self._app(scope, receive, send)

    def _check_name(self, scope: Scope) -> None:
        """Without a token, a foreign Host would be another site's page that its DNS sent here (DNS rebinding)."""
        access = self._state.access
        host = (header(scope, b"host") or b"").decode("latin-1").lower()
        if access.token is None and _without_port(host) not in access.hosts:
            self._refused(scope, "foreign_host")
            raise ApiProblem(421, "foreign-host", "This service does not go by that name", "set hosts= to allow it")

    def _check_origin(self, scope: Scope) -> None:
        origin = (header(scope, b"origin") or b"").decode("latin-1").lower()
        if not origin or origin in self._state.access.origins:
            return
        host = (header(scope, b"host") or b"").decode("latin-1").lower()
        if origin not in (f"http://{host}", f"https://{host}"):
            self._refused(scope, "foreign_origin")
            raise ApiProblem(
                403, "foreign-origin", "Pages of other sites may not read this", "set origins= to allow it"
            )

    def _check_token(self, scope: Scope) -> None:
        token = self._state.access.token
        if token is None or is_open(scope["path"]):
            return
        given = _given(scope)
        if given is None or not matches(given, token):
            scope["state"]["refused"] = True
            self._refused(scope, "wrong_token" if given is not None else "no_token")
            raise ApiProblem(
                401, "token-needed", "A bearer token is needed", headers={"www-authenticate": 'Bearer realm="netscope"'}
            )

    def _refused(self, scope: Scope, reason: str) -> None:
        client = (scope.get("client") or ("",))[0]
        self._state.log(
            "warning", "request_refused", reason=reason, client=client, request_id=scope["state"]["request_id"]
        )


def _given(scope: Scope) -> bytes | None:
    """Return the token of the Authorization header; browsers' WebSockets can only send it as a subprotocol."""
    scheme, _, value = (header(scope, b"authorization") or b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    for name in scope.get("subprotocols", ()):
        if name.startswith(_BEARER_PREFIX):
            return str(name).removeprefix(_BEARER_PREFIX).encode()
    return None


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host
