import pytest

from collector.metrics.calls import Call
from collector.metrics.circuit import CircuitMachine

MS = 1_000_000
S = 1000 * MS
T0 = 1_790_000_000 * S


class Calls:
    """A caller, told step by step; time passes in ticks of 50 ms."""

    def __init__(self):
        self.machine = CircuitMachine()
        self.now = T0

    def call(self, *, ms=10, failed=False):
        self.machine.call(Call(self.now, self.now + ms * MS, failed))
        self.now += ms * MS
        return self

    def calls(self, number, *, every=20, failed=False):
        for _ in range(number):
            self.call(failed=failed)
            self.wait(every - 10)
        return self

    def wait(self, ms, *, alive=True, busy=False):
        until = self.now + ms * MS
        while self.now < until:
            self.now = min(self.now + 50 * MS, until)
            self.machine.pass_time(self.now, alive=alive, busy=busy)
        return self

    @property
    def told(self):
        return [(before, after, (at - T0) // MS) for before, after, at in self.machine.transitions]


def test_nothing_is_known_before_the_first_call():
    assert Calls().wait(1000).machine.state == "unknown"


def test_silence_after_success_is_no_open_circuit():
    assert Calls().calls(50).wait(10_000).machine.state == "closed"


def test_failures_then_silence_open_it_dated_by_the_failure():
    caller = Calls().calls(50).calls(20, failed=True).wait(600)
    assert caller.machine.state == "open"
    assert caller.told == [("closed", "open", 50 * 20 + 19 * 20 + 10)]
    inferred = caller.machine.inferred()
    assert inferred.confidence >= 0.7
    assert "20 in a row" in inferred.evidence[0].seen
    assert "some other work" in inferred.evidence[-1].seen


def test_without_other_work_it_may_as_well_be_the_end_of_the_load():
    caller = Calls().calls(20, failed=True).wait(1000, alive=False)
    assert caller.machine.state == "open"
    assert caller.machine.confidence < 0.5
    assert caller.wait(130_000, alive=False).machine.state == "unknown"


def test_a_trial_that_fails_opens_again_and_good_ones_close():
    caller = Calls().calls(30).calls(20, failed=True).wait(1000)
    opened = caller.now
    caller.call(failed=True).wait(2000)
    tried = caller.now
    caller.calls(6).wait(100)
    assert [(before, after) for before, after, _ in caller.told] == [
        ("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("open", "half_open"), ("half_open", "closed"),
    ]  # fmt: skip
    dated = [at for _, _, at in caller.told]
    assert dated[1:3] == [(opened - T0) // MS, (opened - T0) // MS + 10]
    assert dated[3:] == [(tried - T0) // MS, (tried - T0) // MS + 10]
    assert caller.machine.opened_total == 2


def test_few_calls_after_the_trial_close_it_in_time():
    caller = Calls().calls(30).calls(20, failed=True).wait(1000).calls(2, every=100).wait(250).calls(1).wait(200)
    assert caller.machine.state == "closed"


def test_a_hanging_call_is_no_silence():
    caller = Calls().calls(30).calls(20, failed=True).wait(3000, busy=True)
    assert caller.machine.state == "closed"


def test_a_slow_caller_may_pause_between_failures():
    caller = Calls().calls(20, every=1000, failed=True).wait(1500)
    assert caller.machine.state == "closed"
    assert caller.wait(2000).machine.state == "open"


def test_an_opening_that_no_tick_saw_is_found_by_the_next_call():
    caller = Calls().calls(30).calls(20, failed=True)
    caller.now += 2 * S
    caller.call()
    assert caller.machine.state == "half_open"
    assert [after for _, after, _ in caller.told] == ["open", "half_open"]


def test_calls_that_were_under_way_when_it_opened_do_not_date_it():
    caller = Calls().calls(30).calls(19, failed=True)
    began = caller.now
    for number in range(5):  # five at once, failing one after the other
        caller.machine.call(Call(began, began + (10 + 100 * number) * MS, True))
    caller.now = began + 410 * MS
    caller.wait(500)
    assert caller.told[-1][1:] == ("open", (began - T0) // MS + 10)


@pytest.mark.parametrize("failed", [True, False])
def test_few_calls_prove_nothing(failed):
    assert Calls().calls(4, failed=failed).wait(5000).machine.state == "closed"


def test_the_first_trial_is_a_call_that_began_after_the_opening():
    caller = Calls().calls(30).calls(20, failed=True)
    began = caller.now - 12 * MS  # before the failure that opened it was known
    caller.wait(600)
    caller.machine.call(Call(began, caller.now, True))
    assert caller.machine.state == "open"


def test_where_only_half_of_them_fail_the_silence_has_to_be_longer():
    caller = Calls().calls(30)
    for _ in range(20):
        caller.calls(1, every=100, failed=True).calls(1, every=100)
    assert caller.wait(600).machine.state == "closed"
    assert caller.wait(400).machine.state == "open"


def test_calls_that_go_on_though_they_fail_are_no_trials():
    caller = Calls().calls(30).calls(20, failed=True).wait(700)
    assert (caller.machine.state, caller.machine.opened_total) == ("open", 1)
    caller.calls(30, failed=True)
    assert (caller.machine.state, caller.machine.opened_total, caller.told) == ("closed", 0, [])
    assert "no breaker" in caller.machine.inferred().evidence[-1].seen


def test_an_opening_that_was_taken_back_does_not_hide_the_real_one():
    caller = Calls().calls(30).calls(18, failed=True).wait(700).calls(12, failed=True)
    assert caller.machine.opened_total == 0
    assert caller.wait(700).machine.state == "open"
    caller.call(failed=True).wait(2000).calls(6)
    assert (caller.machine.state, caller.machine.opened_total, caller.machine.opened_confirmed) == ("closed", 2, 2)


def test_a_trial_of_which_a_part_fails_opens_again():
    caller = Calls().calls(30).calls(20, failed=True).wait(1000)
    caller.call(failed=True).call(failed=True).call()
    assert caller.wait(1000).machine.state == "open"
    assert caller.machine.opened_total == 2


def test_an_opening_too_short_for_a_bursty_caller_is_found_by_the_next():
    caller = Calls()
    for _ in range(12):  # five at once, then nothing for 300 ms
        caller.calls(5, every=11).wait(300)
    for _ in range(2):
        caller.calls(5, every=11, failed=True).wait(300)
    first = caller.now - 300 * MS
    caller.wait(600)
    assert caller.machine.state == "closed"
    tried = caller.now
    caller.call(failed=True).wait(3000)
    assert [(after, at) for _, after, at in caller.told] == [
        ("open", (first - T0) // MS - 1), ("half_open", (tried - T0) // MS), ("open", (tried - T0) // MS + 10),
    ]  # fmt: skip
    assert caller.machine.opened_total == 2
