"""What the dashboard shows, row by row."""
# ruff: noqa: E501  # a query reads best on one line

from typing import Final

from grafana.panels import Json, circuits, heatmap, lines, number

WHERE: Final = 'job=~"$job",instance=~"$instance"'
SERVICE: Final = f'{WHERE},service=~"$service"'


def rows() -> dict[str, tuple[int, list[Json]]]:
    """Return title -> (height, panels) of each row."""
    return {
        "Is it well?": (4, _well()),
        "Requests that services make": (9, _traffic()),
        "Resilience, as seen from the wire": (8, _resilience()),
        "Requests that services answer": (8, _served()),
        "Transport": (8, _transport()),
        "The collector itself": (8, _itself()),
    }


def _well() -> list[Json]:
    errors = f"sum(rate(netscope_http_client_errors_total{{{SERVICE}}}[$__rate_interval]))"
    requests = f"sum(rate(netscope_http_client_requests_total{{{SERVICE}}}[$__rate_interval]))"
    duration = f'netscope_http_client_duration_percentile_seconds{{{SERVICE},percentile="99",window="$window"}}'
    opened = f'netscope_circuit_state{{{SERVICE},state="open"}}'
    return [
        number("Requests", "That services make, a second", requests, unit="reqps", warn=1e9, bad=1e10),
        number("Errors", "Share without a full answer, or with 5xx", f"{errors} / {requests}", unit="percentunit", warn=0.001, bad=0.01),
        number("Slowest p99", "Of all services, over the window chosen", f"max({duration})", unit="s", warn=0.5, bad=1),
        number("Open circuits", "As concluded from the wire", f"sum({opened}) or vector(0)", unit="short", warn=0.5, bad=1),
        number("Seen", "Exchanges measured of those the kernel counted", f"min(netscope:coverage:ratio5m{{{WHERE}}})", unit="percentunit", warn=0.999, bad=0.99),
        number("Lost", "Events lost in 5 minutes", f"sum(increase(netscope_events_lost_total{{{WHERE}}}[5m])) or vector(0)", unit="short", warn=1, bad=100),
    ]  # fmt: skip


def _traffic() -> list[Json]:
    percentile = f'netscope_http_client_duration_percentile_seconds{{{SERVICE},percentile="%s",window="$window"}}'
    buckets = f"netscope_http_client_request_duration_seconds_bucket{{{SERVICE}}}"
    return [
        lines(
            "By status and outcome", "Exchanges a second",
            {"{{status_class}} {{outcome}}": f"sum by (status_class, outcome) (rate(netscope_http_client_requests_total{{{SERVICE}}}[$__rate_interval]))"},
            unit="reqps", stacked=True,
        ),
        lines(
            "Percentiles", "Over the window chosen, exact to 0.1%",
            {f"{{{{service}}}} p{one}": percentile % one for one in ("50", "95", "99", "99.9")}, unit="s",
        ),
        lines(
            "p99 by route, with exemplars", "From Prometheus histograms over 5 minutes; a point leads to its trace",
            {"{{service}} {{route}}": f"histogram_quantile(0.99, sum by (service, route, le) (rate({buckets}[5m])))"},
            unit="s", exemplars=True,
        ),
        heatmap("Latency", "Exchanges by duration", f"sum by (le) (increase({buckets}[$__rate_interval]))"),
    ]  # fmt: skip


def _resilience() -> list[Json]:
    states = {"closed": 0, "half_open": 1, "open": 2, "unknown": 3}
    state = " + ".join(
        f'{value} * sum by (service, peer) (netscope_circuit_state{{{SERVICE},state="{name}"}})'
        for name, value in states.items()
    )
    retries = f"sum by (service) (rate(netscope_http_client_retries_total{{{SERVICE}}}[$__rate_interval]))"
    timeouts = f"sum by (service) (rate(netscope_http_client_timeouts_total{{{SERVICE}}}[$__rate_interval]))"
    pool = f'{SERVICE},role="client"'
    return [
        circuits("Circuits", "Dated by what happened, so a change may show a little later than it was", {"{{service}} to {{peer}}": state}),
        lines("Retries and timeouts", "A second", {"{{service}} retries": retries, "{{service}} timeouts": timeouts}, unit="reqps"),
        lines(
            "Connections", "Open connections by peer",
            {"{{service}} {{peer}} {{state}}": f"netscope_pool_connections{{{pool}}}"}, unit="short", stacked=True,
        ),
        lines(
            "Saturation", "Busy connections over the most ever open; share of requests that waited for one",
            {"{{service}} {{peer}}": f"netscope_pool_saturation_ratio{{{pool}}}", "{{service}} {{peer}} waited": f"netscope_pool_queued_ratio{{{pool}}}"},
            unit="percentunit",
        ),
    ]  # fmt: skip


def _served() -> list[Json]:
    percentile = f'netscope_http_server_duration_percentile_seconds{{{SERVICE},percentile="%s",window="$window"}}'
    return [
        lines(
            "Requests", "A second, by service and route",
            {"{{service}} {{route}}": f"sum by (service, route) (rate(netscope_http_server_requests_total{{{SERVICE}}}[$__rate_interval]))"},
            unit="reqps",
        ),
        lines("Percentiles of answers", "Over the window chosen", {f"{{{{service}}}} p{one}": percentile % one for one in ("50", "99")}, unit="s"),
        lines(
            "Read delay, p99", "Bytes waiting in the socket: the service's own event loop",
            {"{{service}} {{role}}": f"histogram_quantile(0.99, sum by (service, role, le) (rate(netscope_read_delay_seconds_bucket{{{SERVICE}}}[5m])))"},
            unit="s",
        ),
    ]  # fmt: skip


def _transport() -> list[Json]:
    return [
        lines(
            "Connect, p99", "SYN to established; told when a connection ends",
            {"{{service}}": f'histogram_quantile(0.99, sum by (service, le) (rate(netscope_tcp_connect_duration_seconds_bucket{{{SERVICE},role="client"}}[5m])))'},
            unit="s",
        ),
        lines(
            "Retransmits", "Segments sent again, a second",
            {"{{service}} {{role}}": f"sum by (service, role) (rate(netscope_tcp_retransmits_total{{{SERVICE}}}[$__rate_interval]))"}, unit="short",
        ),
        lines(
            "Connections that ended", "A second, by how",
            {"{{service}} {{outcome}}": f"sum by (service, outcome) (rate(netscope_tcp_connections_total{{{SERVICE}}}[$__rate_interval]))"}, unit="short",
        ),
        lines(
            "Bytes", "Moved over watched connections, as the kernel counts",
            {"{{direction}}": f"sum by (direction) (rate(netscope_kernel_bytes_total{{{WHERE}}}[$__rate_interval]))"}, unit="Bps",
        ),
    ]  # fmt: skip


def _itself() -> list[Json]:
    return [
        lines(
            "Lost", "Events a second, by stage and reason",
            {"{{stage}} {{reason}}": f"sum by (stage, reason) (rate(netscope_events_lost_total{{{WHERE}}}[$__rate_interval]))"}, unit="short",
        ),
        lines(
            "Cost", "Cores used: in the kernel by our programs, and by the collector",
            {
                "kernel": f"sum(rate(netscope_probe_seconds_total{{{WHERE}}}[$__rate_interval]))",
                "collector {{instance}}": f"rate(netscope_cpu_seconds_total{{{WHERE}}}[$__rate_interval])",
            },
            unit="short",
        ),
        lines(
            "Keeping up", "Age of the newest record when it is read",
            {"{{instance}}": f"netscope_drain_lag_seconds{{{WHERE}}}"}, unit="s",
        ),
        lines(
            "Fill", "Ring and queues, of their bounds",
            {
                "ring {{instance}}": f"netscope_ring_fill_ratio{{{WHERE}}}",
                "{{queue}}": f"netscope_queue_depth{{{WHERE}}} / netscope_queue_limit{{{WHERE}}}",
            },
            unit="percentunit",
        ),
        lines("Memory", "Resident", {"{{instance}}": f"netscope_memory_bytes{{{WHERE}}}"}, unit="bytes"),
    ]  # fmt: skip
