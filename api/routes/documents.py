"""GET /openapi.json, /asyncapi.json."""

from starlette.requests import Request
from starlette.responses import Response

from api import asyncapi, openapi


async def openapi_document(request: Request) -> Response:  # noqa: ARG001
    """Return the OpenAPI document."""
    return Response(openapi.text(), media_type="application/json")


async def asyncapi_document(request: Request) -> Response:  # noqa: ARG001
    """Return the AsyncAPI document."""
    return Response(asyncapi.text(), media_type="application/json")
