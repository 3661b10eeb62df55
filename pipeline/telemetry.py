"""What the worker tells about itself: latencies, Prometheus metrics, the resilience snapshot, health."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.outbound.snapshot import ResilienceSnapshot
from pipeline.tally import Tally

_STATES: Final = ("closed", "open", "half_open")
_QUANTILES: Final = {"0.5": 50.0, "0.95": 95.0, "0.99": 99.0, "0.999": 99.9}


class Latencies:
    """How long records take in the worker, and how much of it is the call; in microseconds, exact to 3 digits."""

    def __init__(self) -> None:
        self.total = HdrHistogram(1, 600_000_000, 3)
        self.call = HdrHistogram(1, 600_000_000, 3)

    def record(self, total_s: float, call_s: float) -> None:
        """Take in one record's time from read to first outcome, and the call's part of it."""
        self.total.record_value(int(total_s * 1e6) or 1)
        self.call.record_value(int(call_s * 1e6) or 1)


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints read; functions where the answer changes."""

    tally: Tally
    latencies: Latencies
    snapshot: Callable[[], ResilienceSnapshot]
    waiting: Callable[[], int]
    paused: Callable[[], bool]
    ready: Callable[[], bool]


class WorkerCollector(Collector):
    """Reads the worker's plain counters when Prometheus asks, so that counting costs the worker next to nothing."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """Return every metric as of now."""
        yield self._records()
        yield from self._gateway()
        yield _gauge("pipeline_queue_depth", "Records that wait for a lane", self._state.waiting())
        yield _gauge("pipeline_intake_paused", "Whether Kafka is paused", self._state.paused())
        yield _gauge("pipeline_ready", "Whether the group has assigned partitions", self._state.ready())
        yield self._latency()

    def _records(self) -> Metric:
        family = CounterMetricFamily("pipeline_records", "Records by what became of them", labels=["result"])
        for name, value in msgspec.structs.asdict(self._state.tally).items():
            family.add_metric([name], value)
        return family

    def _gateway(self) -> Iterable[Metric]:
        now = self._state.snapshot()
        at = [now.destination]
        circuit = GaugeMetricFamily(
            "pipeline_circuit_state", "1 for the present state", labels=["destination", "state"]
        )
        for state in _STATES:
            circuit.add_metric([now.destination, state], state == now.circuit)
        yield circuit
        outcomes = CounterMetricFamily(
            "pipeline_outcomes", "Calls by how they ended", labels=["destination", "outcome"]
        )
        for name, value in now.outcomes.items():
            outcomes.add_metric([now.destination, name], value)
        yield outcomes
        for name, text, total in (
            ("pipeline_attempts", "Attempts on the wire", now.attempts_total),
            ("pipeline_retries", "Attempts after the first", now.retries_total),
            ("pipeline_timeouts", "Attempts that ran out of time", now.timeouts_total),
            ("pipeline_circuit_opened", "Times that the circuit opened", now.circuit_opened_total),
        ):
            counter = CounterMetricFamily(name, text, labels=["destination"])
            counter.add_metric(at, total)
            yield counter
        for name, text, level in (
            ("pipeline_in_flight", "Calls under way", float(now.in_flight)),
            ("pipeline_saturation_ratio", "Share of the places taken", now.saturation),
            ("pipeline_retry_budget", "Retries that could be had at once", float(now.retry_budget)),
        ):
            gauge = GaugeMetricFamily(name, text, labels=["destination"])
            gauge.add_metric(at, level)
            yield gauge

    def _latency(self) -> Metric:
        total = self._state.latencies.total
        count = total.get_total_count()
        return SummaryMetricFamily(
            "pipeline_record_seconds",
            "From read to first outcome",
            count_value=count,
            sum_value=total.get_mean_value() * count / 1e6 if count else 0.0,
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def app(state: WorkerState) -> Starlette:
    """Return the app for the worker's own port: GET /metrics, /resilience, /latency, /health/live, /health/ready."""
    registry = CollectorRegistry()
    registry.register(WorkerCollector(state))

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def resilience(_: Request) -> Response:
        body = {
            **msgspec.structs.asdict(state.snapshot()),
            "records": msgspec.structs.asdict(state.tally),
            "waiting": state.waiting(),
            "paused": state.paused(),
        }
        return JSONResponse(body)

    async def latency(_: Request) -> Response:
        both = {"total_us": state.latencies.total, "call_us": state.latencies.call}
        body: dict[str, Any] = {
            name: {quantile: one.get_value_at_percentile(at) for quantile, at in _QUANTILES.items()}
            for name, one in both.items()
        }
        body["histograms"] = {name: one.encode().decode("ascii") for name, one in both.items()}
        return JSONResponse(body)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "pass"}, media_type="application/health+json")

    async def ready(_: Request) -> Response:
        ok = state.ready()
        body = {"status": "pass"} if ok else {"status": "fail", "output": "no partitions are assigned"}
        return JSONResponse(body, 200 if ok else 503, media_type="application/health+json")

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/resilience", resilience),
            Route("/latency", latency),
            Route("/health/live", live),
            Route("/health/ready", ready),
        ]
    )
