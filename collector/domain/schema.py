"""The JSON Schema of events, from their types: `python -m collector.domain.schema > docs/specs/event.schema.json`."""

import sys
from typing import Any

import msgspec

from collector.domain.events import EVENT_VERSION, Connection, Exchange, Loss, Summary


def schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12)."""
    _, components = msgspec.json.schema_components([Exchange, Connection, Loss, Summary], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"NetScope event {EVENT_VERSION}",
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in (Exchange, Connection, Loss, Summary)],
        "$defs": components,
    }


def text() -> str:
    """Return the schema as it is published."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
