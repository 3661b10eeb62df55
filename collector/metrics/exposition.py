"""The Prometheus exposition of everything that is measured; docs/reference/metrics.md is the contract of its names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest as text_of
from prometheus_client.openmetrics.exposition import ALLOWUTF8
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.registry import Collector

from collector.domain.events import Role
from collector.domain.metrics import WINDOWS, Counts, KernelFacts, Window
from collector.metrics import hdr
from collector.metrics.families import counter, gauge, histogram
from collector.metrics.own_metrics import own_metrics
from collector.metrics.resilience import Resilience
from collector.metrics.series import Series
from collector.metrics.store import Store
from collector.metrics.windows import ELAPSED

_PERCENTILES: Final = {"50": 50.0, "95": 95.0, "99": 99.0, "99.9": 99.9}
_ROUTE_WINDOW: Final[Window] = "1m"
_ROLES: Final[tuple[Role, ...]] = ("client", "server")
_CIRCUITS: Final = ("closed", "half_open", "open", "unknown")
_POOL_STATES: Final = ("busy", "idle")


# the fields of Series that are counters: metric name after the role, help
_TOTALS: Final = {
    "retries": ("retries", "Requests that repeat an earlier one (same idempotency key or request ID)"),
    "timeouts": ("timeouts", "Requests given up before any byte of a final response (inferred)"),
    "errors": ("errors", "Exchanges without a complete final response, or with status 5xx"),
    "sent": ("sent_bytes", "Bytes that this side sent: requests of a client, responses of a server"),
    "received": ("received_bytes", "Bytes that this side received"),
}
_CLIENT_ONLY: Final = frozenset({"retries", "timeouts"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposition(Collector):
    """One scrape."""

    store: Store
    resilience: Resilience
    facts: KernelFacts
    losses: Mapping[str, Counts]
    version: str

    def encoded(self, *, openmetrics: bool) -> bytes:
        """Return the exposition as text."""
        registry = CollectorRegistry()
        registry.register(self)
        # all names are plain: with ALLOWUTF8 they are not looked at letter by letter, which is several times as fast
        if openmetrics:
            return bytes(openmetrics_of(registry, ALLOWUTF8))  # type: ignore[no-untyped-call]
        return text_of(registry, ALLOWUTF8)

    def describe(self) -> Iterable[Metric]:
        """Say nothing before a scrape: registering collects nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return every metric as of now."""
        self.store.fold()
        for role in _ROLES:
            yield from self._traffic(role)
        yield from self._percentiles()
        yield from self._peers()
        yield from self._pools()
        yield from self._circuits()
        yield from self._tcp()
        yield from own_metrics(self.store, self.facts, self.losses, version=self.version)

    # -- traffic -----------------------------------------------------------------------------------------------

    def _traffic(self, role: Role) -> Iterator[Metric]:
        series = [one for one in self.store.routes if one.role == role]
        prefix = f"netscope_http_{role}"
        labels = ("service", "route")
        yield histogram(
            f"{prefix}_request_duration_seconds",
            "From the first byte of a request to the last of its response",
            labels,
            (((one.service, one.name), one.duration) for one in series),
        )
        yield counter(
            f"{prefix}_requests",
            "Exchanges by how they ended",
            ("service", "route", "method", "status_class", "outcome"),
            (((one.service, one.name, *key), count) for one in series for key, count in one.requests.items()),
        )
        for field, (name, text) in _TOTALS.items():
            if role == "server" and field in _CLIENT_ONLY:
                continue
            rows = [((one.service, one.name), float(getattr(one, field))) for one in series]
            yield counter(f"{prefix}_{name}", text, labels, rows)

    def _percentiles(self) -> Iterator[Metric]:
        """Percentiles over sliding windows: of routes over one window, of whole services over all of them."""
        yield from self._percentiles_of(self.store.routes, (_ROUTE_WINDOW,), "route_duration_percentile", ("route",))
        yield from self._percentiles_of(self.store.services, WINDOWS, "duration_percentile", ())

    def _percentiles_of(
        self, table: Iterable[Series], windows: Sequence[Window], name: str, more: tuple[str, ...]
    ) -> Iterator[Metric]:
        series = list(table)
        for role in _ROLES:
            family = GaugeMetricFamily(
                f"netscope_http_{role}_{name}_seconds",
                "Exact to 0.1%: from HDR histograms over sliding windows",
                labels=("service", *more, "percentile", "window"),
            )
            for window in windows:
                for one in series:
                    if one.role == role and (counts := one.track.span(ELAPSED, window, self.store.now_ns)):
                        labels = (one.service, one.name) if more else (one.service,)
                        found = hdr.percentiles(counts, list(_PERCENTILES.values()))
                        for percentile, us in zip(_PERCENTILES, found, strict=True):
                            family.add_metric((*labels, percentile, window), us / 1e6)
            yield family

    def _peers(self) -> Iterator[Metric]:
        series = list(self.store.peers)
        for name, field, text in (
            ("requests", "exchanges", "Exchanges by whom they were with"),
            ("errors", "errors", "Exchanges without a complete final response, or with status 5xx, by peer"),
            ("retries", "retries", "Requests that repeat an earlier one, by peer"),
            ("timeouts", "timeouts", "Requests given up before any byte of a final response (inferred), by peer"),
        ):
            rows = [((one.service, one.role, one.name), float(getattr(one, field))) for one in series]
            yield counter(f"netscope_http_peer_{name}", text, ("service", "role", "peer"), rows)
        yield histogram(
            "netscope_read_delay_seconds",
            "From a first byte in the kernel to its read by the process",
            ("service", "role"),
            (((one.service, one.role), one.read_delay) for one in self.store.services),
        )

    # -- resilience --------------------------------------------------------------------------------------------

    def _pools(self) -> Iterator[Metric]:
        pools = self.resilience.pools()
        labels = ("service", "role", "peer")
        keys = [(pool.service, pool.role, pool.peer) for pool in pools]
        yield gauge(
            "netscope_pool_connections",
            "Open connections: busy with a request under way, or idle",
            (*labels, "state"),
            (
                ((*key, state), getattr(pool, state))
                for key, pool in zip(keys, pools, strict=True)
                for state in _POOL_STATES
            ),
        )
        for name, field, text in (
            ("netscope_pool_peak_connections", "peak_open", "Most connections open at once, since the start"),
            ("netscope_pool_peak_busy_connections", "peak_busy", "Most requests under way at once, since the start"),
            ("netscope_pool_saturation_ratio", "saturation_ratio", "Busy connections over the most ever open at once"),
        ):
            yield gauge(name, text, labels, ((k, getattr(p, field)) for k, p in zip(keys, pools, strict=True)))
        yield gauge(
            "netscope_pool_queued_ratio",
            "Share of requests that seem to have waited for a connection (inferred), since the start",
            labels,
            ((k, p.queued_ratio) for k, p in zip(keys, pools, strict=True) if p.queued_ratio is not None),
        )
        refused = [(k, float(p.refused)) for k, p in zip(keys, pools, strict=True) if p.role == "client"]
        yield counter("netscope_pool_refused_connections", "Connects that failed", labels, refused)

    def _circuits(self) -> Iterator[Metric]:
        labels = ("service", "peer")
        rows = [((one.service, one.peer), one) for one in self.resilience]
        yield gauge(
            "netscope_circuit_state",
            "Breaker state as inferred from the wire: 1 for the state it is in",
            (*labels, "state"),
            (((*key, state), float(state == one.circuit.state)) for key, one in rows for state in _CIRCUITS),
        )
        yield gauge(
            "netscope_circuit_confidence_ratio",
            "How far the inferred state can be trusted",
            labels,
            ((key, one.circuit.confidence) for key, one in rows),
        )
        yield counter(
            "netscope_circuit_opened",
            "Times that the breaker was seen opening, once a trial confirmed it",
            labels,
            ((key, one.circuit.opened_confirmed) for key, one in rows),
        )
        yield counter(
            "netscope_resilience_compared",
            "Figures compared with what workers say of themselves",
            labels,
            ((key, one.comparison.compared) for key, one in rows),
        )
        yield counter(
            "netscope_resilience_disagreements",
            "Figures on which the wire and the worker differed",
            labels,
            ((key, one.comparison.disagreed) for key, one in rows),
        )

    # -- transport --------------------------------------------------------------------

    def _tcp(self) -> Iterator[Metric]:
        rows = [((one.service, one.role), one) for one in self.store.tcp]
        labels = ("service", "role")
        yield histogram(
            "netscope_tcp_connect_duration_seconds",
            "From SYN to established; told when the connection ends",
            labels,
            ((key, one.connect) for key, one in rows),
        )
        yield histogram(
            "netscope_tcp_srtt_seconds",
            "The kernel's smoothed round-trip time of a connection at its end",
            labels,
            ((key, one.srtt) for key, one in rows),
        )
        yield counter(
            "netscope_tcp_connections",
            "Connections that ended, by how",
            (*labels, "outcome"),
            (((*key, outcome), count) for key, one in rows for outcome, count in sorted(one.ended.items())),
        )
        for name, field, text in (
            ("retransmits", "retransmits", "Segments sent again"),
            ("sent_bytes", "sent", "Bytes sent over connections that ended"),
            ("received_bytes", "received", "Bytes received over connections that ended"),
        ):
            yield counter(
                f"netscope_tcp_{name}", text, labels, [(key, float(getattr(one, field))) for key, one in rows]
            )
