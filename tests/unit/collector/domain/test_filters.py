"""The filter grammar."""

import pytest

from collector.domain import filters
from collector.errors import UsageProblem
from tests.support.traffic import Wire

EVENT = (
    Wire()
    .ask(b"GET /orders/17 HTTP/1.1\r\nHost: api\r\n\r\n")
    .step(300)
    .answer(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
    .only()
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["status>=500"], True),
        (["status=200,503"], True),
        (["status<500"], False),
        (["latency>250ms"], True),
        (["latency>1s"], False),
        (["route=/orders/*", "method=GET"], True),
        (["route=/orders/*", "method=POST"], False),
        (["role!=client"], False),
        (["trace_id=null"], True),
        (["outcome=http_error", "kind=exchange", "severity=error"], True),
        (["connect<10ms"], True),
        (["retry_reason=*"], True),
    ],
)
def test_matches(words, expected):
    assert filters.predicate(filters.parse(words))(EVENT) is expected


@pytest.mark.parametrize(
    ("words", "message", "column"),
    [
        (["statsu=5"], "did you mean status", 0),
        (["status>=500", "outcome=okay"], "did you mean ok", 20),
        (["latency>fast"], "a duration, as 250ms", 8),
        (["status=5ms"], "a number", 7),
        (["route>3"], "use = or !=", 5),
        (["nonsense"], "is no term", 0),
        (["status="], "a value is missing", 7),
    ],
)
def test_errors_point_at_the_place(words, message, column):
    with pytest.raises(UsageProblem, match=message) as caught:
        filters.parse(words)
    assert str(caught.value).splitlines()[-1].index("^") - 2 == column


def test_no_words_no_predicate():
    assert filters.predicate(filters.parse([])) is None
