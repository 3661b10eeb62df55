"""What may stand behind the question mark, by route: types, bounds, meaning. The OpenAPI parameters are these."""

from typing import Annotated

import msgspec
from msgspec import Meta

from collector.domain.metrics import Window

_INSTANT = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$"
)
_NAME = r"^[^\s\x00-\x1f\x7f\",]+$"

Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=_NAME)]
Limit = Annotated[int, Meta(ge=1, le=500, description="events a page")]
Cursor = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\.[0-9]{1,15}$", description="`next` of the page before")]
Instant = Annotated[str, Meta(pattern=_INSTANT, description="RFC 3339, UTC: 2026-11-21T06:00:00Z")]
Filter = Annotated[str, Meta(min_length=1, max_length=2048, description="words of the filter grammar")]


class NoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class NetworkQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which traffic, and over which window."""

    service: Annotated[Name | None, Meta(description="only this service")] = None
    route: Annotated[Name | None, Meta(description="only this route template")] = None
    peer: Annotated[Name | None, Meta(description="only this peer: host name as asked for, else address")] = None
    window: Annotated[Window, Meta(description="sliding window that ends now")] = "1m"


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events; every other name is a term of the filter grammar, as `service=worker` or `status>=500`."""

    limit: Limit = 100
    cursor: Cursor | None = None
    filter: Filter | None = None


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where the feed goes on, and what it shows; every other name is a term of the filter grammar."""

    after: Annotated[int, Meta(ge=0, le=(1 << 53) - 1, description="resume behind this `seq`")] | None = None
    epoch: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$", description="`epoch` of the hello frame before")] | None = (
        None
    )
    filter: Filter | None = None


class AuditRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which archived events."""

    from_: Instant = msgspec.field(name="from")
    to: Instant
    service: Annotated[Name | None, Meta(description="only this service")] = None
