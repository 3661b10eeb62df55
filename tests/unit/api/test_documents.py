import json
from pathlib import Path

import jsonschema
import pytest

from api import asyncapi, openapi
from api.app import routes
from collector.domain import filters

REFERENCE = Path(__file__).parents[3] / "docs/reference"


def test_the_published_openapi_document_is_that_of_the_code():
    assert (REFERENCE / "openapi.json").read_bytes() == openapi.text(), (
        "python -m api.openapi > docs/reference/openapi.json"
    )


def test_the_published_asyncapi_document_is_that_of_the_code():
    assert (REFERENCE / "asyncapi.json").read_bytes() == asyncapi.text(), (
        "python -m api.asyncapi > docs/reference/asyncapi.json"
    )


def test_every_route_is_described_and_nothing_else():
    served = {route.path.replace(":path", "") for route in routes(lambda *_: None)}  # an ID may hold slashes
    described = {operation.path for operation in openapi.OPERATIONS}
    assert served - described - {"/static/{name}"} == {"/v1/feed", "/openapi.json", "/asyncapi.json", "/"}
    assert described <= served


def test_the_schemas_are_schemas():
    schemas = openapi.document()["components"]["schemas"]
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema.get("description"), name


def references(value):
    if isinstance(value, dict):
        yield from (found for key, found in value.items() if key == "$ref")
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("made", [openapi.document, asyncapi.document])
def test_every_reference_leads_somewhere(made):
    document = json.loads(json.dumps(made()))
    for reference in references(document):
        at = document
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_every_problem_type_is_explained():
    text = "".join(path.read_text() for path in (Path(__file__).parents[3] / "api").rglob("*.py"))
    explained = (REFERENCE / "rest.md").read_text()
    import re

    for name in set(re.findall(r'"((?:[a-z]+-)+[a-z]+)", "[A-Z]', text)):
        assert f"`{name}`" in explained, name


def test_the_pattern_of_filters_gives_only_filters():
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(openapi.filter_pattern(), fullmatch=True))
    def every(text):
        filters.parse([text])

    every()
