"""The Grafana dashboard: the panels laid out, as JSON that Grafana imports."""

from __future__ import annotations

import json
from typing import Any

from covey.monitoring.objectives import Objectives
from covey.monitoring.panels import Panel, Row, rows

_COLUMNS = 24
_PANEL_HEIGHT = 8
_SCHEMA_VERSION = 39
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(objectives: Objectives) -> dict[str, Any]:
    """The dashboard as plain values."""
    return {
        "uid": "covey",
        "title": "covey",
        "tags": ["covey"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "templating": {"list": _variables()},
        "annotations": {"list": [_phases()]},
        "panels": _laid_out(rows(objectives)),
    }


def dashboard_text(objectives: Objectives) -> str:
    """The dashboard as JSON."""
    return json.dumps(dashboard(objectives), indent=2) + "\n"


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return [
        source,
        _labels_of("job", "covey_build_info", "job"),
        _labels_of("rollout", "covey_rollout_info", "rollout"),
    ]


def _labels_of(name: str, metric: str, label: str) -> dict[str, Any]:
    query = f"label_values({metric}, {label})"
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _phases() -> dict[str, Any]:
    """A mark wherever the weight changes."""
    return {
        "name": "Weight changes",
        "datasource": _DATASOURCE,
        "enable": True,
        "iconColor": "purple",
        "expr": 'changes(covey_rollout_weight_ratio{rollout=~"$rollout"}[1m]) > 0',
        "titleFormat": "{{rollout}}",
        "step": "30s",
    }


def _laid_out(all_rows: list[Row]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    y = 0
    for row in all_rows:
        made.append(
            {
                "id": len(made) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
            }
        )
        y += 1
        x = 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + _PANEL_HEIGHT
            place = {"x": x, "y": y, "w": panel.width, "h": _PANEL_HEIGHT}
            made.append(_panel(panel, len(made) + 1, place))
            x += panel.width
        y += _PANEL_HEIGHT
    return made


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        style = {"mode": "dashed" if panel.limit is not None else "off"}
        defaults["custom"] = {"lineWidth": 2, "fillOpacity": 5, "showPoints": "never", "thresholdsStyle": style}
        defaults["color"] = {"mode": "palette-classic"}
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATASOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for index, query in enumerate(panel.queries)
        ],
    }
    if panel.kind == "table":
        hidden = {"Time": True, "Value": True, "__name__": True, "alertstate": True}
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return made


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"},
    "table": {"showHeader": True, "cellHeight": "sm"},
}
