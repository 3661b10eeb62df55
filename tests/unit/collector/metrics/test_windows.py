import pytest

from collector.domain.metrics import WINDOWS
from collector.metrics.engine import Engine
from collector.metrics.settings import MetricsSettings
from tests.support.exchanges import connection, exchange

S = 1_000_000_000
START = 3600 * S  # at the beginning of an interval of every length


def fed(*seconds, **fields):
    engine = Engine()
    engine.tick(START)
    for second in seconds:
        engine.record([exchange(**fields)], START + int(second * S))
    return engine


def counts(engine, at):
    engine.tick(START + int(at * S))
    return {window: engine.network(window=window).client.exchanges for window in WINDOWS}


def test_an_exchange_is_in_every_window_and_leaves_each_in_its_time():
    engine = fed(0.5)
    assert counts(engine, 0.5) == {"10s": 1, "1m": 1, "5m": 1, "1h": 1}
    assert counts(engine, 9.9) == {"10s": 1, "1m": 1, "5m": 1, "1h": 1}
    assert counts(engine, 10.1) == {"10s": 0, "1m": 1, "5m": 1, "1h": 1}
    assert counts(engine, 59.9) == {"10s": 0, "1m": 1, "5m": 1, "1h": 1}
    assert counts(engine, 60.1) == {"10s": 0, "1m": 0, "5m": 1, "1h": 1}
    assert counts(engine, 299) == {"10s": 0, "1m": 0, "5m": 1, "1h": 1}
    assert counts(engine, 301) == {"10s": 0, "1m": 0, "5m": 0, "1h": 1}
    assert counts(engine, 3599) == {"10s": 0, "1m": 0, "5m": 0, "1h": 1}
    assert counts(engine, 3601) == {"10s": 0, "1m": 0, "5m": 0, "1h": 0}


def test_nothing_is_counted_twice_or_lost_as_intervals_fold_into_longer_ones():
    engine = fed(*[number / 10 for number in range(6000)])
    assert counts(engine, 599.9) == {"10s": 100, "1m": 600, "5m": 3000, "1h": 6000}


def test_a_leap_in_time_leaves_nothing_behind():
    engine = fed(0, 1, 2)
    assert counts(engine, 90_000) == {"10s": 0, "1m": 0, "5m": 0, "1h": 0}


def test_rates_are_over_the_time_that_a_window_covers():
    engine = fed(*[number / 10 for number in range(300)])
    engine.tick(START + 30 * S)
    snapshot = engine.network(window="10s")
    assert (snapshot.covered_s, snapshot.client.exchanges) == (9.0, 90)
    assert snapshot.client.per_second == pytest.approx(10.0)
    young = fed(0, 1)
    assert young.network(window="1h").covered_s == 1.0


def test_a_clock_that_goes_back_is_held():
    engine = fed(5, 4, 3)
    assert engine.network(window="10s").client.exchanges == 3


def test_24_hours_on_a_fast_clock_windows_roll_series_expire_nothing_grows():
    engine = Engine(settings=MetricsSettings(series_ttl_s=7200))
    store, resilience = engine._store, engine._resilience

    def kept():
        intervals = sum(
            series.track.intervals for table in (store.routes, store.peers, store.services) for series in table
        )
        return intervals, len(store.routes), len(store.peers), len(store._cells), len(list(resilience)), store._children

    at_most = (0,) * 6
    later = None
    for second in range(0, 24 * 3600, 15):  # an exchange of this hour's route every 15 s, a tick each
        now = START + second * S
        hour = second // 3600
        engine.record(
            [
                exchange(route=f"/hour/{hour}", host=f"host-{hour}", service=f"service-{hour % 5}"),
                exchange(role="server", route="/always", peer_ip=f"10.0.{hour}.1", outcome="timeout", status_code=None),
                connection(service=f"service-{hour % 5}"),
            ],
            now,
        )
        engine.tick(now + 1)
        if second == 4 * 3600:
            later = kept()
        if second > 4 * 3600:
            at_most = tuple(map(max, at_most, kept()))
    assert later is not None
    assert all(most <= early * 1.3 + 2 for most, early in zip(at_most, later, strict=True)), (later, at_most)
    assert engine.coverage().recorded == 2 * 24 * 240  # the totals never expire
    engine.tick(START + 48 * 3600 * S)
    engine.tick(START + 48 * 3600 * S + 20 * S)
    assert kept()[:5] == (0, 0, 0, 0, 0)
    assert store._children == 0
