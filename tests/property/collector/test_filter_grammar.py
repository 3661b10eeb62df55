"""The filter grammar holds whatever is typed, and means what it says."""

import fnmatch
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain import filters
from collector.errors import UsageProblem

FEW = st.text("ab*", max_size=8)
TYPED = st.lists(
    st.one_of(st.text(), st.text('abstu=!<>,*"0159. ', max_size=20), st.sampled_from(["status>=500", "host=a*"])),
    max_size=4,
)


@given(TYPED)
def test_anything_typed_parses_or_is_explained_with_a_caret_in_place(words):
    try:
        terms = filters.parse(words)
    except UsageProblem as problem:
        message, shown, caret = str(problem).split("\n")
        assert message.startswith("filter: ")
        assert caret.strip() == "^"
        assert len(caret) <= len(shown) + 1
    else:
        for term in terms:
            assert term.matches(SimpleNamespace()) in (True, False)


@given(FEW, st.text("ab", max_size=8))
def test_a_star_covers_what_a_shell_star_covers(pattern, text):
    (term,) = filters.parse([f'host="{pattern}"'])
    assert term.matches(SimpleNamespace(host=text)) is fnmatch.fnmatchcase(text, pattern)


@given(st.text().filter(lambda text: not set(text) & set('*"') and text != "null"))
def test_any_other_text_in_quotes_matches_itself_alone(text):
    (term,) = filters.parse([f'host="{text}"'])
    assert term.matches(SimpleNamespace(host=text))
    assert not term.matches(SimpleNamespace(host=text + "x"))
    assert not term.matches(SimpleNamespace(host=None))


@given(st.integers(0, 1 << 64), st.integers(0, 1 << 64))
def test_signs_compare_numbers(value, bound):
    def fits(sign):
        (term,) = filters.parse([f"bytes_sent{sign}{bound}"])
        return term.matches(SimpleNamespace(bytes_sent=value))

    assert [fits(sign) for sign in ("=", "!=", ">", ">=", "<", "<=")] == [
        value == bound, value != bound, value > bound, value >= bound, value < bound, value <= bound,
    ]  # fmt: skip


@given(st.one_of(st.none(), st.integers(0, 5)), st.lists(st.integers(0, 5), min_size=1, max_size=3))
def test_not_equal_is_the_opposite_of_equal(value, alternatives):
    text = ",".join(map(str, alternatives))
    equal, other = filters.parse([f"attempt={text}", f"attempt!={text}"])
    event = SimpleNamespace(attempt=value)
    assert equal.matches(event) is not other.matches(event)
    assert equal.matches(event) is (value in alternatives)


@given(st.integers(0, 10**6))
def test_units_of_durations_agree(milliseconds):
    written = [f"latency>={milliseconds}ms", f"latency>={milliseconds * 1000}us", f"latency>={milliseconds}"]
    bounds = [term.values[0] for term in filters.parse(written)]
    assert bounds == pytest.approx([milliseconds] * 3)


@pytest.mark.timeout(5)
def test_many_stars_take_no_time():
    (term,) = filters.parse(["target=" + "*a" * 1000 + "*b"])
    assert not term.matches(SimpleNamespace(target="a" * 2048))
