"""Names of objects, manifests as text, times: written and read back to the letter."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit import manifest
from collector.audit.errors import ArchiveNotSound
from collector.audit.layout import EventsName, manifest_key, parse_events, parse_manifest, service_prefix
from collector.audit.manifest import Manifest
from collector.audit.reading import Interval
from collector.audit.stamps import checked_hour, hour_number, hour_text, nanoseconds, normalised, rfc3339

MADE = Manifest(
    writer="00112233aabbccdd", number=2, hour="2026-11-21T07", previous="a" * 64, first=5, last=9, events=4, lost=0,
    damaged=1, segment=7, key="none", entries=(("b" * 64, "audit/v1/some name"),),
)  # fmt: skip


@given(st.text(min_size=1, max_size=60))
def test_any_service_has_a_name_of_its_own_that_is_read_back(service):
    name = EventsName(service, "2026-11-21T07", "00112233aabbccdd", 17, "0123456789ab", "zst")
    if service not in ("_archive", "_unknown"):
        assert "service=_" not in name.key
        assert "/." not in name.key
    assert name.key.isascii()
    assert name.key.count("/") == 5
    assert parse_events(name.key) == name


@pytest.mark.parametrize("service", ["..", ".", "../../etc", "a/b", "_archive2", "a b", "ü"])
def test_no_service_leads_out_of_its_place(service):
    prefix = service_prefix(service)
    assert prefix.startswith("audit/v1/service=")
    assert prefix.count("/") == 3
    assert "=_" not in prefix
    assert "=." not in prefix


@pytest.mark.parametrize(
    "key", ["audit/v1/service=a/notes", "audit/v1/service=a/date=2026-11-21/hour=07/x.jsonl.zst", "x"]
)
def test_foreign_names_are_not_ours(key):
    assert parse_events(key) is None
    assert parse_manifest(key) is None


def test_a_manifest_is_read_back_as_it_was_written():
    assert manifest.decode(MADE.encode()) == MADE
    assert parse_manifest(manifest_key(MADE.writer, 2, MADE.hour)) == (MADE.writer, 2)


@given(st.data())
def test_a_changed_manifest_is_another_one_or_none(data):
    text = bytearray(MADE.encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ArchiveNotSound):
        assert manifest.decode(bytes(text)) != MADE


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_times_are_read_back(wall_ns):
    text = rfc3339(wall_ns)
    assert nanoseconds(text) == wall_ns
    assert normalised(text) == text
    assert hour_text(hour_number(text)) == checked_hour(text[:13])


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ("2026-11-21", "2026-11-21T00:00:00.000000000Z"),
        ("2026-11-21T07", "2026-11-21T07:00:00.000000000Z"),
        ("2026-11-21T07:30", "2026-11-21T07:30:00.000000000Z"),
        ("2026-11-21T07:00:00.5+02:00", "2026-11-21T05:00:00.500000000Z"),
        ("2026-11-21T07:00:00.123456789Z", "2026-11-21T07:00:00.123456789Z"),
    ],
)
def test_times_as_people_write_them(given_, meant):
    assert normalised(given_) == meant


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "2026-11-21T25"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError):
        normalised(text)
    with pytest.raises(ValueError):
        checked_hour(text)


def test_an_hour_that_ends_where_the_interval_ends_is_not_read():
    asked = Interval(since=normalised("2026-11-21T07"), until=normalised("2026-11-21T08"))
    assert asked.hours == ("2026-11-21T07", "2026-11-21T07")
    assert asked.has_all_of("2026-11-21T07")
    longer = Interval(since=normalised("2026-11-21T07:00:01"), until=normalised("2026-11-21T08:00:00.1"))
    assert longer.hours == ("2026-11-21T07", "2026-11-21T08")
    assert not longer.has_all_of("2026-11-21T07")
