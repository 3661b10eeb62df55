import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from collector.domain.metrics import KernelFacts, PoolFacts
from collector.metrics.engine import Engine
from tests.support.exchanges import connection, exchange

NOW = 3600 * 1_000_000_000
EVERYTHING = KernelFacts(
    wall_ns=1, records={"captured": 10, "decoded": 9, "lost": 1}, totals={"bytes_sent": 1, "bytes_received": 2, "calls_sent": 3, "calls_received": 4, "exchanges": 5, "connections": 6}, losses={"kernel": {"ring_full": 3}},
    ring_fill_ratio=0.1, drain_lag_s=0.01, queues={"api": (3, 100)}, probe_seconds={"sendmsg": 1.5}, probe_runs={"sendmsg": 100}, probe_skipped={"sendmsg": 2}, collector_cpu_s=3.0,
    collector_rss_bytes=100, rung="fexit", feed={"published": 3, "clients": 2},
    pools=[
        PoolFacts(service="orders", role="client", peer_ip="10.0.0.2", peer_port=8080, open=5, busy=2),
        PoolFacts(service=None, role="server", peer_ip=None, peer_port=None, open=7, busy=1),
    ],
)  # fmt: skip


@pytest.fixture
def engine():
    one = Engine(version="1.2.3")
    hostile = 'a\\b"c\nd{}é\x00\r\udc80\u2028'
    one.record(
        [
            exchange(elapsed_ms=0.4, trace_id=None),
            exchange(elapsed_ms=0.5, trace_id="first"),
            exchange(elapsed_ms=3000, trace_id="slow", route=hostile, host=hostile, service=hostile),
            exchange(elapsed_ms=60_000, trace_id="z" * 64, outcome="timeout", status_code=None, exchange_no=1),
            exchange(role="server", attempt=2),
            connection(),
            connection(outcome="refused", connect_ms=None),
        ],
        NOW,
    )
    one.tick(NOW, EVERYTHING)
    return one


def samples(families):
    return {(sample.name, frozenset(sample.labels.items())): sample for family in families for sample in family.samples}


def test_both_forms_parse_and_say_the_same(engine):
    text = samples(parse_text(engine.exposition(openmetrics=False).decode()))
    openmetrics = samples(parse_openmetrics(engine.exposition(openmetrics=True).decode()))
    assert {key: one.value for key, one in text.items()} == {key: one.value for key, one in openmetrics.items()}
    assert len(text) > 200


def test_buckets_are_inclusive_cumulative_and_declared(engine):
    found = samples(parse_text(engine.exposition(openmetrics=False).decode()))
    labels = {("service", "orders"), ("route", "/v1/orders/{id}")}

    def bucket(le):
        return found["netscope_http_client_request_duration_seconds_bucket", frozenset(labels | {("le", le)})].value

    assert [bucket("0.0005"), bucket("10.0"), bucket("+Inf")] == [2, 2, 3]
    assert found["netscope_http_client_request_duration_seconds_sum", frozenset(labels)].value == pytest.approx(60.0009)


def test_exemplars_carry_the_trace(engine):
    found = samples(parse_openmetrics(engine.exposition(openmetrics=True).decode()))
    traces = {sample.exemplar.labels["trace_id"]: sample.exemplar.value for sample in found.values() if sample.exemplar}
    assert traces == {"first": 0.0005, "slow": 3.0, "z" * 64: 60.0, "4bf92f3577b34da6a3ce929d0e0e4736": 0.01}
    assert b"trace_id" not in engine.exposition(openmetrics=False)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (apt-get install prometheus)")
def test_promtool_has_nothing_to_say(engine):
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=engine.exposition(openmetrics=False),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_name_in_the_reference_is_there_and_the_other_way_round(engine):
    from pathlib import Path

    reference = (Path(__file__).parents[4] / "docs/reference/metrics.md").read_text()
    told = {line.split("`")[1] for line in reference.splitlines() if line.startswith("| `netscope_")}
    there = {
        line.split()[2]
        for line in engine.exposition(openmetrics=False).decode().splitlines()
        if line.startswith("# TYPE")
    }
    assert there == told


def test_characters_that_would_break_a_scrape_are_written_out(engine):
    found = parse_text(engine.exposition(openmetrics=False).decode())
    services = {sample.labels["service"] for family in found for sample in family.samples if "service" in sample.labels}
    assert services == {"orders", "_unknown", 'a\\b"c\\x0ad{}é\\x00\\x0d\\xdc80\\x2028'}
