"""When a manifest is due, and that the chain has no holes: hours without events, without a collector, and ends of runs."""

import itertools

import pytest

from collector.audit import manifest
from collector.audit.chain import due, following
from collector.audit.notes import ObjectNote, Receipt
from collector.audit.stamps import hour_text

HOUR = 498_700


def receipt(segment, hour, first, count):
    note = ObjectNote(key=f"audit/v1/o{segment}", sha256="c" * 64, size=1, events=count)
    return Receipt(
        segment=segment, hour=hour, first=first, last=first + count - 1, events=count, lost=0, damaged=0,
        objects=(note,) if count else (),
    )  # fmt: skip


def test_an_hour_is_due_once_a_later_one_has_begun_and_its_segments_are_stored():
    assert due([(1, HOUR), (2, HOUR)], [(3, HOUR)]) == []
    assert due([(1, HOUR)], [(2, HOUR), (3, HOUR + 1)]) == []
    assert due([(2, HOUR), (1, HOUR)], [(3, HOUR + 1)]) == [1, 2]
    assert due([(1, HOUR), (2, HOUR), (3, HOUR + 1)], []) == [1, 2]


def test_a_clock_that_is_set_back_ends_a_manifest_as_one_that_goes_on():
    ahead, back = receipt(1, HOUR + 5000, 1, 5), receipt(2, HOUR, 6, 5)
    assert due([(1, HOUR + 5000), (2, HOUR)], []) == [1]
    assert due([(1, HOUR + 5000)], [(2, HOUR)]) == [1]
    made = chain_of([[ahead], [back], [receipt(3, HOUR + 1, 11, 1)]])
    assert [one.hour for one in made] == [hour_text(HOUR + 5000), hour_text(HOUR), hour_text(HOUR + 1)]


def test_the_end_of_a_run_takes_what_is_there():
    assert due([(1, HOUR)], []) == []
    assert due([(1, HOUR)], [], at_once=True) == [1]
    assert due([(1, HOUR)], [(2, HOUR)], at_once=True) == []
    assert due([], [], at_once=True) == []


def test_a_segment_in_between_that_is_not_stored_holds_the_manifest_back():
    assert due([(1, HOUR), (3, HOUR + 1)], [(2, HOUR)]) == []
    assert due([(3, HOUR + 1)], [(2, HOUR)]) == []


def chain_of(parts, key=""):
    made, last = [], None
    for part in parts:
        covered = False
        while not covered:
            one, covered = following(part, "ab" * 8, key, last)
            last = (one, manifest.digest(one.encode()))
            made.append(one)
    return made


def test_hours_without_a_collector_have_manifests_of_their_own():
    made = chain_of([[receipt(1, HOUR, 1, 5)], [receipt(2, HOUR + 3, 6, 2)]])
    assert [one.hour for one in made] == [hour_text(HOUR + n) for n in range(4)]
    assert [one.number for one in made] == [1, 2, 3, 4]
    assert [(one.first, one.last, one.events) for one in made] == [(1, 5, 5), (6, 5, 0), (6, 5, 0), (6, 7, 2)]
    for before, one in itertools.pairwise(made):
        assert one.previous == manifest.digest(before.encode()) == one.entries[0][0]


def test_a_year_without_a_collector_is_a_jump():
    assert len(chain_of([[receipt(1, HOUR, 1, 5)], [receipt(2, HOUR + 9000, 6, 2)]])) == 2


def test_two_runs_in_one_hour():
    made = chain_of([[receipt(1, HOUR, 1, 5)], [receipt(2, HOUR, 6, 2)]])
    assert [one.number for one in made] == [1, 2]


def test_what_a_vanished_segment_held_counts_as_damaged():
    made = chain_of([[receipt(1, HOUR, 1, 5)], [receipt(3, HOUR + 1, 9, 2)]])
    assert (made[1].first, made[1].last, made[1].events, made[1].damaged) == (6, 10, 2, 3)


@pytest.mark.parametrize("key", ["", "d" * 64])
def test_the_key_is_named_and_listed(key):
    (made,) = chain_of([[receipt(1, HOUR, 1, 5)]], key)
    assert made.key == (key[:16] or "none")
    assert ((key, f"audit/v1/keys/{key[:16]}.pem") in made.entries) == bool(key)
