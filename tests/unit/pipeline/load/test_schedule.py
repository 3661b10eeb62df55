"""Records are due by the schedule alone."""

import itertools

import pytest

from pipeline.load.messages import MessageSource
from pipeline.load.schedule import Schedule, Spike, Step


def starts(schedule: Schedule, duration_s: float) -> list[float]:
    return list(schedule.starts(duration_s=duration_s))


def test_one_rate_is_evenly_spaced() -> None:
    found = starts(Schedule(steps=(Step(at_s=0, rate=10),)), 2)
    assert found == pytest.approx([n / 10 for n in range(20)])


def test_steps_and_spikes_change_the_rate_at_their_moment() -> None:
    schedule = Schedule(
        steps=(Step(at_s=0, rate=10), Step(at_s=2, rate=100)), spikes=(Spike(at_s=1, rate=50, for_s=0.5),)
    )
    found = starts(schedule, 3)
    per_half = [sum(at <= one < at + 0.5 for one in found) for at in (0, 0.5, 1, 1.5, 2, 2.5)]
    assert per_half == [5, 5, 25, 5, 50, 50]
    assert all(earlier < later for earlier, later in itertools.pairwise(found))


def test_a_pause_is_a_step_to_nothing() -> None:
    schedule = Schedule(steps=(Step(at_s=0, rate=10), Step(at_s=1, rate=0), Step(at_s=2, rate=10)))
    assert [sum(int(one) == second for one in starts(schedule, 3)) for second in range(3)] == [10, 0, 10]


def source(seed: int) -> MessageSource:
    return MessageSource(run="r", seed=seed, poison_share=0.3, routes=("/a", "/b"), pad_bytes=10)


def test_the_same_seed_makes_the_same_records() -> None:
    one, same, other = source(1), source(1), source(2)
    made = [one.make(n, intended_ns=n) for n in range(50)]
    assert made == [same.make(n, intended_ns=n) for n in range(50)]
    assert made != [other.make(n, intended_ns=n) for n in range(50)]
    assert {record.poison is None for record in made} == {True, False}
