"""The rule file."""

from __future__ import annotations

from typing import Any

import yaml

from covey.monitoring.alerts import RUNBOOKS, Alert
from covey.monitoring.objectives import Objectives
from covey.monitoring.recording import Recording, promise_recordings, split_recordings
from covey.monitoring.rollout_alerts import rollout_alerts
from covey.monitoring.service_alerts import service_alerts
from covey.monitoring.upkeep_alerts import upkeep_alerts

_HEAD = """\
# Written by `covey monitoring rules`; write it again instead of editing it.
# Burn rates: B. Beyer et al., The Site Reliability Workbook (2018), chapter 5, table 5-8.
"""


def recordings(objectives: Objectives) -> list[Recording]:
    """Every series that the rules compute."""
    return [*promise_recordings(objectives), *split_recordings()]


def alerts(objectives: Objectives, job: str) -> list[Alert]:
    """Every alert."""
    return [*service_alerts(objectives, job), *rollout_alerts(), *upkeep_alerts()]


def groups(objectives: Objectives, *, job: str = "covey", runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """The rule file as plain values.

    Args:
        objectives: the promise.
        job: name of the scrape configuration of servers and controllers.
        runbooks: URL or folder of the runbooks.
    """
    recorded = (("covey-promise", promise_recordings(objectives)), ("covey-split", split_recordings()))
    alerting = (
        ("covey-service-alerts", service_alerts(objectives, job)),
        ("covey-rollout-alerts", rollout_alerts()),
        ("covey-upkeep-alerts", upkeep_alerts()),
    )
    made: list[dict[str, Any]] = [
        {"name": name, "interval": "30s", "rules": [one.rule() for one in group]} for name, group in recorded
    ]
    made += [
        {"name": name, "interval": "15s", "rules": [one.rule(runbooks) for one in group]} for name, group in alerting
    ]
    return {"groups": made}


def rules_text(objectives: Objectives, *, job: str = "covey", runbooks: str = RUNBOOKS) -> str:
    """The rule file as YAML; see `groups`."""
    content = groups(objectives, job=job, runbooks=runbooks)
    return _HEAD + yaml.safe_dump(content, sort_keys=False, width=120)
