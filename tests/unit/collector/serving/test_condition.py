"""What the snapshot says was lost, while records are on their way."""

from dataclasses import dataclass

from collector.condition import Condition


@dataclass
class Probe:
    """Numbers as the kernel and the ring would have them."""

    captured: int = 0
    decoded: int = 0
    missed: int = 0
    waiting: bool = False

    def counts(self):
        return {"captured": self.captured, "decoded": self.decoded, "lost": self.captured - self.decoded}

    def fill_ratio(self):
        return 0.1 if self.waiting else 0.0


def records(condition, probe):
    return condition._records(probe)[0]


def test_what_is_on_its_way_is_not_lost():
    condition, probe = Condition(0), Probe(captured=100, decoded=90, waiting=True)
    assert condition._records(probe) == ({"captured": 90, "decoded": 90, "lost": 0}, 10)
    probe.captured, probe.decoded, probe.waiting = 101, 100, False  # numbered, not in the ring yet
    assert records(condition, probe)["lost"] == 0
    probe.captured, probe.decoded = 201, 201
    assert records(condition, probe) == {"captured": 201, "decoded": 201, "lost": 0}


def test_a_hole_in_the_numbers_is_lost_at_once_and_for_good():
    condition, probe = Condition(0), Probe(captured=100, decoded=90, missed=3, waiting=True)
    assert records(condition, probe) == {"captured": 93, "decoded": 90, "lost": 3}
    probe.decoded, probe.waiting = 97, False
    assert [records(condition, probe)["lost"] for _ in range(3)] == [3, 3, 3]


def test_what_was_lost_last_shows_once_the_ring_stays_empty_or_at_the_end():
    condition, probe = Condition(0), Probe(captured=100, decoded=95)
    assert [records(condition, probe)["lost"] for _ in range(3)] == [0, 5, 5]
    probe.captured = 107
    condition.stopping = True
    assert records(condition, probe) == {"captured": 107, "decoded": 95, "lost": 12}
