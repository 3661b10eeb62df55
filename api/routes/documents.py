"""GET /openapi.json, /asyncapi.json, and the page where there is one."""

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from api import asyncapi, openapi
from api.errors import ApiProblem

STATIC: Final = Path(__file__).parents[1] / "static"


async def openapi_document(request: Request) -> Response:  # noqa: ARG001
    """Return the OpenAPI document."""
    return Response(openapi.text(), media_type="application/json")


async def asyncapi_document(request: Request) -> Response:  # noqa: ARG001
    """Return the AsyncAPI document."""
    return Response(asyncapi.text(), media_type="application/json")


async def page(request: Request) -> Response:  # noqa: ARG001
    """Return the dashboard."""
    index = STATIC / "index.html"
    if not index.is_file():
        raise ApiProblem(404, "not-found", "There is no page here", "the API is described at /openapi.json")
    return FileResponse(index, media_type="text/html", headers={"cache-control": "no-cache"})
