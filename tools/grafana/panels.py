"""The kinds of panels: each function gives one as Grafana's JSON."""

from typing import Any, Final

Json = dict[str, Any]

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_STATES: Final = {
    "closed": ("0", "green"),
    "half-open": ("1", "yellow"),
    "open": ("2", "red"),
    "unknown": ("3", "text"),
}


def _target(expression: str, legend: str, number: int, **more: Any) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": DATASOURCE,
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
        "datasource": DATASOURCE,
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
