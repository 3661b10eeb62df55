"""When the collector runs in the background, and when as others do."""

import os

from hypothesis import given
from hypothesis import strategies as st

from collector.kernel.background import Background, Heartbeat

MS = 1_000_000
BACK, AS_OTHERS = os.SCHED_IDLE, os.SCHED_BATCH


def at(state, ms, *, last=None, behind=False):
    return state.due(ms * MS, last_ns=(ms if last is None else last) * MS, behind=behind)


def test_not_before_the_first_beat():
    state = Background()
    assert at(state, 10_000, last=0) == AS_OTHERS
    assert at(state, 10_020) == BACK


def test_a_late_beat_ends_it_for_a_while_that_doubles():
    state = Background()
    now, holds = 10_000, []
    for _ in range(9):
        assert at(state, now) == BACK
        assert at(state, now + 25, last=now) == BACK
        raised = now + 26
        assert at(state, raised, last=now) == AS_OTHERS
        now = raised
        while at(state, now) == AS_OTHERS:
            now += 10
        holds.append(now - raised)
    assert holds == [510, 1010, 2010, 4010, 8010, 16010, 32010, 60010, 60010]


def test_after_a_calm_time_the_first_hold_is_short_again():
    state = Background()
    for now in (10_000, 10_600):
        at(state, now)
        at(state, now, behind=True)
    assert at(state, 10_600 + 900) == AS_OTHERS
    assert at(state, 10_600 + 1100) == BACK
    assert at(state, 20_000, behind=True) == AS_OTHERS
    assert at(state, 20_000 + 510) == BACK


@given(st.lists(st.tuples(st.integers(1, 200), st.booleans())))
def test_who_starves_is_never_left_in_the_background(steps):
    state, now = Background(), 10_000
    for passed, behind in steps:
        now += passed
        if at(state, now, last=now - passed, behind=behind) == BACK:
            assert passed <= 25
            assert not behind


def test_the_page_is_shared_across_a_fork():
    heartbeat = Heartbeat()
    assert (heartbeat.last_ns, heartbeat.behind) == (0, False)
    pid = os.fork()
    if not pid:
        heartbeat.beat(7, behind=True)
        os._exit(0)
    os.waitpid(pid, 0)
    assert (heartbeat.last_ns, heartbeat.behind) == (7, True)
