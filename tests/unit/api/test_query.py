import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dto.queries import AuditRange, EventsQuery, FeedQuery, NetworkQuery, NoQuery
from api.errors import ApiProblem
from api.extractors import cursor, query
from collector.domain import filters
from tests.support.exchanges import exchange


def refusal(call, *given):
    with pytest.raises(ApiProblem) as caught:
        call(*given)
    return caught.value


def fits(query_string, **fields):
    asked, rest = query.split(query.pairs(query_string), EventsQuery)
    terms, _ = query.terms(rest, asked.filter)
    accepted = filters.predicate(terms)
    return accepted is None or accepted(exchange(**fields))


@pytest.mark.parametrize(
    ("text", "kind", "where"),
    [
        (b"window=2m", NetworkQuery, "window"),
        (b"window=1m&window=5m", NetworkQuery, "window: given twice"),
        (b"windw=1m", NetworkQuery, "did you mean window?"),
        (b"service=", NetworkQuery, "service"),
        (b"service=" + b"a" * 257, NetworkQuery, "service"),
        (b"x=1", NoQuery, "x"),
        (b"limit=0", EventsQuery, "limit"),
        (b"limit=501", EventsQuery, "limit"),
        (b"limit=ten", EventsQuery, "limit"),
        (b"cursor=abc", EventsQuery, "cursor"),
        (b"cursor=0123456789abcdef.-1", EventsQuery, "cursor"),
        (b"after=-1", FeedQuery, "after"),
        (b"after=1.5", FeedQuery, "after"),
        (b"after=99999999999999999999", FeedQuery, "after"),
        (b"from=yesterday&to=2026-01-01T00:00:00Z", AuditRange, "from"),
        (b"to=2026-01-01T00:00:00Z", AuditRange, "from"),
        (b"from=2026-13-01T00:00:00Z&to=2026-01-01T00:00:00Z", AuditRange, "from"),
    ],
)
def test_a_wrong_parameter_is_named(text, kind, where):
    found = refusal(lambda: query.take(query.pairs(text), kind))
    assert (found.status, found.type) == (400, "bad-parameter")
    assert where in found.detail


def test_a_query_too_long_or_unreadable_is_refused():
    assert refusal(query.pairs, b"a" * 5_000).status == 400
    assert refusal(query.pairs, b"&".join([b"a=1"] * 100)).status == 400
    assert refusal(query.pairs, b"service=%ff%fe").status == 400


def test_values_take_their_types():
    found = query.take(query.pairs(b"service=orders&route=%2Fv1%2F%7Bid%7D&window=5m"), NetworkQuery)
    assert (found.service, found.route, found.window) == ("orders", "/v1/{id}", "5m")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", True),
        (b"service=orders", True),
        (b"service=shop", False),
        (b"service=shop,orders", True),
        (b"service=ord*", True),
        (b"status>=500", False),
        (b"status%3E%3D200", True),
        (b"status!=200", False),
        (b"status>199&status<201", True),
        (b"latency>5ms", True),
        (b"latency>=10ms", True),
        (b"latency%3E11ms", False),
        (b"filter=status>=200+severity=info", True),
        (b"filter=status=404&service=orders", False),
        (b"severity=error", False),
        (b"host=%22api:8080%22", True),
    ],
)
def test_terms_of_the_grammar_may_stand_in_the_query(text, expected):
    assert fits(text) is expected


@pytest.mark.parametrize(
    "text",
    [b"bogus=1", b"severity=loud", b"status=many", b"service>5", b"filter=status", b"filter=%22", b"status>=", b"=1"],
)
def test_what_is_no_term_is_refused(text):
    assert refusal(fits, text).status == 400


def test_a_value_cannot_become_a_second_term():
    assert not fits(b"service=orders+severity=info")


@given(st.binary(max_size=200))
def test_any_bytes_give_terms_or_a_problem(text):
    with contextlib.suppress(ApiProblem):
        fits(text)


def test_cursors_belong_to_one_run():
    run, other = "0" * 16, "1" * 16
    assert cursor.read(run, cursor.make(run, 7)) == 7
    assert cursor.make(run, None) is None
    assert cursor.read(run, None) is None
    assert refusal(cursor.read, other, cursor.make(run, 7)).type == "unknown-cursor"
