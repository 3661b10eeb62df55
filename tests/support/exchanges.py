"""Events made by hand, for what consumes them."""

from collector.domain.events import Connection, Exchange, Quality

PLAIN = Quality()
EPOCH_S = 1_790_000_000  # 2026-09-21T13:33:20Z
_EPOCH_TEXT = "2026-09-21T13:33:20"


def stamp(wall_ns):
    """RFC 3339 as collector.correlate.text writes it."""
    from collector.correlate.text import timestamp

    return timestamp(wall_ns)


_EXCHANGE = dict(  # noqa: C408
    elapsed_ms=10.0, service="orders", role="client", pid=42, tid=42, comm="python3", cgroup=None,
    protocol="http/1.1", method="POST", route="/v1/orders/{id}", target="/v1/orders/1", host="api:8080", trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    span_id="00f067aa0ba902b7", trace_source="traceparent", request_id=None, idempotency_key=None, status_code=200, outcome="ok", severity="info",
    bytes_sent=300, bytes_received=200, local_ip="10.0.0.1", local_port=40000, peer_ip="10.0.0.2", peer_port=8080, internal_ip=None, external_ip=None,
    connection_id=7, exchange_no=2, connect_ms=None, send_ms=0.1, wait_ms=9.0, read_delay_ms=0.2, receive_ms=0.1, srtt_us=100, min_rtt_us=50,
    retransmits=0, attempt=1, retry_of=None, retry_reason=None, quality=PLAIN,
)  # fmt: skip

_CONNECTION = dict(  # noqa: C408
    elapsed_ms=1000.0, service="orders", role="client", pid=42, tid=42, comm="python3", cgroup=None, protocol="http/1.1", outcome="ok", errno=None, severity="info",
    bytes_sent=3000, bytes_received=2000, segments_sent=10, segments_received=10, exchanges=10, kernel_exchanges=10, local_ip="10.0.0.1", local_port=40000,
    peer_ip="10.0.0.2", peer_port=8080, internal_ip=None, external_ip=None, connection_id=7, connect_ms=1.0, srtt_us=100, min_rtt_us=50,
    retransmits=0, quality=PLAIN,
)  # fmt: skip

_numbers = iter(range(1, 1 << 62))


def exchange(*, began_ns=0, **fields):
    """An exchange that began `began_ns` after EPOCH_S."""
    number = next(_numbers)
    given = {**_EXCHANGE, "id": f"run-7-{number}", "seq": number, **fields}
    if "severity" not in fields:
        failed = (given["status_code"] or 0) >= 500 or given["outcome"] not in (
            "ok",
            "http_error",
            "tunnel",
            "truncated",
            None,
        )
        given["severity"] = "error" if failed else "info"
    return Exchange(started_at=stamp(EPOCH_S * 1_000_000_000 + began_ns), **given)


def connection(*, began_ns=0, **fields):
    """A connection that began `began_ns` after EPOCH_S."""
    number = next(_numbers)
    return Connection(
        started_at=stamp(EPOCH_S * 1_000_000_000 + began_ns),
        **{**_CONNECTION, "id": f"run-{number}-c", "seq": number, **fields},
    )
