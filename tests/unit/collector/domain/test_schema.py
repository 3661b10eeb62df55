"""The published schema is the one of the types, and events fit it."""

import json
from pathlib import Path

import jsonschema
import msgspec

from collector.domain import schema
from tests.support.traffic import Wire

PUBLISHED = Path(__file__).parents[4] / "docs/specs/event.schema.json"


def test_published_schema_is_in_step():
    assert PUBLISHED.read_text() == schema.text()


def test_events_fit():
    wire = Wire().ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    jsonschema.validate(json.loads(msgspec.json.encode(wire.only())), json.loads(PUBLISHED.read_text()))
