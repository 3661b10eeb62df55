"""Every error leaves as a problem document, for requests and for refused WebSocket upgrades alike."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import responses
from api.errors import ApiProblem, ClientStalled
from api.state import AppState

_TITLES = {404: ("not-found", "There is nothing here"), 405: ("method-not-allowed", "This is only read")}


def of_http(found: HTTPException) -> ApiProblem:
    """Return Starlette's own refusals as ours."""
    type_, title = _TITLES.get(found.status_code, ("refused", found.detail))
    return ApiProblem(found.status_code, type_, title, headers=dict(found.headers or {}))


class Problems:
    """Turns exceptions into answers; a bug is logged with its place and told without."""

    def __init__(self, app: ASGIApp, state: AppState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] in ("http.response.start", "websocket.accept")
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ApiProblem as found:
            answer = found
        except ClientStalled:
            self._state.log("info", "client_stalled", request_id=scope["state"]["request_id"])
            return
        except HTTPException as found:
            answer = of_http(found)
        except Exception as bug:  # noqa: BLE001  # the one handler at the top of the API
            if isinstance(bug, OSError) and scope["type"] == "websocket":
                return  # the client went away while we wrote
            self._state.log(
                "error", "request_failed", error=repr(bug), request_id=scope["state"]["request_id"], exc_info=bug
            )
            answer = ApiProblem(500, "internal", "Something is wrong in the collector", "its log tells what")
        else:
            return
        if begun:
            return  # too late to say it; the connection is cut by the server
        await responses.problem(answer, scope)(scope, receive, send)
