from collector.domain.metrics import KernelFacts, WorkerReport
from collector.metrics.engine import Engine
from tests.support.exchanges import EPOCH_S, connection, exchange

MS = 1_000_000
S = 1000 * MS
START = 3600 * S


class Watched:
    """An engine on a clock of its own; `at` is milliseconds since the start."""

    def __init__(self):
        self.engine = Engine()
        self.at = 0

    def tell(self, *events):
        self.engine.record(events, START + self.at * MS)

    def call(self, *, elapsed_ms=10, **fields):
        event = exchange(began_ns=self.at * MS, elapsed_ms=elapsed_ms, **fields)
        self.at += elapsed_ms
        self.tell(event)
        return event

    def until(self, at, **facts):
        while self.at < at:
            self.at = min(self.at + 100, at)
            self.engine.tick(START + self.at * MS, KernelFacts(wall_ns=EPOCH_S * S + self.at * MS, **facts))
        return self

    @property
    def only(self):
        (destination,) = self.engine.resilience().destinations
        return destination


def test_attempts_retries_and_timeouts_are_counted_exactly():
    watched = Watched()
    first = watched.call(status_code=503, outcome="http_error", idempotency_key="k")
    watched.at += 40
    watched.call(attempt=2, retry_of=first.id, retry_reason="503", status_code=None, outcome="timeout", elapsed_ms=500)
    watched.at += 80
    watched.call(attempt=3, retry_reason="timeout")
    found = watched.only
    assert (found.service, found.destination) == ("orders", "api:8080")
    assert (found.attempts_total, found.retries_total, found.timeouts_total, found.failures_total) == (3, 2, 1, 2)
    assert found.retries_by_reason == {"503": 1, "timeout": 1}
    assert found.attempts_by_number == {"1": 1, "2": 1, "3": 1}
    assert [(step.retry, step.p50_ms) for step in found.backoff.steps] == [(1, 40.0)]


def test_only_clients_have_destinations():
    watched = Watched()
    watched.call(role="server")
    assert watched.engine.resilience().destinations == ()


def test_a_refused_connection_is_an_attempt_at_the_host_that_stands_there():
    watched = Watched()
    watched.call(exchange_no=1)
    watched.tell(connection(outcome="refused", errno="ECONNREFUSED", connect_ms=None, exchanges=0))
    watched.tell(connection(outcome="closed_by_local", elapsed_ms=300, connect_ms=None, exchanges=0), connection())
    found = watched.only
    assert (found.attempts_total, found.failures_total, found.timeouts_total) == (3, 2, 1)
    assert watched.engine.network().pools[0].refused == 1


def test_a_breaker_is_seen_opening_while_other_work_goes_on_and_closing_again():
    watched = Watched()
    for _ in range(50):
        watched.call()
    for _ in range(20):
        watched.call(status_code=503, outcome="http_error")
    tripped = watched.at
    watched.until(tripped + 900, intake={"orders": watched.at})
    for number in range(10):
        watched.tell(exchange(role="server", began_ns=watched.at * MS))
        watched.until(watched.at + 100, intake={"orders": number})
    assert watched.only.circuit.state == "open"
    assert watched.only.circuit.confidence > 0.7
    assert watched.engine.wants_intake
    for _ in range(10):
        watched.call()
    watched.until(watched.at + 100)
    found = watched.only.circuit
    assert found.state == "closed"
    assert [one.after for one in found.transitions] == ["open", "half_open", "closed"]
    assert found.transitions[0].at.endswith("20.700Z")  # 70 calls of 10 ms after :20


def test_destinations_beyond_the_limit_are_counted_but_not_followed():
    watched = Watched()
    for number in range(150):
        watched.call(host=f"h{number}")
    assert len(watched.engine.resilience().destinations) == 100
    snapshot = watched.engine.network()
    assert (snapshot.client.exchanges, snapshot.overflow) == (150, {"destination": 50, "peer": 50})


def reported(watched, **figures):
    watched.engine.tick(START + watched.at * MS, KernelFacts(workers=[WorkerReport(destination="api", **figures)]))


def test_a_worker_that_says_the_same_never_disagrees_whatever_it_had_counted_before():
    watched = Watched()
    for turn in range(20):
        seen = 0 if not watched.engine.resilience().destinations else watched.only.attempts_total
        reported(watched, attempts_total=1000 + seen, retries_total=7, timeouts_total=0, circuit="closed")
        for _ in range(turn):
            watched.call()
    snapshot = watched.engine.resilience()
    assert snapshot.disagreed == 0
    assert snapshot.compared > 40
    assert watched.only.reported.retries_total == 7


def test_a_worker_that_counts_what_is_not_on_the_wire_disagrees():
    watched = Watched()
    for turn in range(10):
        for _ in range(5):
            watched.call()
        reported(
            watched,
            attempts_total=watched.only.attempts_total,
            retries_total=3 * turn,
            circuit="open" if turn > 5 else "closed",
        )
    found = watched.only
    assert {one.figure for one in found.disagreements} == {"retries_total", "circuit"}
    assert watched.engine.resilience().disagreed >= 7


def test_a_worker_that_starts_again_is_judged_anew():
    watched = Watched()
    for turn in range(12):
        for _ in range(5):
            watched.call()
        reported(watched, attempts_total=5 * (turn % 6 + 1))
    assert watched.engine.resilience().disagreed == 0
