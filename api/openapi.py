"""The OpenAPI 3.1 document, from the dto types: `python -m api.openapi > docs/reference/openapi.json`."""

import sys
from functools import cache
from typing import Any, Final

import msgspec

from api.dto import queries
from api.dto.health import Health
from api.dto.losses import Invariants, Losses
from api.dto.pages import ConnectionPage, ExchangePage, Trace
from api.dto.problem import Problem
from collector.domain import filters
from collector.domain.metrics import NetworkSnapshot, ResilienceSnapshot

_REFERENCES: Final = "#/components/schemas/{name}"
_PROBLEMS: Final = {
    400: "a parameter is not valid",
    401: "a token is needed",
    403: "a page of another site asks",
    404: "nothing is here",
    413: "the body is too big",
    421: "asked by a foreign name",
    429: "too many requests",
    503: "not now",
}
_ALWAYS: Final = (400, 401, 403, 413, 421, 429, 503)
_JSON: Final = "application/json"
_HEALTH: Final = "application/health+json"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One GET."""

    path: str
    name: str
    summary: str
    tag: str
    answer: type | None
    media: str = _JSON
    query: type[msgspec.Struct] = queries.NoQuery
    filtered: bool = False
    also: tuple[int, ...] = ()  # answers besides 200 and the usual problems
    unready: type | None = None  # what 503 carries, where it is no problem


def _same(operation: Operation, path: str) -> Operation:
    return msgspec.structs.replace(operation, path=path, name=f"{operation.name}Alias")


_NETWORK: Final = Operation(
    path="/v1/metrics/network", name="getNetwork", summary="Traffic over a sliding window", tag="metrics",
    answer=NetworkSnapshot, query=queries.NetworkQuery,
)  # fmt: skip
_RESILIENCE: Final = Operation(
    path="/v1/resilience/state", name="getResilience", summary="Retries, timeouts and breakers as seen from the wire",
    tag="metrics", answer=ResilienceSnapshot,
)  # fmt: skip
OPERATIONS: Final = (
    Operation(
        path="/health/live", name="getLive", summary="Whether the process answers", tag="health", answer=Health,
        media=_HEALTH,
    ),
    Operation(
        path="/health/ready", name="getReady", summary="Whether what is observed can be relied on", tag="health",
        answer=Health, media=_HEALTH, unready=Health,
    ),
    _NETWORK,
    _same(_NETWORK, "/metrics/network"),
    _RESILIENCE,
    _same(_RESILIENCE, "/resilience/state"),
    Operation(
        path="/metrics", name="getMetrics", summary="Prometheus exposition", tag="metrics", answer=None,
        media="text/plain",
    ),
    Operation(
        path="/v1/exchanges", name="listExchanges", summary="The newest exchanges", tag="events", answer=ExchangePage,
        query=queries.EventsQuery, filtered=True, also=(404,),
    ),
    Operation(
        path="/v1/connections", name="listConnections", summary="The connections that ended last, and open ones",
        tag="events", answer=ConnectionPage, query=queries.EventsQuery, filtered=True, also=(404,),
    ),
    Operation(
        path="/v1/traces/{trace_id}", name="getTrace", summary="One trace's exchanges", tag="events", answer=Trace,
        also=(404,),
    ),
    Operation(
        path="/v1/invariants", name="getInvariants", summary="The verdicts on I1 to I5", tag="account",
        answer=Invariants,
    ),
    Operation(
        path="/v1/losses", name="getLosses", summary="What was lost, where and why", tag="account", answer=Losses,
    ),
    Operation(
        path="/v1/audit", name="streamAudit", summary="Archived events, streamed", tag="audit", answer=None,
        media="application/x-ndjson", query=queries.AuditRange,
    ),
)  # fmt: skip


def filter_pattern() -> str:
    """A term or several: what the filter grammar takes, without its quotes."""
    number = r"[0-9]{1,9}(\.[0-9]{1,6})?"
    choice = {name: "|".join(choices) for name, choices in filters.CHOICES.items()}
    texts = "|".join(sorted(name for name in filters.TEXT_FIELDS if name not in choice))
    numbers, durations = "|".join(sorted(filters.NUMBER_FIELDS)), "|".join(sorted(filters.DURATION_FIELDS))
    terms = [rf"({texts})!?=[A-Za-z0-9_./*{{}}:-]{{1,64}}", rf"({numbers})(!?=|>=?|<=?){number}"]
    terms += [rf"({durations})(!?=|>=?|<=?){number}(us|ms|s)?"]
    terms += [rf"{name}!?=({values})" for name, values in sorted(choice.items())]
    term = "(" + "|".join(terms) + ")"
    return rf"^{term}( {term}){{0,7}}$"


def _parameters(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    schema = schemas[operation.query.__name__]
    found = [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": _plain(one)}
        for name, one in schema["properties"].items()
    ]
    if operation.filtered:
        found += [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": "term of the filter grammar",
                "schema": {"type": "string", "enum": list(choices)},
            }
            for name, choices in sorted(filters.CHOICES.items())
        ]
    if "{trace_id}" in operation.path:
        pattern = "^[A-Za-z0-9._-]{1,64}$"
        found.append(
            {"name": "trace_id", "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}
        )
    return found


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is absent, never null."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if rest.get("default", 0) is None:
        del rest["default"]
    return {**options[0], **rest} if len(options) == 1 else rest if not options else schema


def _answers(operation: Operation) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "string"}
    if operation.answer is not None:
        body = {"$ref": _REFERENCES.format(name=operation.answer.__name__)}
    found: dict[str, Any] = {"200": {"description": "as asked", "content": {operation.media: {"schema": body}}}}
    for status in sorted({*_ALWAYS, *operation.also}):
        found[str(status)] = {
            "description": _PROBLEMS[status],
            "content": {"application/problem+json": {"schema": {"$ref": _REFERENCES.format(name="Problem")}}},
        }
    if operation.unready is not None:
        reference = {"$ref": _REFERENCES.format(name=operation.unready.__name__)}
        found["503"]["description"] = "not ready, with the reasons"
        found["503"]["content"][_HEALTH] = {"schema": reference}
    if operation.path == "/metrics":
        found["200"]["content"]["application/openmetrics-text"] = {"schema": {"type": "string"}}
    return found


@cache
def document() -> dict[str, Any]:
    """Return the document."""
    answers = {one.answer for one in OPERATIONS if one.answer is not None}
    types = sorted({*answers, Problem, *(one.query for one in OPERATIONS)}, key=lambda one: one.__name__)
    _, schemas = msgspec.json.schema_components(types, ref_template=_REFERENCES)
    questions = {one.query.__name__ for one in OPERATIONS}
    if "EventsQuery" in schemas:
        narrowed = schemas["EventsQuery"]["properties"]["filter"]["anyOf"]
        for option in narrowed:
            if option.get("type") == "string":
                option["pattern"] = filter_pattern()
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths[operation.path] = {
            "get": {
                "operationId": operation.name,
                "summary": operation.summary,
                "tags": [operation.tag],
                "parameters": _parameters(operation, schemas),
                "responses": _answers(operation),
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "NetScope collector",
            "version": "1",
            "summary": "HTTP exchanges of unmodified processes, measured and served",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:9090"}],
        "paths": paths,
        "components": {
            "schemas": {name: one for name, one in schemas.items() if name not in questions},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


@cache
def text() -> bytes:
    """Return the document as it is published."""
    return msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.write(text().decode())
