import random

import pytest

from collector.metrics.backoff import BackoffShape
from collector.metrics.concurrency import Concurrency
from collector.metrics.timeouts import TimeoutShape

MS = 1_000_000


def timeouts(waits):
    shape = TimeoutShape()
    for wait in waits:
        shape.add(wait)
    return shape.inferred()


def test_a_timeout_shows_as_a_cluster():
    draw = random.Random(7)
    found = timeouts([1500 + draw.random() * 6 for _ in range(100)])
    assert found.timeout_ms == pytest.approx(1503, abs=3)
    assert found.spread_ms < 6
    assert found.confidence > 0.95


def test_shorter_deadlines_among_them_do_not_move_it():
    draw = random.Random(7)
    found = timeouts([1500 + draw.random() * 6 for _ in range(70)] + [draw.random() * 1400 for _ in range(30)])
    assert found.timeout_ms == pytest.approx(1503, abs=4)
    assert 0.6 < found.confidence < 0.8


def test_two_say_nothing_and_a_spread_says_little():
    assert timeouts([500, 500]) is None
    assert timeouts([100 * number for number in range(1, 30)]).confidence < 0.3


def backoff(delays_of):
    shape, draw = BackoffShape(), random.Random(7)
    for retry in (1, 2, 3):
        for _ in range(100):
            shape.add(retry, delays_of(retry, draw.random()))
    return shape.inferred()


def test_full_jitter_is_known_by_its_ceilings():
    found = backoff(lambda retry, draw: draw * 100 * 2 ** (retry - 1))
    assert found.form == "jittered"
    assert found.base_ms == pytest.approx(100, rel=0.05)
    assert found.factor == pytest.approx(2, rel=0.05)
    assert found.confidence > 0.9


def test_growing_and_constant_delays_are_known():
    growing = backoff(lambda retry, draw: 50 * 3 ** (retry - 1) + draw)
    assert (growing.form, growing.factor) == ("exponential", pytest.approx(3, rel=0.05))
    constant = backoff(lambda retry, draw: 200 + draw * 3)
    assert (constant.form, constant.factor) == ("constant", pytest.approx(1, rel=0.05))


def test_few_retries_are_shown_but_not_named():
    shape = BackoffShape()
    assert shape.inferred() is None
    shape.add(1, 20)
    found = shape.inferred()
    assert (found.form, found.confidence, found.steps[0].samples) == ("unknown", 0.0, 1)


def test_the_most_at_once_is_exact_also_over_batches():
    draw = random.Random(3)
    spans = [(began := draw.randrange(5_000), began + draw.randrange(1, 300), number % 40) for number in range(600)]
    spans.sort(key=lambda span: span[1])
    at_once = max(sum(began <= moment < ended for began, ended, _ in spans) for moment in range(5_300))
    together = Concurrency()
    for number, span in enumerate(spans):
        together.add(*(MS * part for part in span[:2]), span[2])
        if number % 50 == 0:
            together.settle(0)
    together.settle(0)
    assert together.peak == at_once


def test_one_that_begins_as_another_ends_is_not_at_once():
    together = Concurrency()
    together.add(0, 10, 1)
    together.add(10, 20, 1)
    together.settle(0)
    assert together.peak == 1


def test_a_full_pool_whose_connections_are_taken_at_once_had_a_queue():
    together = Concurrency()
    for turn in range(50):
        for connection in range(4):
            together.add(turn * 10 * MS, (turn * 10 + 10) * MS - 1000, connection)
    together.settle(4)
    assert together.queued == 49 * 4
    calm = Concurrency()
    for turn in range(50):
        calm.add(turn * 20 * MS, (turn * 20 + 10) * MS, turn % 4)
    calm.settle(4)
    assert calm.queued == 0
