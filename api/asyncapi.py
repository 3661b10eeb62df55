"""The AsyncAPI 3.0 document of the feed: `python -m api.asyncapi > docs/reference/asyncapi.json`."""

import sys
from functools import cache
from typing import Any, Final

import msgspec

from api.dto.feed import Gap, Heartbeat, Hello
from api.dto.queries import FeedQuery
from collector.domain.events import Exchange

_REFERENCES: Final = "#/components/schemas/{name}"
_FRAMES: Final = {
    Hello: "the first frame: where the feed stands",
    Exchange: "an exchange with a trace ID; `seq` grows, with holes where events have none or do not match",
    Gap: "events from `from` to `to` that this client did not get; `missed` is exact, null where it cannot be known",
    Heartbeat: "nothing is wrong, there was only nothing to tell",
}


@cache
def document() -> dict[str, Any]:
    """Return the document."""
    _, schemas = msgspec.json.schema_components([*_FRAMES, FeedQuery], ref_template=_REFERENCES)
    asked = schemas.pop("FeedQuery")
    messages = {
        kind.__name__: {
            "name": kind.__name__,
            "summary": summary,
            "contentType": "application/json",
            "payload": {"$ref": _REFERENCES.format(name=kind.__name__)},
        }
        for kind, summary in _FRAMES.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "NetScope feed",
            "version": "1",
            "description": "Live exchanges over a WebSocket, one JSON text message each. Rules: docs/specs/feed.md",
            "license": {"name": "Apache-2.0"},
        },
        "servers": {"collector": {"host": "127.0.0.1:9090", "protocol": "ws"}},
        "channels": {
            "feed": {
                "address": "/v1/feed",
                "description": "Text frames from the collector; a client sends none. Every other query name is a "
                "term of the filter grammar, as `severity=error`.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "query": {"type": "object", "properties": asked["properties"]}}},
            }
        },
        "operations": {
            "sendFrames": {
                "action": "send",
                "channel": {"$ref": "#/channels/feed"},
                "messages": [{"$ref": f"#/channels/feed/messages/{name}"} for name in messages],
            }
        },
        "components": {"messages": messages, "schemas": schemas},
    }


@cache
def text() -> bytes:
    """Return the document as it is published."""
    return msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.write(text().decode())
