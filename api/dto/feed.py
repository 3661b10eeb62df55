"""What the feed says besides events, and what it counts."""

import msgspec


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hello"):
    """The first frame: where the feed stands. `epoch` names this run of the collector; `seq` is the newest event's."""

    epoch: str
    seq: int
    resumed: bool  # events behind `after` follow
    heartbeat_s: float
    filter: str


class Gap(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="gap"):
    """Events between two `seq` (both included) that this client did not get; null where it cannot be known."""

    missed: int | None
    from_: int | None = msgspec.field(name="from")
    to: int | None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="heartbeat"):
    """Nothing is wrong, there was only nothing to tell."""

    seq: int


class FeedStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the start. Over all clients, published = delivered + missed + what still waits."""

    clients: int
    filters: int
    traced: int  # exchanges offered to the feed
    untraced: int  # exchanges without a trace ID: counted, not fed
    published: int  # events matched, times the clients that wanted them
    delivered: int
    missed: int
    refused: int  # clients turned away, because there were too many
