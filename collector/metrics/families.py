"""Prometheus metric families from rows of label values and a value."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar

from collector.metrics.histogram import BOUNDS_MS, Histogram

_LE: Final = (*(str(bound / 1000) for bound in BOUNDS_MS), "+Inf")


def counter(name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]) -> Metric:
    """Return a counter with its rows of label values and value."""
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]) -> Metric:
    """Return a gauge with its rows of label values and value."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def histogram(name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], Histogram]]) -> Metric:
    """Return a histogram of durations, in seconds, with exemplars where traces are known."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, one in rows:
        passed, buckets = 0, list[tuple[str, float] | tuple[str, float, Exemplar]]()
        for number, le in enumerate(_LE):
            passed += one.counts[number]
            if (known := one.exemplars.get(number)) and known[0]:
                buckets.append((le, passed, Exemplar({"trace_id": known[0]}, known[1] / 1000)))
            else:
                buckets.append((le, passed))
        family.add_metric(values, buckets, one.sum_ms / 1000)
    return family


def rows_of(counts: Mapping[str, float] | None) -> list[tuple[tuple[str], float]]:
    """Return rows of one label."""
    return [((name,), count) for name, count in (counts or {}).items()]
