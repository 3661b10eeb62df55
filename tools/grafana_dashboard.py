"""The Grafana dashboard, from here: `python tools/grafana_dashboard.py` writes packaging/grafana/netscope.json.

`python tools/grafana_dashboard.py --types` prints TypeScript that holds only if every part of the dashboard has the
shape that @grafana/schema gives it.
"""
# ruff: noqa: E501  # a query reads best on one line

import json
import sys
from pathlib import Path
from typing import Any, Final

PLACE: Final = Path(__file__).parents[1] / "packaging/grafana/netscope.json"
Json = dict[str, Any]

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WHERE: Final = 'job=~"$job",instance=~"$instance"'
_SERVICE: Final = f'{_WHERE},service=~"$service"'
_WIDTH: Final = 24
_STATES: Final = {
    "closed": ("0", "green"),
    "half-open": ("1", "yellow"),
    "open": ("2", "red"),
    "unknown": ("3", "text"),
}


def _target(expression: str, legend: str, number: int, **more: Any) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": _DATASOURCE,
        "expr": expression,
        "legendFormat": legend,
        "editorMode": "code",
        "range": True,
        **more,
    }


def _panel(kind: str, title: str, description: str, targets: dict[str, str], **more: Any) -> Json:
    exemplars = {"exemplar": True} if more.pop("exemplars", False) else {}
    style = more.pop("format", None)
    if style:
        exemplars["format"] = style
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _DATASOURCE,
        "targets": [
            _target(expression, legend, number, **exemplars)
            for number, (legend, expression) in enumerate(targets.items())
        ],
        **more,
    }


def lines(  # what a panel has
    title: str, description: str, targets: dict[str, str], *, unit: str, stacked: bool = False, **more: Any
) -> Json:
    """Return a panel of lines over time."""
    custom: Json = {"lineWidth": 1, "fillOpacity": 20 if stacked else 5, "showPoints": "never", "spanNulls": False}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    defaults: Json = {"unit": unit, "min": 0, "custom": custom}
    if unit == "percentunit":
        defaults["max"] = 1
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    found = {"defaults": defaults, "overrides": []}
    return _panel("timeseries", title, description, targets, fieldConfig=found, options=options, **more)


def number(title: str, description: str, expression: str, *, unit: str, warn: float, bad: float) -> Json:  # noqa: PLR0913
    """Return one number whose colour says how it is; `bad` below `warn`: less is worse."""
    rising = bad > warn
    steps: list[Json] = [
        {"value": None, "color": "green" if rising else "red"},
        {"value": min(warn, bad), "color": "yellow"},
        {"value": max(warn, bad), "color": "red" if rising else "green"},
    ]
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "textMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
        "percentChangeColorMode": "standard",
        "showPercentChange": False,
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
    }
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, "noValue": "none"}
    return _panel(
        "stat",
        title,
        description,
        {"": expression},
        fieldConfig={"defaults": defaults, "overrides": []},
        options=options,
    )


def heatmap(title: str, description: str, expression: str) -> Json:
    """Return the buckets of a histogram over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {},
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "steps": 64,
            "exponent": 0.5,
            "fill": "dark-orange",
            "reverse": False,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": "s"},
        "filterValues": {"le": 1e-9},
    }
    more = {"fieldConfig": {"defaults": {"custom": {}}, "overrides": []}, "options": options}
    return _panel("heatmap", title, description, {"{{le}}": expression}, format="heatmap", exemplars=True, **more)


def circuits(title: str, description: str, targets: dict[str, str]) -> Json:
    """Return states over time, one line each."""
    named = {
        value: {"text": text, "color": color, "index": at} for at, (text, (value, color)) in enumerate(_STATES.items())
    }
    defaults = {
        "custom": {"fillOpacity": 70, "lineWidth": 0},
        "mappings": [{"type": "value", "options": named}],
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "text"}]},
    }
    options = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    more = {"fieldConfig": {"defaults": defaults, "overrides": []}, "options": options}
    return _panel("state-timeline", title, description, targets, **more)


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
    errors = f"sum(rate(netscope_http_client_errors_total{{{_SERVICE}}}[$__rate_interval]))"
    requests = f"sum(rate(netscope_http_client_requests_total{{{_SERVICE}}}[$__rate_interval]))"
    duration = f'netscope_http_client_duration_percentile_seconds{{{_SERVICE},percentile="99",window="$window"}}'
    opened = f'netscope_circuit_state{{{_SERVICE},state="open"}}'
    return [
        number("Requests", "That services make, a second", requests, unit="reqps", warn=1e9, bad=1e10),
        number("Errors", "Share without a full answer, or with 5xx", f"{errors} / {requests}", unit="percentunit", warn=0.001, bad=0.01),
        number("Slowest p99", "Of all services, over the window chosen", f"max({duration})", unit="s", warn=0.5, bad=1),
        number("Open circuits", "As concluded from the wire", f"sum({opened}) or vector(0)", unit="short", warn=0.5, bad=1),
        number("Seen", "Exchanges measured of those the kernel counted", f"min(netscope:coverage:ratio5m{{{_WHERE}}})", unit="percentunit", warn=0.999, bad=0.99),
        number("Lost", "Events lost in 5 minutes", f"sum(increase(netscope_events_lost_total{{{_WHERE}}}[5m])) or vector(0)", unit="short", warn=1, bad=100),
    ]  # fmt: skip


def _traffic() -> list[Json]:
    percentile = f'netscope_http_client_duration_percentile_seconds{{{_SERVICE},percentile="%s",window="$window"}}'
    buckets = f"netscope_http_client_request_duration_seconds_bucket{{{_SERVICE}}}"
    return [
        lines(
            "By status and outcome", "Exchanges a second",
            {"{{status_class}} {{outcome}}": f"sum by (status_class, outcome) (rate(netscope_http_client_requests_total{{{_SERVICE}}}[$__rate_interval]))"},
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
        f'{value} * sum by (service, peer) (netscope_circuit_state{{{_SERVICE},state="{name}"}})'
        for name, value in states.items()
    )
    retries = f"sum by (service) (rate(netscope_http_client_retries_total{{{_SERVICE}}}[$__rate_interval]))"
    timeouts = f"sum by (service) (rate(netscope_http_client_timeouts_total{{{_SERVICE}}}[$__rate_interval]))"
    pool = f'{_SERVICE},role="client"'
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
    percentile = f'netscope_http_server_duration_percentile_seconds{{{_SERVICE},percentile="%s",window="$window"}}'
    return [
        lines(
            "Requests", "A second, by service and route",
            {"{{service}} {{route}}": f"sum by (service, route) (rate(netscope_http_server_requests_total{{{_SERVICE}}}[$__rate_interval]))"},
            unit="reqps",
        ),
        lines("Percentiles of answers", "Over the window chosen", {f"{{{{service}}}} p{one}": percentile % one for one in ("50", "99")}, unit="s"),
        lines(
            "Read delay, p99", "Bytes waiting in the socket: the service's own event loop",
            {"{{service}} {{role}}": f"histogram_quantile(0.99, sum by (service, role, le) (rate(netscope_read_delay_seconds_bucket{{{_SERVICE}}}[5m])))"},
            unit="s",
        ),
    ]  # fmt: skip


def _transport() -> list[Json]:
    return [
        lines(
            "Connect, p99", "SYN to established; told when a connection ends",
            {"{{service}}": f'histogram_quantile(0.99, sum by (service, le) (rate(netscope_tcp_connect_duration_seconds_bucket{{{_SERVICE},role="client"}}[5m])))'},
            unit="s",
        ),
        lines(
            "Retransmits", "Segments sent again, a second",
            {"{{service}} {{role}}": f"sum by (service, role) (rate(netscope_tcp_retransmits_total{{{_SERVICE}}}[$__rate_interval]))"}, unit="short",
        ),
        lines(
            "Connections that ended", "A second, by how",
            {"{{service}} {{outcome}}": f"sum by (service, outcome) (rate(netscope_tcp_connections_total{{{_SERVICE}}}[$__rate_interval]))"}, unit="short",
        ),
        lines(
            "Bytes", "Moved over watched connections, as the kernel counts",
            {"{{direction}}": f"sum by (direction) (rate(netscope_kernel_bytes_total{{{_WHERE}}}[$__rate_interval]))"}, unit="Bps",
        ),
    ]  # fmt: skip


def _itself() -> list[Json]:
    return [
        lines(
            "Lost", "Events a second, by stage and reason",
            {"{{stage}} {{reason}}": f"sum by (stage, reason) (rate(netscope_events_lost_total{{{_WHERE}}}[$__rate_interval]))"}, unit="short",
        ),
        lines(
            "Cost", "Cores used: in the kernel by our programs, and by the collector",
            {
                "kernel": f"sum(rate(netscope_probe_seconds_total{{{_WHERE}}}[$__rate_interval]))",
                "collector {{instance}}": f"rate(netscope_cpu_seconds_total{{{_WHERE}}}[$__rate_interval])",
            },
            unit="short",
        ),
        lines(
            "Keeping up", "Age of the newest record when it is read",
            {"{{instance}}": f"netscope_drain_lag_seconds{{{_WHERE}}}"}, unit="s",
        ),
        lines(
            "Fill", "Ring and queues, of their bounds",
            {
                "ring {{instance}}": f"netscope_ring_fill_ratio{{{_WHERE}}}",
                "{{queue}}": f"netscope_queue_depth{{{_WHERE}}} / netscope_queue_limit{{{_WHERE}}}",
            },
            unit="percentunit",
        ),
        lines("Memory", "Resident", {"{{instance}}": f"netscope_memory_bytes{{{_WHERE}}}"}, unit="bytes"),
    ]  # fmt: skip


def _variable(name: str, label: str, query: str) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": _DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def dashboard() -> Json:
    """Return the dashboard as Grafana imports it."""
    panels: list[Json] = []
    top = 0
    for title, (height, found) in rows().items():
        panels.append(
            {
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": top},
            }
        )
        top += 1
        width = _WIDTH // len(found)
        for at, panel in enumerate(found):
            panels.append({**panel, "gridPos": {"h": height, "w": width, "x": at * width, "y": top}})
        top += height
    for number_of, panel in enumerate(panels, start=1):
        panel["id"] = number_of
    windows = ("10s", "1m", "5m", "1h")
    return {
        "uid": "netscope",
        "title": "NetScope",
        "description": "HTTP between services, read from the kernel. Made by tools/grafana_dashboard.py.",
        "tags": ["netscope"],
        "schemaVersion": 41,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {
                    "type": "datasource",
                    "name": "datasource",
                    "label": "Prometheus",
                    "query": "prometheus",
                    "refresh": 1,
                },
                _variable("job", "Job", "label_values(netscope_build_info, job)"),
                _variable("instance", "Collector", 'label_values(netscope_build_info{job=~"$job"}, instance)'),
                _variable(
                    "service", "Service", f"label_values(netscope_http_client_requests_total{{{_WHERE}}}, service)"
                ),
                {
                    "type": "custom",
                    "name": "window",
                    "label": "Window",
                    "query": ",".join(windows),
                    "current": {"text": "1m", "value": "1m", "selected": True},
                    "options": [{"text": one, "value": one, "selected": one == "1m"} for one in windows],
                },
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Circuits that opened",
                    "enable": True,
                    "iconColor": "red",
                    "datasource": _DATASOURCE,
                    "expr": f"changes(netscope_circuit_opened_total{{{_SERVICE}}}[1m]) > 0",
                    "titleFormat": "{{service}} to {{peer}}",
                }
            ]
        },
        "panels": panels,
    }


_MODULES: Final = {
    "timeseries": "timeseries/panelcfg/x/TimeSeriesPanelCfg",
    "stat": "stat/panelcfg/x/StatPanelCfg",
    "heatmap": "heatmap/panelcfg/x/HeatmapPanelCfg",
    "state-timeline": "statetimeline/panelcfg/x/StateTimelinePanelCfg",
}
_PLAIN: Final = """
// values of enums as JSON has them; the annotation's query is the data source's own
type Plain<T> = unknown extends T ? T
  : T extends string ? (string extends T ? T : `${T}`)
  : T extends number ? number
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Query = { refId: string; datasource: schema.DataSourceRef; expr: string; legendFormat: string; editorMode: "code";
  range: boolean; exemplar?: boolean; format?: "heatmap" };
type Annotation = schema.AnnotationQuery & { expr: string; titleFormat: string };
type Ours = Omit<schema.Dashboard, "annotations"> & { annotations: { list: Annotation[] } };
"""


def types() -> str:
    """Return TypeScript that compiles if the dashboard, and each panel's options, have the shape Grafana knows."""
    found = dashboard()
    text = ['import type * as schema from "@grafana/schema";']
    for kind, module in _MODULES.items():
        name = kind.replace("-", "_")
        text.append(
            f'import type * as {name} from "@grafana/schema/dist/types/raw/composable/{module}_types.gen.d.ts";'
        )
    text += [_PLAIN, f"export const dashboard: Plain<Ours> = {json.dumps(found, indent=1)};"]
    for panel in found["panels"]:
        if panel["type"] == "row":
            continue
        name, at = panel["type"].replace("-", "_"), panel["id"]
        text.append(f"export const o{at}: Plain<{name}.Options> = {json.dumps(panel['options'])};")
        text.append(f"export const q{at}: Query[] = {json.dumps(panel['targets'])};")
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom:
            text.append(f"export const c{at}: Plain<{name}.FieldConfig> = {json.dumps(custom)};")
    return "\n".join(text) + "\n"


def text() -> str:
    """Return the dashboard as it is published."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--types"]:
        sys.stdout.write(types())
    else:
        PLACE.write_text(text())
