"""Every expression of rules and dashboard has data on a real Prometheus that scrapes a live installation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server.postgres import Cluster

from covey.monitoring.dashboard import dashboard
from covey.monitoring.objectives import Objectives
from covey.monitoring.recording import SPLIT_DEVIATION
from covey.monitoring.rules import alerts, recordings

from .live import installation, wait_for

PROMISE = Objectives()
PANELS = [panel for panel in dashboard(PROMISE)["panels"] if panel["type"] != "row"]
_NUMBER = re.compile(r"-?[\d.]+(?:e-?\d+)?")
_NAME = re.compile(r"\b(?:covey_\w+|\w+:covey_\w+:\w+)\b")


@pytest.fixture
def store_url() -> Iterator[str]:
    cluster = Cluster()
    yield cluster.database()
    cluster.remove()


def expressions() -> dict[str, str]:
    """What each expression is for, and itself."""
    found = {f"record {one.name}": one.expression for one in recordings(PROMISE)}
    for alert in alerts(PROMISE, "covey"):
        for condition in alert.conditions:
            found[f"signal of {alert.name}: {condition.signal}"] = condition.signal
            if not _NUMBER.fullmatch(condition.limit):
                found[f"limit of {alert.name}"] = condition.limit
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"].replace("$job", ".*").replace("$rollout", ".*")
            found[f"panel {panel['title']} {target['refId']}"] = expression
    return found


@pytest.mark.e2e
def test_every_expression_has_data(tmp_path: Path, authority: Any, store_url: str) -> None:
    asked = expressions()
    with installation(tmp_path, authority, store_url) as prometheus:

        def silent() -> dict[str, str]:
            return {what: one for what, one in asked.items() if not any(map(math.isfinite, prometheus.values(one)))}

        wait_for("the split is measured", lambda: prometheus.values(SPLIT_DEVIATION))
        wait_for("every expression has data", lambda: not silent(), 60, silent)
        used = {name for one in asked.values() for name in _NAME.findall(one)}
        assert used - prometheus.names() == set(), "names that nobody exports"
        firing = {one["labels"]["alertname"] for one in prometheus.get("alerts")["alerts"] if one["state"] == "firing"}
        # Of the foreign service neither router nor metrics are there.
        assert {"CoveyWatchdog"} <= firing <= {"CoveyWatchdog", "CoveyEvidenceMissing", "CoveyRouterMismatch"}
        failing = [
            rule for group in prometheus.get("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"
        ]
        assert failing == []
        assert prometheus.values("sum(rate(covey_reqests_total[5m]))") == [], "the twin: a name that nobody exports"
