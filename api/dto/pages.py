"""Pages of events. Events themselves are collector.domain.events, one schema for everybody."""

import msgspec

from collector.domain.events import Connection, Exchange
from collector.domain.status import OpenConnection, Stream


class ExchangePage(msgspec.Struct, frozen=True, kw_only=True):
    """Exchanges, newest first; `next` goes into `cursor=` for the older ones, null where there are none kept."""

    items: list[Exchange]
    next: str | None
    kept: int  # exchanges in memory now
    forgotten: int  # told since the start, and given up for newer ones


class ConnectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Connections that ended, newest first; beside the first page, those that are open."""

    items: list[Connection]
    next: str | None
    kept: int
    forgotten: int
    open: int  # connections open now; they are told when they end
    standing: list[OpenConnection]  # of the newest 10,000, up to `limit` that fit and that a process spoke on
    streams: tuple[Stream, ...]  # of these, what is not HTTP, by service and peer


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Every kept exchange of one trace, oldest first."""

    trace_id: str
    exchanges: list[Exchange]
    services: list[str]
    complete: bool  # false: more are kept than one answer holds
