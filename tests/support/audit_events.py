"""Events as the archive gets them, made up."""

from collector.domain.events import Connection, Exchange, Quality

QUALITY = Quality()
STARTED = 1_795_248_000_000_000_000  # 2026-11-21T16:00:00Z


def exchange(
    number: int, *, service: str | None = "worker", started_at: str = "2026-11-21T07:56:00.123456789Z", run: str = "r"
):
    return Exchange(
        id=f"{run}-{number}", seq=number, started_at=started_at, elapsed_ms=1.5, service=service, role="client", pid=1,
        tid=1, comm="python3", cgroup="/system.slice/worker.service", protocol="http/1.1", method="POST",
        route="/v1/orders/{id}", target=f"/v1/orders/{number}", host="api.example", trace_id=f"{number:032x}",
        span_id="00f067aa0ba902b7", trace_source="traceparent", request_id=None, idempotency_key=f"k{number}",
        status_code=200, outcome="ok", severity="info", bytes_sent=300, bytes_received=200, local_ip="10.0.0.1",
        local_port=40000 + number % 1000, peer_ip="10.0.0.2", peer_port=443, internal_ip=None, external_ip=None,
        connection_id=17, exchange_no=number, connect_ms=0.1, send_ms=0.1, wait_ms=1.0, read_delay_ms=0.1,
        receive_ms=0.2, srtt_us=100, min_rtt_us=50, retransmits=0, attempt=1, retry_of=None, retry_reason=None,
        quality=QUALITY,
    )  # fmt: skip


def connection(number: int, *, severity: str = "info"):
    return Connection(
        id=f"c-{number}", seq=number, started_at="2026-11-21T07:56:00.123456789Z", elapsed_ms=1.5, service="worker",
        role="client", pid=1, tid=1, comm="python3", cgroup=None, protocol="http/1.1", outcome="ok", errno=None,
        severity=severity, bytes_sent=300, bytes_received=200, segments_sent=3, segments_received=3, exchanges=1,
        kernel_exchanges=1, local_ip="10.0.0.1", local_port=40000, peer_ip="10.0.0.2", peer_port=443, internal_ip=None,
        external_ip=None, connection_id=number, connect_ms=0.1, srtt_us=100, min_rtt_us=50, retransmits=0,
        quality=QUALITY,
    )  # fmt: skip
