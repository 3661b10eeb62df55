"""What is measured, in frozen types, and the two ports of the metrics engine: one to record, one to read.

Times are milliseconds, except where the name says otherwise. docs/reference/metrics.md explains every figure.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from collector.domain.events import Connection, Exchange, Role

SNAPSHOT_VERSION: Final = "1.0"

Window = Literal["10s", "1m", "5m", "1h"]
WINDOWS: Final[tuple[Window, ...]] = ("10s", "1m", "5m", "1h")
Circuit = Literal["closed", "open", "half_open", "unknown"]
BackoffForm = Literal["constant", "exponential", "jittered", "unknown"]

Counts = dict[str, int]


# -- what the shell tells the engine -------------------------------------------------------------------------------


class PoolFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The connections that one service holds to one peer, as of now (collector.correlate.pools)."""

    service: str | None
    role: Role
    peer_ip: str | None  # null: all peers together, as servers' are told
    peer_port: int | None
    open: int
    busy: int  # of these, with a request under way


class KernelFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the engine cannot see in events. All counts are totals since the start; the engine does no I/O to get them.

    Every part is optional: what is absent stays as it was told last.
    """

    wall_ns: int | None = None  # CLOCK_REALTIME now
    records: Mapping[str, int] | None = None  # Probe.counts()
    totals: Mapping[str, int] | None = None  # Probe.totals()
    losses: Mapping[str, Mapping[str, int]] | None = None  # stage -> reason -> count, all stages
    ring_fill_ratio: float | None = None
    drain_lag_s: float | None = None  # age of the newest record when it was drained
    queues: Mapping[str, tuple[int, int]] | None = None  # name -> (depth, limit)
    probe_seconds: Mapping[str, float] | None = None  # program -> CPU seconds in the kernel
    probe_runs: Mapping[str, int] | None = None
    probe_skipped: Mapping[str, int] | None = None
    collector_cpu_s: float | None = None
    collector_rss_bytes: int | None = None
    rung: str | None = None
    feed: Mapping[str, int] | None = None  # published, delivered, missed, untraced, clients
    pools: Sequence[PoolFacts] | None = None
    intake: Mapping[str, int] | None = None  # service -> reads on connections that are not HTTP (Kafka)
    workers: Sequence["WorkerReport"] | None = None  # what the workers say of themselves, where configured


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a worker says of one destination: the shape of its own snapshot URL. Unknown fields are ignored."""

    destination: str
    service: str | None = None  # filled in by the reader, from configuration
    circuit: str | None = None
    circuit_opened_total: int | None = None
    in_flight: int | None = None
    queue_depth: int | None = None
    saturation: float | None = None
    attempts_total: int | None = None
    retries_total: int | None = None
    timeouts_total: int | None = None


# -- traffic over a window -----------------------------------------------------------------------------------------


class Distribution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Of one time span: from an HDR histogram of three digits, so each value is at most 0.1% above the true one."""

    count: int
    min_ms: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


class Traffic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Exchanges over a window, of one side (client or server)."""

    exchanges: int
    per_second: float
    errors: int  # no complete final response, or 5xx (severity error)
    error_ratio: float | None  # null: no exchanges
    retries: int
    timeouts: int
    retransmits: int
    bytes_sent: int
    bytes_received: int
    outcomes: Counts
    status_classes: Counts
    elapsed: Distribution | None  # null: nothing measured
    connect: Distribution | None
    wait: Distribution | None
    read_delay: Distribution | None


class RouteTraffic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Traffic of one route of one service."""

    service: str
    role: Role
    route: str
    traffic: Traffic


class PeerTraffic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Traffic of one service with one peer (host name as asked for, else address; never a port of its own)."""

    service: str
    role: Role
    peer: str
    traffic: Traffic


class Pool(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Connections of one service to one peer; `limit`: most ever open at once (a pool's own is not on the wire)."""

    service: str
    role: Role
    peer: str
    open: int
    busy: int
    idle: int
    peak_open: int
    peak_busy: int
    limit: int
    saturation_ratio: float  # busy / limit
    queued_ratio: float | None  # share of exchanges that began as soon as a connection came free while all were busy
    refused: int


class Coverage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much of what happened was seen: "p99 from `answered` of `kernel`". Since the start, all of it."""

    recorded: int  # exchanges taken by the engine
    answered: int  # of these, with a final response
    kernel: int | None  # responses that the kernel counted; null: never told
    lost: int  # records that did not arrive or could not be read
    ratio: float | None  # answered / kernel


class NetworkSnapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything measured over one window, for one service, route and peer or for all."""

    version: str = SNAPSHOT_VERSION
    window: Window
    covered_s: float  # what the window holds: shorter than its name after the start, and by up to one interval
    service: str | None
    route: str | None
    peer: str | None
    client: Traffic
    server: Traffic
    routes: tuple[RouteTraffic, ...]
    peers: tuple[PeerTraffic, ...]
    pools: tuple[Pool, ...]
    coverage: Coverage
    overflow: Counts  # label -> values that went to `_other`, since the start


# -- resilience as seen from the wire ------------------------------------------------------------------------------


class Evidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that was seen, and that a conclusion rests on."""

    seen: str  # plain words
    at: str | None  # RFC 3339


class Transition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of a breaker's state, dated by what happened on the wire."""

    before: Circuit
    after: Circuit
    at: str


class CircuitInferred(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A breaker's state as concluded from when requests stop and come back."""

    state: Circuit
    since: str | None
    confidence: float  # 0 to 1
    evidence: tuple[Evidence, ...]
    transitions: tuple[Transition, ...]  # the latest ones, oldest first
    opened_total: int


class TimeoutInferred(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The configured timeout, as the distribution of given-up exchanges reveals it."""

    timeout_ms: float
    spread_ms: float  # between the quartiles
    samples: int
    confidence: float
    evidence: tuple[Evidence, ...]


class BackoffStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Delays before the n-th retry: from the end of one attempt to the start of the next."""

    retry: int
    samples: int
    min_ms: float
    p50_ms: float
    max_ms: float


class BackoffInferred(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The shape of the delays between attempts."""

    form: BackoffForm
    base_ms: float | None  # ceiling (jittered) or delay before the first retry
    factor: float | None  # from one retry to the next
    steps: tuple[BackoffStep, ...]
    confidence: float
    evidence: tuple[Evidence, ...]


class Disagreement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A figure on which the wire and the worker differ."""

    figure: str
    observed: str
    reported: str


class Destination(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Resilience of one service towards one destination."""

    service: str
    destination: str
    attempts_total: int
    retries_total: int
    timeouts_total: int
    failures_total: int
    retries_by_reason: Counts
    attempts_by_number: Counts  # "1", "2", ... "8+"
    in_flight: int
    in_flight_peak: int
    saturation_ratio: float | None
    timeout: TimeoutInferred | None
    backoff: BackoffInferred | None
    circuit: CircuitInferred
    reported: WorkerReport | None  # the worker's own figures, where its URL is configured
    disagreements: tuple[Disagreement, ...]


class ResilienceSnapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Resilience as seen from the wire, beside what the workers say where they can be asked."""

    version: str = SNAPSHOT_VERSION
    destinations: tuple[Destination, ...]
    compared: int  # figures compared since the start
    disagreed: int  # of these, different


# -- ports ---------------------------------------------------------------------------------------------------------


class MetricsRecorder(Protocol):
    """Takes events; called by the drain loop, so it never blocks and costs a few microseconds an event."""

    def record(self, events: Sequence[Exchange | Connection], now_ns: int) -> None:
        """Count events that were told by `now_ns` (CLOCK_MONOTONIC). They fall in the interval of `now_ns`."""
        ...

    def tick(self, now_ns: int, facts: KernelFacts | None = None) -> None:
        """Roll windows and expire series; call it as often as you like, with facts about once a second."""
        ...


class MetricsReader(Protocol):
    """Answers from what was recorded. Call `tick` before, where the answer must be as of now."""

    def network(
        self, *, service: str | None = None, route: str | None = None, peer: str | None = None, window: Window = "1m"
    ) -> NetworkSnapshot:
        """Return the traffic of a window; an unknown service, route or peer gives zeros."""
        ...

    def resilience(self) -> ResilienceSnapshot:
        """Return retries, timeouts and breakers as seen from the wire."""
        ...

    def losses(self) -> dict[str, Counts]:
        """Return stage -> reason -> count, as told last by `tick`."""
        ...

    def exposition(self, *, openmetrics: bool) -> bytes:
        """Return the Prometheus exposition: text 0.0.4, or OpenMetrics 1.0.0 with exemplars."""
        ...
