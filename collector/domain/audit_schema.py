"""The JSON Schema of archived lines, from their types: `python -m collector.domain.audit_schema`."""

import sys
from typing import Any, Final

import msgspec

from collector.domain.audit import AUDIT_VERSION, AuditHead
from collector.domain.schema import schema as event_schema

_HEAD: Final = "AuditHead"


def schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12): an event of any kind, and the head in the same object."""
    _, components = msgspec.json.schema_components([AuditHead], ref_template="#/$defs/{name}")
    events = event_schema()
    return {
        "$schema": events["$schema"],
        "title": f"NetScope archived event {AUDIT_VERSION}",
        "allOf": [{"$ref": f"#/$defs/{_HEAD}"}, {"oneOf": events["oneOf"]}],
        "$defs": {**events["$defs"], **components},
    }


def text() -> str:
    """Return the schema as it is published."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
