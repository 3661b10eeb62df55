"""The hand-off: bounded, ordinary events first to give way, every one counted."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collector.audit.intake import Intake
from tests.support.audit_events import connection, exchange


def test_nothing_waits_beyond_the_bound_and_critical_events_are_taken_longest():
    intake = Intake(100)
    for number in range(200):
        intake.put([connection(number), exchange(number)], None, 0)
    kinds = Counter(type(event).__name__ for batch in intake.take(1000, 0) for event in batch.events)
    assert sum(kinds.values()) == 100
    assert kinds["Exchange"] > kinds["Connection"] >= 39
    assert intake.losses() == {"queue_full": 200 - kinds["Exchange"], "queue_full_ordinary": 200 - kinds["Connection"]}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40))
def test_what_was_offered_is_taken_waiting_or_lost(steps):
    intake, taken = Intake(50), 0
    for put, count in steps:
        if put:
            events = [exchange(n) if n % 3 else connection(n) for n in range(count)]
            lines = [str(n).encode() for n in range(count)]
            intake.put(events, lines, 0)
        else:
            for batch in intake.take(count, 0):
                taken += len(batch.events)
                assert [event.seq for event in batch.events] == [int(line) for line in batch.lines]
        assert intake.waiting <= 50
        assert intake.issued == taken + intake.waiting + sum(intake.losses().values())


def test_after_the_end_nothing_is_taken_and_that_is_counted():
    intake = Intake(10)
    intake.close()
    assert intake.put([exchange(1)], None, 0) == 0
    assert intake.losses() == {"closed": 1}
