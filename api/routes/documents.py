"""GET /openapi.json, /asyncapi.json, and the page where there is one."""

from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from api import asyncapi, openapi
from api.errors import ApiProblem

STATIC: Final = Path(__file__).parents[1] / "static"


async def openapi_document(request: Request) -> Response:  # noqa: ARG001
    """Return the OpenAPI document."""
    return Response(openapi.text(), media_type="application/json")


async def asyncapi_document(request: Request) -> Response:  # noqa: ARG001
    """Return the AsyncAPI document."""
    return Response(asyncapi.text(), media_type="application/json")


class Assets(StaticFiles):
    """What the page is made of; validated each time, so that an upgrade shows at once."""

    def file_response(self, *given: Any, **more: Any) -> Response:
        """Return a file."""
        answer = super().file_response(*given, **more)
        answer.headers["cache-control"] = "no-cache"
        return answer


async def page(request: Request) -> Response:  # noqa: ARG001
    """Return the dashboard."""
    index = STATIC / "index.html"
    if not index.is_file():
        raise ApiProblem(404, "not-found", "There is no page here", "the API is described at /openapi.json")
    return FileResponse(index, media_type="text/html", headers={"cache-control": "no-cache"})
