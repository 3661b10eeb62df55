"""What the collector tells of itself: losses, coverage, cost, queues, and what its programs count in the kernel."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import InfoMetricFamily, Metric

from collector.domain.events import Role
from collector.domain.metrics import Counts, KernelFacts
from collector.metrics.families import counter, gauge, rows_of
from collector.metrics.store import Store

_ROLES: Final[tuple[Role, ...]] = ("client", "server")


def own_metrics(store: Store, facts: KernelFacts, losses: Mapping[str, Counts], *, version: str) -> Iterator[Metric]:
    """Return what the collector tells of itself."""
    yield InfoMetricFamily("netscope_build", "What runs here", {"version": version, "rung": facts.rung or "unknown"})
    exchanges = [((role,), store.recorded[role]) for role in _ROLES]
    yield counter("netscope_exchanges", "Exchanges measured", ("role",), exchanges)
    answered = [((role,), store.answered[role]) for role in _ROLES]
    yield counter("netscope_answered_exchanges", "Exchanges measured that had a response", ("role",), answered)
    lost = [((stage, why), count) for stage, by in losses.items() for why, count in by.items()]
    yield counter("netscope_events_lost", "What was lost, where and why", ("stage", "reason"), lost)
    yield counter(
        "netscope_records", "Records of the kernel: captured, decoded, lost", ("state",), rows_of(facts.records)
    )
    yield from _kernel(facts.totals or {})
    yield counter(
        "netscope_label_overflow", "Exchanges counted under _other", ("label",), sorted(rows_of(store.overflow))
    )
    series = (("route", store.routes), ("peer", store.peers), ("service", store.services), ("tcp", store.tcp))
    yield gauge("netscope_series", "Series kept", ("sort",), (((sort,), len(table)) for sort, table in series))
    yield counter("netscope_probe_seconds", "CPU time of our programs", ("program",), rows_of(facts.probe_seconds))
    yield counter("netscope_probe_runs", "Runs of our programs", ("program",), rows_of(facts.probe_runs))
    yield counter("netscope_probe_skipped", "Runs that the kernel left out", ("program",), rows_of(facts.probe_skipped))
    queues = facts.queues or {}
    yield gauge("netscope_queue_depth", "Entries waiting", ("queue",), (((q,), d) for q, (d, _) in queues.items()))
    yield gauge("netscope_queue_limit", "Bound of a queue", ("queue",), (((q,), m) for q, (_, m) in queues.items()))
    yield from _feed(facts.feed or {})
    for name, value, text in (
        ("netscope_ring_fill_ratio", facts.ring_fill_ratio, "How full the ring from the kernel is"),
        ("netscope_drain_lag_seconds", facts.drain_lag_s, "Age of the newest record when it was read"),
        ("netscope_memory_bytes", facts.collector_rss_bytes, "Resident memory of the collector"),
    ):
        if value is not None:
            yield gauge(name, text, (), [((), value)])
    if facts.collector_cpu_s is not None:
        yield counter("netscope_cpu_seconds", "CPU time of the collector", (), [((), facts.collector_cpu_s)])


def _kernel(totals: Mapping[str, int]) -> Iterator[Metric]:
    """The kernel's own totals, exact whatever is lost on the way here."""
    for unit, text in (("bytes", "Bytes moved"), ("calls", "Send and receive calls")):
        rows = [((way,), totals[name]) for way in ("sent", "received") if (name := f"{unit}_{way}") in totals]
        yield counter(f"netscope_kernel_{unit}", f"{text} over watched connections", ("direction",), rows)
    for name, text in (("exchanges", "Response turns"), ("connections", "Connections watched")):
        there = [((), totals[name])] if name in totals else []
        yield counter(f"netscope_kernel_{name}", f"{text}, counted in the kernel", (), there)


def _feed(feed: Mapping[str, int]) -> Iterator[Metric]:
    events = [((name,), count) for name, count in feed.items() if name != "clients"]
    yield counter(
        "netscope_feed_events", "Events of the feed: published, delivered, missed, untraced", ("what",), events
    )
    if "clients" in feed:
        yield gauge("netscope_feed_clients", "Subscribers of the feed", (), [((), feed["clients"])])
