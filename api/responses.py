"""Answers: JSON by msgspec, problem documents, health documents."""

from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from api.dto.problem import Problem
from api.errors import ApiProblem

_encode: Final = msgspec.json.Encoder().encode
PROBLEM_TYPE: Final = "application/problem+json"
HEALTH_TYPE: Final = "application/health+json"
_DOCUMENTED: Final = "/docs/reference/rest.md#"


def json(value: Any, *, status: int = 200, media_type: str = "application/json") -> Response:
    """Return a dto as JSON; never cached: it is as of now."""
    return Response(_encode(value), status, media_type=media_type, headers={"cache-control": "no-store"})


def problem(found: ApiProblem, scope: Scope) -> Response:
    """Return a problem document."""
    body = Problem(
        type=f"{_DOCUMENTED}{found.type}",
        title=found.title,
        status=found.status,
        detail=found.detail,
        instance=f"urn:netscope:request:{scope.get('state', {}).get('request_id', '')}",
    )
    return Response(_encode(body), found.status, media_type=PROBLEM_TYPE, headers=found.headers)
