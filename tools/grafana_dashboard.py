"""The Grafana dashboard, from here: `python tools/grafana_dashboard.py` writes packaging/grafana/netscope.json.

`python tools/grafana_dashboard.py --types` prints TypeScript that holds only if every part of the dashboard has the
shape that @grafana/schema gives it.
"""

import json
import sys
from pathlib import Path
from typing import Final

from grafana.panels import DATASOURCE, Json
from grafana.rows import SERVICE, WHERE, rows
from grafana.types import types

PLACE: Final = Path(__file__).parents[1] / "packaging/grafana/netscope.json"
_WIDTH: Final = 24
_WINDOWS: Final = ("10s", "1m", "5m", "1h")


def dashboard() -> Json:
    """Return the dashboard as Grafana imports it."""
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
        "templating": {"list": _variables()},
        "annotations": {"list": [_openings()]},
        "panels": _placed(),
    }


def _placed() -> list[Json]:
    """Return the panels, each row under its title."""
    panels: list[Json] = []
    top = 0
    for title, (height, found) in rows().items():
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _place(0, top, _WIDTH, 1)}
        )
        width = _WIDTH // len(found)
        panels += [{**panel, "gridPos": _place(at * width, top + 1, width, height)} for at, panel in enumerate(found)]
        top += 1 + height
    return [{**panel, "id": number} for number, panel in enumerate(panels, start=1)]


def _place(x: int, y: int, width: int, height: int) -> Json:
    return {"h": height, "w": width, "x": x, "y": y}


def _variables() -> list[Json]:
    """Return what is chosen at the top of the page."""
    return [
        {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "refresh": 1},
        _variable("job", "Job", "label_values(netscope_build_info, job)"),
        _variable("instance", "Collector", 'label_values(netscope_build_info{job=~"$job"}, instance)'),
        _variable("service", "Service", f"label_values(netscope_http_client_requests_total{{{WHERE}}}, service)"),
        {
            "type": "custom",
            "name": "window",
            "label": "Window",
            "query": ",".join(_WINDOWS),
            "current": {"text": "1m", "value": "1m", "selected": True},
            "options": [{"text": one, "value": one, "selected": one == "1m"} for one in _WINDOWS],
        },
    ]


def _variable(name: str, label: str, query: str) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def _openings() -> Json:
    return {
        "name": "Circuits that opened",
        "enable": True,
        "iconColor": "red",
        "datasource": DATASOURCE,
        "expr": f"changes(netscope_circuit_opened_total{{{SERVICE}}}[1m]) > 0",
        "titleFormat": "{{service}} to {{peer}}",
    }


def text() -> str:
    """Return the dashboard as it is published."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--types"]:
        sys.stdout.write(types(dashboard()))
    else:
        PLACE.write_text(text())
