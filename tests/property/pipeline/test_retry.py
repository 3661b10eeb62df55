"""Back-off, Retry-After and the decision to try again."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.outbound import retry_after
from pipeline.outbound.attempt import Answered, AttemptResult, NotAnswered
from pipeline.outbound.backoff import FullJitter
from pipeline.outbound.course import Course
from pipeline.outbound.outcome import HttpError, Ok, Unknown
from pipeline.outbound.retry import RetryPolicy, ambiguous, decide, transient

results = st.one_of(
    st.builds(Answered, status=st.integers(200, 599), retry_after_s=st.none() | st.floats(0, 100)),
    st.builds(
        NotAnswered, kind=st.sampled_from(["timeout", "refused", "reset", "protocol", "oversized"]), sent=st.booleans()
    ),
)


@given(
    base=st.floats(0.001, 10),
    cap=st.floats(0.001, 100),
    retry_no=st.integers(1, 10_000),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_a_delay_lies_between_nothing_and_a_ceiling_that_never_falls(
    base: float, cap: float, retry_no: int, draw: float
) -> None:
    jitter = FullJitter(base_s=base, cap_s=cap)
    assert 0 <= jitter.delay(retry_no, lambda: draw) <= jitter.ceiling(retry_no) <= cap
    assert jitter.ceiling(retry_no) <= jitter.ceiling(retry_no + 1)


@given(result=results, attempt=st.integers(1, 5), left=st.floats(0, 20), draw=st.floats(0, 1, exclude_max=True))
def test_a_retry_is_never_too_soon_never_too_late_and_never_pointless(
    result: AttemptResult, attempt: int, left: float, draw: float
) -> None:
    policy = RetryPolicy(max_attempts=3)
    delay = decide(result, attempt=attempt, policy=policy, time_left_s=left, draw=lambda: draw)
    if delay is None:
        return
    assert attempt < policy.max_attempts
    assert transient(result)
    assert delay < left
    if isinstance(result, Answered) and result.retry_after_s is not None:
        assert result.retry_after_s <= delay
        assert result.retry_after_s <= policy.retry_after_cap_s


@given(sequence=st.lists(results, min_size=1, max_size=4), safe=st.booleans())
def test_what_may_have_happened_is_never_called_failed(sequence: list[AttemptResult], safe: bool) -> None:
    course = Course(safe=safe)
    for result in sequence:
        course.add(result)
    outcome, last = course.ended(elapsed_s=0.0), sequence[-1]
    open_question = any(ambiguous(result, safe=safe) for result in sequence)
    if open_question and transient(last):
        assert isinstance(outcome, Unknown)
    else:
        assert not isinstance(outcome, Unknown)
    assert isinstance(outcome, Ok) == (isinstance(last, Answered) and last.status < 300)
    if isinstance(outcome, HttpError | Unknown) and isinstance(last, Answered):
        assert outcome.retry_after_s == last.retry_after_s
    assert outcome.attempts == len(sequence)


@given(st.text(max_size=60))
def test_any_retry_after_is_a_delay_or_nothing(value: str) -> None:
    seconds = retry_after.seconds(value, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("120", 120.0), (" 7 ", 7.0), (None, None), ("", None), ("-1", None), ("1.5", None), ("soon", None),
        ("٣", None), ("9" * 400, None), ("Wed, 21 Oct 1015 07:28:00 GMT", 0.0), ("Fri, 32 Dec 2026 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_by_the_letter(value: str | None, seconds: float | None) -> None:
    assert retry_after.seconds(value, now=datetime(2026, 1, 1, tzinfo=UTC)) == seconds


@given(st.integers(-100_000, 100_000))
def test_a_date_is_the_time_until_then(offset: int) -> None:
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    value = format_datetime(now + timedelta(seconds=offset), usegmt=True)
    assert retry_after.seconds(value, now=now) == max(0, offset)
