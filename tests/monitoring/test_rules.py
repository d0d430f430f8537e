"""Every alert fires on what it is for, and not on what is almost that: Prometheus's own promtool says so."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import program

from covey.monitoring.objectives import BURNS, Objectives, edge_within
from covey.monitoring.rules import alerts, groups, rules_text
from covey.rollout.codes import classify
from covey_server.metrics.counters import DURATION_EDGES_SECONDS

CASES = Path(__file__).with_name("cases")
ALERTS = sorted({alert.name for alert in alerts(Objectives(), "covey")})
RULES = [rule for group in groups(Objectives())["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("promtool", "prometheus"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def rules_of(name: str) -> dict[str, Any]:
    """One alert and the series it may use, without the groups' intervals: a case of hours need not take minutes."""
    recorded = [
        rule for rule in RULES if "record" in rule and (rule["record"].startswith("rollout") == ("Split" in name))
    ]
    alerting = [rule for rule in RULES if rule.get("alert") == name]
    return {"groups": [{"name": "recorded", "rules": recorded}, {"name": "alerting", "rules": alerting}]}


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "covey.yaml"
    path.write_text(rules_text(Objectives()))
    checked = promtool("check", "rules", str(path))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_every_alert_has_a_case() -> None:
    assert sorted(path.stem for path in CASES.glob("*.yaml")) == ALERTS


def expected(name: str, alert: dict[str, Any]) -> dict[str, Any]:
    """The alert as promtool compares it; its summary is the case's, what else it says is the rule's."""
    said = next(
        rule for rule in RULES if rule.get("alert") == name and rule["labels"].items() <= alert["labels"].items()
    )
    return {"exp_labels": alert["labels"], "exp_annotations": said["annotations"] | {"summary": alert["summary"]}}


def as_test(name: str, case: dict[str, Any]) -> dict[str, Any]:
    assert all(isinstance(values, str) for values in case["series"].values()), "unquoted, 0x12 is the number 18"
    made: dict[str, Any] = {
        "interval": case.get("interval", "1m"),
        "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
    }
    if "only" in case:
        chosen = ",".join(f'{label}="{value}"' for label, value in case["only"].items())
        firing = f'ALERTS{{alertname="{name}",alertstate="firing",{chosen}}}'
        return made | {"promql_expr_test": [{"expr": firing, "eval_time": case["at"], "exp_samples": []}]}
    told = [expected(name, alert) for alert in case.get("alerts", [])]
    return made | {"alert_rule_test": [{"eval_time": case["at"], "alertname": name, "exp_alerts": told}]}


def run(name: str, cases: list[dict[str, Any]], directory: Path) -> subprocess.CompletedProcess[str]:
    interval = cases[0].get("interval", "15s")
    tests = [as_test(name, case) for case in cases]
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules_of(name)))
    content = {"rule_files": ["rules.yaml"], "evaluation_interval": interval, "tests": tests}
    path = directory / "test.yaml"
    path.write_text(yaml.safe_dump(content))
    return promtool("test", "rules", str(path))


@pytest.mark.parametrize("name", ALERTS)
def test_it_fires_and_its_near_misses_do_not(name: str, tmp_path: Path) -> None:
    case = yaml.safe_load((CASES / f"{name}.yaml").read_text())
    assert case["silent"] or name == "CoveyWatchdog", "an alert without a near miss may fire always"
    ran = run(name, [case["fires"], *case["silent"]], tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", ["CoveyStoreNotWritable", "CoveySplitMismatch"])
def test_a_case_that_is_wrong_is_found(name: str, tmp_path: Path) -> None:
    """The twin: the near miss told to fire, and what fires told to be silent."""
    case = yaml.safe_load((CASES / f"{name}.yaml").read_text())
    for wrong in (case["silent"][0] | {"alerts": case["fires"]["alerts"]}, case["fires"] | {"alerts": []}):
        assert run(name, [wrong], tmp_path).returncode != 0


def test_alerts_say_whom_they_call_and_where_the_runbook_is() -> None:
    for rule in (rule for rule in RULES if "alert" in rule):
        assert rule["labels"]["severity"] in {"page", "ticket", "none"}
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url"}
        assert len(notes["summary"]) <= 160
        assert notes["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    elsewhere = groups(Objectives(), runbooks="https://wiki.example/covey/")["groups"][-1]["rules"][0]
    assert elsewhere["annotations"]["runbook_url"] == "https://wiki.example/covey/CoveyStoreNotWritable.md"


def test_burn_rates_are_those_of_the_workbook() -> None:
    """Table 5-8: 14.4 over an hour, 6 over six, 1 over three days, each with a twelfth of it beside."""
    assert [round(burn.rate(30), 9) for burn in BURNS] == [14.4, 6.0, 1.0]
    limits = [rule["expr"] for rule in RULES if rule.get("alert") == "CoveyErrorBudgetBurn"]
    for expression, limit in zip(limits, ("0.0144", "0.006", "0.001"), strict=True):
        assert expression.count(f"> {limit}") == 2


def test_the_edge_of_the_latency_is_one_of_the_page() -> None:
    labels = [f"{edge:.6g}" for edge in DURATION_EDGES_SECONDS]
    for milliseconds in (1, 2, 3.7, 50, 200, 999, 60_000):
        edge = edge_within(milliseconds / 1000)
        assert edge in labels
        assert float(edge) <= milliseconds / 1000 < float(edge) * 1.0501
    for edge in labels:
        assert edge_within(float(edge)) == edge


def test_what_fails_is_what_the_gates_call_failed() -> None:
    (recorded,) = [rule["expr"] for rule in RULES if rule.get("record") == "job:covey_request_failures:ratio_rate5m"]
    for code in ("OK", "NOT_FOUND", "CANCELLED"):
        assert classify(code) == "served"
        assert code in recorded
    assert "INTERNAL" not in recorded
    assert "DEADLINE_EXCEEDED" not in recorded


@pytest.mark.parametrize(
    "wrong",
    [
        {"answered_share": 1.0},
        {"fast_share": 0.0},
        {"latency_seconds": 1e-4},
        {"latency_seconds": 61},
        {"period_days": 0},
    ],
)
def test_promises_that_cannot_be_kept_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Objectives(**wrong)
