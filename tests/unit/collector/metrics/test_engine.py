import msgspec
import pytest

from collector.domain.metrics import KernelFacts, NetworkSnapshot, PoolFacts, ResilienceSnapshot
from collector.metrics.engine import Engine
from collector.metrics.settings import MetricsSettings
from tests.support.exchanges import connection, exchange

NOW = 3600 * 1_000_000_000


def engine(*events, **more):
    one = Engine(**more)
    one.record(events, NOW)
    return one


def test_what_one_exchange_tells_stands_in_the_snapshot():
    snapshot = engine(
        exchange(
            elapsed_ms=12.5,
            connect_ms=1.5,
            read_delay_ms=0.25,
            wait_ms=11,
            bytes_sent=10,
            bytes_received=20,
            retransmits=3,
        )
    ).network(window="10s")
    client = snapshot.client
    assert (client.exchanges, client.errors, client.error_ratio, client.retransmits) == (1, 0, 0.0, 3)
    assert (client.bytes_sent, client.bytes_received) == (10, 20)
    assert (client.outcomes, client.status_classes) == ({"ok": 1}, {"2xx": 1})
    assert client.elapsed.count == 1
    assert client.elapsed.p50_ms == pytest.approx(12.5, rel=0.001)
    assert client.elapsed.mean_ms == 12.5
    assert client.connect.p99_ms == pytest.approx(1.5, rel=0.001)
    assert client.read_delay.max_ms == pytest.approx(0.25, rel=0.001)
    assert client.wait.min_ms == pytest.approx(11, rel=0.001)
    assert snapshot.server.exchanges == 0
    assert snapshot.server.error_ratio is None


def test_errors_retries_and_timeouts_are_told_apart():
    client = (
        engine(
            exchange(),
            exchange(status_code=404, outcome="http_error"),
            exchange(status_code=503, outcome="http_error"),
            exchange(status_code=None, outcome="timeout"),
            exchange(attempt=2, retry_of="x", retry_reason="503"),
            exchange(status_code=None, outcome=None, elapsed_ms=None),
        )
        .network()
        .client
    )
    assert (client.exchanges, client.errors, client.retries, client.timeouts) == (6, 2, 1, 1)
    assert client.outcomes == {"http_error": 2, "ok": 2, "open": 1, "timeout": 1}
    assert client.status_classes == {"2xx": 2, "4xx": 1, "5xx": 1, "none": 2}
    assert client.elapsed.count == 5  # one has not ended


def test_series_are_told_by_route_and_by_peer():
    one = engine(
        exchange(route="/a", host="x"), exchange(route="/a", host="y"), exchange(route="/b", host="y", service="other"),
        exchange(role="server", route="/s", host="hostile", peer_ip="10.9.9.9"),
    )  # fmt: skip
    every = one.network()
    assert [(r.service, r.role, r.route, r.traffic.exchanges) for r in every.routes] == [
        ("orders", "client", "/a", 2), ("other", "client", "/b", 1), ("orders", "server", "/s", 1),
    ]  # fmt: skip
    assert {(p.service, p.role, p.peer, p.traffic.exchanges) for p in every.peers} == {
        ("orders", "client", "x", 1), ("orders", "client", "y", 1), ("other", "client", "y", 1), ("orders", "server", "10.9.9.9", 1),
    }  # fmt: skip
    assert one.network(service="orders").client.exchanges == 2
    assert one.network(route="/b").client.exchanges == 1
    assert one.network(peer="y").client.exchanges == 2
    assert one.network(service="nobody").client.exchanges == 0
    with pytest.raises(ValueError, match="together"):
        one.network(route="/a", peer="y")


def test_a_client_without_host_is_told_by_the_peers_address():
    peers = engine(exchange(host=None), exchange(host="")).network().peers
    assert [(one.peer, one.traffic.exchanges) for one in peers] == [("10.0.0.2:8080", 2)]


def test_100000_hostile_paths_hosts_and_methods_leave_bounded_series_and_every_exchange_counted():
    settings = MetricsSettings(services=10, routes=50, peers=20, counters=200, destinations=15)
    one = Engine(settings)
    statuses, outcomes = (200, 404, 503, None), ("ok", "http_error", "timeout", "reset", "gap")
    for number in range(100_000):
        one.record(
            [
                exchange(
                    service=f"service-{number % 1000}", route=f'/{number}/"\n\\{number}', host=f"{number}.example", method=f"M{number % 5000}",
                    status_code=statuses[number % 4], outcome=outcomes[number % 5], role=("client", "server")[number % 2],
                    peer_ip=f"10.{number % 7}.{number % 251}.{number % 253}", trace_id=f'"{number}',
                )
            ],
            NOW + number * 1_000_000,
        )  # fmt: skip
    snapshot = one.network(window="5m")
    assert snapshot.client.exchanges + snapshot.server.exchanges == 100_000
    assert one.coverage().recorded == 100_000
    services = 11 * 2
    assert len(one._store.routes) <= 50 + services
    assert len(one._store.peers) <= 20 + services
    assert len(list(one._resilience)) <= 15
    assert one._store._children <= 200
    assert len(one._store._cells) <= 8192
    assert snapshot.overflow["service"] > 90_000
    assert snapshot.overflow["route"] > 90_000
    assert snapshot.overflow["peer"] > 90_000
    assert snapshot.overflow["method"] == 100_000
    text = one.exposition(openmetrics=False)
    samples = sum(not line.startswith(b"#") for line in text.splitlines())
    assert samples < 6000
    assert sum(series.exchanges for series in one._store.routes) == 100_000
    assert sum(sum(series.requests.values()) for series in one._store.routes) == 100_000


def test_two_identical_replays_give_identical_metrics():
    def replayed():
        one = Engine()
        for at, events in batches:
            one.record(events, NOW + at)
            one.tick(NOW + at + 1_000_000)
        one.tick(NOW + 3_000_000_000, KernelFacts(records={"captured": 5, "decoded": 5, "lost": 0}))
        return (
            [one.exposition(openmetrics=kind) for kind in (False, True)],
            [one.network(window=window) for window in ("10s", "1m", "5m", "1h")],
            one.resilience(),
        )

    batches = [
        (
            at * 100_000_000,
            [
                exchange(
                    began_ns=at * 100_000_000 + number * 1000, elapsed_ms=1 + number * at % 97, connection_id=number % 5, attempt=1 + number % 2,
                    outcome="timeout" if number % 9 == 0 else "ok", route=f"/{number % 4}", host=f"h{number % 3}",
                )
                for number in range(40)
            ],
        )
        for at in range(60)
    ]  # fmt: skip
    assert replayed() == replayed()


def test_metrics_do_not_depend_on_how_events_came_in_batches():
    events = [
        exchange(began_ns=number * 1_000_000, elapsed_ms=number % 50, route=f"/{number % 3}") for number in range(500)
    ]

    def fed(size):
        one = Engine()
        for at in range(0, len(events), size):
            one.record(events[at : at + size], NOW)
        return one.exposition(openmetrics=True), one.network(), one.resilience()

    assert fed(1) == fed(7) == fed(500)


def test_facts_of_the_kernel_stay_until_told_anew():
    one = engine(exchange(), exchange(), exchange(status_code=None, outcome="timeout"))
    one.tick(
        NOW,
        KernelFacts(
            records={"captured": 9, "decoded": 8, "lost": 1},
            totals={"exchanges": 4},
            losses={"kernel": {"ring_full": 1}},
        ),
    )
    one.tick(NOW, KernelFacts(ring_fill_ratio=0.5))
    coverage = one.network().coverage
    assert (coverage.recorded, coverage.answered, coverage.kernel, coverage.lost, coverage.ratio) == (3, 2, 4, 1, 0.5)
    assert one.losses() == {"kernel": {"ring_full": 1}}


def test_pools_come_from_the_census_and_the_most_at_once_from_the_exchanges():
    one = engine(
        *[
            exchange(began_ns=number * 1_000_000, elapsed_ms=10, connection_id=number, exchange_no=1)
            for number in range(30)
        ]
    )
    one.tick(
        NOW,
        KernelFacts(
            pools=[PoolFacts(service="orders", role="client", peer_ip="10.0.0.2", peer_port=8080, open=8, busy=5)]
        ),
    )
    one.tick(NOW + 1_100_000_000)
    (pool,) = one.network(service="orders").pools
    assert (pool.peer, pool.open, pool.busy, pool.idle) == ("api:8080", 8, 5, 3)
    assert (pool.peak_busy, pool.limit, pool.saturation_ratio) == (10, 10, 0.5)
    one.tick(NOW, KernelFacts(pools=[]))
    assert (one.network().pools[0].open, one.network().pools[0].peak_open) == (0, 10)


def test_retransmits_are_counted_when_they_show_and_not_again_at_the_end():
    one = engine(exchange(retransmits=2, connection_id=5), exchange(retransmits=1, connection_id=5))
    assert b'netscope_tcp_retransmits_total{role="client",service="orders"} 3.0' in one.exposition(openmetrics=False)
    one.record([connection(connection_id=5, retransmits=4), connection(connection_id=6, retransmits=1)], NOW)
    assert b'netscope_tcp_retransmits_total{role="client",service="orders"} 5.0' in one.exposition(openmetrics=False)


def test_snapshots_are_json():
    one = engine(exchange(), exchange(outcome="reset", status_code=None))
    for snapshot, kind in ((one.network(), NetworkSnapshot), (one.resilience(), ResilienceSnapshot)):
        assert msgspec.json.decode(msgspec.json.encode(snapshot), type=kind) == snapshot
