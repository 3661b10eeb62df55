"""Any bytes as a query string of any route: a value or a problem document, never another exception."""

import contextlib
import sys

import atheris

with atheris.instrument_imports():
    from api.dto.queries import AuditRange, EventsQuery, FeedQuery, NetworkQuery, NoQuery
    from api.errors import ApiProblem
    from api.extractors import cursor, query
    from collector.domain import filters

from tests.support.exchanges import connection, exchange

EVENTS = (exchange(), exchange(trace_id=None, status_code=None, outcome="timeout"), connection())


def one(data: bytes) -> None:
    for kind in (NoQuery, NetworkQuery, AuditRange):
        with contextlib.suppress(ApiProblem):
            query.take(query.pairs(data), kind)
    for kind in (EventsQuery, FeedQuery):
        with contextlib.suppress(ApiProblem):
            asked, rest = query.split(query.pairs(data), kind)
            terms, _ = query.terms(rest, asked.filter)
            accept = filters.predicate(terms)
            for event in EVENTS:
                assert accept is None or accept(event) in (True, False)
            if isinstance(asked, EventsQuery):
                cursor.read("0" * 16, asked.cursor)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
