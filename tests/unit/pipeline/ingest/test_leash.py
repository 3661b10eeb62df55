"""The leash: work goes on for one interval after the first record that no commit tells of."""

from pipeline.ingest.leash import Leash


def test_it_is_tight_one_interval_after_the_first_uncommitted_record() -> None:
    leash = Leash(interval_s=0.5)
    assert not leash.tight(100.0)
    leash.settled(100.0)
    leash.settled(100.4)
    assert not leash.tight(100.49)
    assert leash.tight(100.5)


def test_a_commit_tells_of_what_was_settled_before_it_was_sent_and_of_nothing_later() -> None:
    leash = Leash(interval_s=0.5)
    leash.settled(100.0)
    leash.stock_taken()
    leash.settled(100.2)
    leash.committed()
    assert not leash.tight(100.6)
    assert leash.tight(100.7)


def test_a_commit_that_failed_tells_of_nothing() -> None:
    leash = Leash(interval_s=0.5)
    leash.settled(100.0)
    leash.stock_taken()
    leash.stock_taken()
    assert leash.tight(100.5)
    leash.committed()
    assert not leash.tight(1000.0)


def test_an_assignment_begins_loose() -> None:
    leash = Leash(interval_s=0.5)
    leash.settled(100.0)
    leash.loosen()
    assert not leash.tight(1000.0)
