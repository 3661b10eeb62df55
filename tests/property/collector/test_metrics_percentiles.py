"""Percentiles: equal to an exact sort within the HDR precision, equal to the package, whatever way they were merged."""

import math
from collections import Counter

from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.metrics import hdr
from collector.metrics.engine import Engine
from collector.metrics.values import Values
from tests.support.exchanges import exchange

TIMES_US = st.one_of(
    st.integers(0, 5000),
    st.integers(0, hdr.HIGHEST_US),
    st.integers(0, 31).map(lambda bit: 1 << bit),
)
PERCENTILES = [50.0, 95.0, 99.0, 99.9, 100.0]


def rank(count, percentile):
    return max(int(percentile * count / 100 + 0.5), 1)


@given(st.lists(TIMES_US, min_size=1, max_size=400))
def test_indices_and_percentiles_are_those_of_the_package(times):
    package = HdrHistogram(hdr.LOWEST_US, hdr.HIGHEST_US, hdr.DIGITS)
    for us in times:
        package.record_value(us)
    counts = Counter(hdr.indices(times))
    assert hdr.percentiles(counts, PERCENTILES) == [package.get_value_at_percentile(one) for one in PERCENTILES]
    assert [package.get_count_at_index(index) for index in sorted(counts)] == [
        counts[index] for index in sorted(counts)
    ]
    assert hdr.full(counts).get_total_count() == len(times)


@given(st.lists(TIMES_US, min_size=1, max_size=400))
def test_percentiles_are_an_exact_sort_within_the_precision(times):
    found = hdr.percentiles(Counter(hdr.indices(times)), PERCENTILES)
    ordered = sorted(times)
    for percentile, value in zip(PERCENTILES, found, strict=True):
        true = ordered[rank(len(ordered), percentile) - 1]
        assert true <= value <= true + max(true // 1024, 0)


@given(st.lists(st.lists(TIMES_US, max_size=200), max_size=8), st.integers(0, 7))
def test_merging_loses_nothing_in_whatever_order(parts, turn):
    def merged(order):
        whole = Values()
        for part in order:
            values = Values()
            values.add(hdr.indices(part), sum(part))
            if len(part) % 2:
                values.settle()
            whole.merge(values)
        counts = Counter()
        whole.add_to(counts)
        return counts, whole.total_us

    everything = [us for part in parts for us in part]
    expected = Counter(hdr.indices(everything)), sum(everything)
    assert merged(parts) == merged(parts[turn:] + parts[:turn]) == expected


@settings(max_examples=30)
@given(
    st.lists(st.floats(0, 60_000, allow_nan=False), min_size=1, max_size=120),
    st.integers(0, 400_000_000),
    st.sampled_from(["1m", "5m", "1h"]),
)
def test_a_window_of_the_engine_is_an_exact_sort_of_what_came_within_it(times_ms, gap_ns, window):
    engine, now = Engine(), 10**15  # on no interval's edge but its own
    spans = {"1m": 55, "5m": 270, "1h": 3300}
    for elapsed in times_ms:
        now += gap_ns
        engine.record([exchange(elapsed_ms=elapsed)], now)
    engine.tick(now)
    within = times_ms[-(1 + math.floor(spans[window] * 1e9 / gap_ns)) :] if gap_ns else times_ms
    found = engine.network(window=window).client.elapsed
    assert found is not None
    assert found.count >= len(within)  # a window covers at least its name less one interval
    latest = sorted(int(one * 1000 + 0.5) for one in times_ms[-found.count :])
    for percentile, value in zip(
        [50.0, 95.0, 99.0, 99.9], (found.p50_ms, found.p95_ms, found.p99_ms, found.p999_ms), strict=True
    ):
        true = latest[rank(len(latest), percentile) - 1]
        assert true <= round(value * 1000) <= true + true // 1024
