"""What the wire tells of one service's calls to one destination: attempts, retries, timeouts, circuit, pool."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from collector.domain.metrics import Circuit, Destination, Pool
from collector.metrics import moments
from collector.metrics.backoff import BackoffShape
from collector.metrics.calls import Call
from collector.metrics.circuit import CircuitMachine
from collector.metrics.compare import Comparison, Observed
from collector.metrics.concurrency import Concurrency
from collector.metrics.timeouts import TimeoutShape

if TYPE_CHECKING:
    from collector.domain.events import Connection, Exchange
    from collector.domain.metrics import WorkerReport

_NEUTRAL: Final = frozenset({"gap", None})  # how they ended is not known
_ANSWERED: Final = frozenset({"ok", "http_error", "tunnel", "truncated"})
_SETTLE_NS: Final = 1_000_000_000  # how often concurrency is worked out
_ADDRESSES: Final = 64
_LONGEST_CHAIN: Final = 8
_ENDS: Final = 4096  # failed attempts whose end is remembered for the delay before their retry


class DestinationState:
    """One service and peer. Exchanges gather in `batch` until `settle`."""

    def __init__(self, service: str, peer: str, now_ns: int) -> None:
        self.service = service
        self.peer = peer
        self.last_ns = now_ns
        self.batch: list[Exchange] = []
        self.attempts = self.retries = self.timeouts = self.failures = self.refused = 0
        self.open = self.busy = self.peak_open = self._grown = 0
        self.addresses: set[tuple[str, int]] = set()  # that its exchanges went to
        self.circuit = CircuitMachine()
        self.comparison = Comparison()
        self._reasons: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self._ends: dict[str, int] = {}  # failed exchange -> when it ended
        self._timeout = TimeoutShape()
        self._backoff = BackoffShape()
        self._concurrency = Concurrency()
        self._settled_ns = 0
        self._circuits: tuple[set[Circuit], set[Circuit]] = (set(), set())  # since the last report, and the one before

    # -- in ----------------------------------------------------------------------------------------------------

    def settle(self, now_ns: int) -> None:
        """Take in the exchanges that gathered, in the order in which they ended."""
        if not self.batch:
            return
        self.last_ns = now_ns
        known = []
        for event in self.batch:
            began = moments.began_ns(event)
            known.append((moments.ended_ns(event, began), began, event.seq, event))
        self.batch.clear()  # cells hold on to the list
        known.sort(key=lambda one: one[:3])
        for ended, began, _, event in known:
            self._exchange(event, began, ended)

    def _exchange(self, event: "Exchange", began: int, ended: int) -> None:
        outcome, status = event.outcome, event.status_code or 0
        self.attempts += 1
        if event.attempt > 1:
            self._retry(event, began)
        else:
            self._numbers["1"] += 1
        self._concurrency.add(began, ended, event.connection_id)
        if event.exchange_no == 1 and len(self.addresses) < _ADDRESSES:
            self.addresses.add((event.peer_ip, event.peer_port))
        if outcome in _NEUTRAL:
            return
        failed = outcome not in _ANSWERED or status >= 500 or status == 429
        self.circuit.call(Call(began, ended, failed))
        self._circuits[0].add(self.circuit.state)
        if outcome == "timeout":
            self.timeouts += 1
            self._timeout.add((ended - began) / 1e6)
        if failed:
            self.failures += 1
            self._ends[event.id] = ended
            if len(self._ends) > _ENDS:
                del self._ends[next(iter(self._ends))]

    def _retry(self, event: "Exchange", began: int) -> None:
        self.retries += 1
        self._numbers[str(event.attempt) if event.attempt < _LONGEST_CHAIN else f"{_LONGEST_CHAIN}+"] += 1
        self._reasons[event.retry_reason or "unknown"] += 1
        before = self._ends.pop(event.retry_of, None) if event.retry_of else None
        if before is not None:
            self._backoff.add(event.attempt - 1, (began - before) / 1e6)

    def not_connected(self, event: "Connection", now_ns: int) -> None:
        """Take an attempt that found no connection: refused, or given up before it was established."""
        self.last_ns = now_ns
        began = moments.began_ns(event)
        ended = moments.ended_ns(event, began)
        self.attempts += 1
        self.failures += 1
        if event.outcome == "closed_by_local":
            self.timeouts += 1
            self._timeout.add((ended - began) / 1e6)
        else:
            self.refused += 1
        self.circuit.call(Call(began, ended, failed=True))
        self._circuits[0].add(self.circuit.state)

    def census(self, opened: int, busy: int) -> None:
        """Take the connections as of now."""
        self.open, self.busy = opened, busy
        self.peak_open = max(self.peak_open, self.open)

    def grew(self) -> int:
        """Return the attempts since the last call of this."""
        grown, self._grown = self.attempts - self._grown, self.attempts
        return grown

    def pass_time(self, wall_ns: int, *, alive: bool) -> None:
        """Let time pass; see CircuitMachine."""
        self._work_out_concurrency(wall_ns)
        self.circuit.pass_time(wall_ns, alive=alive, busy=self.busy > 0)
        self._circuits[0].add(self.circuit.state)

    def _work_out_concurrency(self, wall_ns: int) -> None:
        if not self._settled_ns:
            self._settled_ns = wall_ns
        elif not 0 <= wall_ns - self._settled_ns < _SETTLE_NS:
            self._settled_ns = wall_ns
            self._concurrency.settle(self.peak_open)
            self.peak_open = max(self.peak_open, self._concurrency.peak)

    def compare(self, report: "WorkerReport") -> None:
        """Take what the worker says of itself."""
        since, before = self._circuits
        observed = Observed(
            attempts_total=self.attempts,
            retries_total=self.retries,
            timeouts_total=self.timeouts,
            circuit=self.circuit.state,
            circuits=frozenset(since | before),
        )
        self.comparison.take(report, observed)
        self._circuits = ({self.circuit.state}, since)

    # -- out ---------------------------------------------------------------------------------------------------

    def pool(self) -> Pool:
        """Return the connections; the most at once as of the last time it was worked out."""
        peak_busy = max(self._concurrency.peak, self.busy)
        limit = max(self.peak_open, peak_busy)
        exchanges = self._concurrency.exchanges
        return Pool(
            service=self.service,
            role="client",
            peer=self.peer,
            open=self.open,
            busy=self.busy,
            idle=max(self.open - self.busy, 0),
            peak_open=limit,
            peak_busy=peak_busy,
            limit=limit,
            saturation_ratio=self.busy / limit if limit else 0.0,
            queued_ratio=self._concurrency.queued / exchanges if exchanges else None,
            refused=self.refused,
        )

    def snapshot(self) -> Destination:
        """Return everything."""
        self._concurrency.settle(self.peak_open)
        pool = self.pool()
        return Destination(
            service=self.service,
            destination=self.peer,
            attempts_total=self.attempts,
            retries_total=self.retries,
            timeouts_total=self.timeouts,
            failures_total=self.failures,
            retries_by_reason=dict(sorted(self._reasons.items())),
            attempts_by_number=dict(sorted(self._numbers.items())),
            in_flight=self.busy,
            in_flight_peak=pool.peak_busy,
            saturation_ratio=pool.saturation_ratio if pool.limit else None,
            timeout=self._timeout.inferred(),
            backoff=self._backoff.inferred(),
            circuit=self.circuit.inferred(),
            reported=self.comparison.report,
            disagreements=self.comparison.disagreements,
        )
