"""Numbers that gates compare by, outcome rules and the ledger, checked with their lines."""

from __future__ import annotations

import pytest

from covey.rollout.check import check_spec
from covey.rollout.spec import SpecError, load_spec

PLAN = """\
target: analyzer
baseline: reference
candidate: native
phases:
  - name: canary
    traffic_share: 5 %
    hold: 1h
    criteria:
      - statement: error_rate < 1 %
        margin: 2
      - statement: p99 not worse than baseline
triggers:
  - statement: error_rate > 2 %
    tolerance: 1
  - statement: p99 worse than baseline
  - statement: availability < 99 %
    alpha: 1 %
outcomes:
  - metric: revenue
    low: 0
    high: 100
    covariate: interaction_frequency
  - metric: engagement
error_floor: 0.0005
false_rollback_budget: 0.05
"""


def errors(text: str) -> str:
    with pytest.raises(SpecError) as found:
        load_spec(text, "p.yaml")
    return str(found.value)


def test_the_plan_itself_is_right() -> None:
    assert not [finding for finding in check_spec(load_spec(PLAN, "p.yaml")) if finding.level == "error"]
    load_spec(PLAN.replace("margin: 2", "margin: 0").replace("tolerance: 1", "tolerance: 0"), "p.yaml")


@pytest.mark.parametrize(
    ("was", "now", "line", "words"),
    [
        ("margin: 2", "margin: 1.2", 10, "1.2 is no margin; expected 0 (not compared) or 1.3"),
        ("margin: 2", "margin: -1", 10, "is no margin"),
        ("margin: 2", "margin: nan", 10, "is no margin"),
        ("tolerance: 1", "tolerance: 0.9", 14, "0.9 is no tolerance; expected 0 (not compared) or 1"),
        ("tolerance: 1", "tolerance: inf", 14, "is no tolerance"),
        ("than baseline\ntriggers", "than baseline\n        margin: 0\ntriggers", 12, "compares nothing"),
        (
            "worse than baseline\n  - statement: av",
            "worse than baseline\n    tolerance: 0\n  - statement: av",
            16,
            "nothing",
        ),
        ("high: 100", "high: 0", 21, "low is below high"),
        ("low: 0", "low: nan", 20, "no number"),
        ("metric: engagement", "metric: revenue", 23, "has a rule already, outcomes[0]"),
        ("interaction_frequency", "Interaction-Frequency", 22, "is no trait"),
        ("interaction_frequency", "learning_velocty", 22, "expected one of learning_velocity, domain_affinity"),
        ("error_floor: 0.0005", "error_floor: 0", 24, "lies outside"),
        ("budget: 0.05", "budget: 0", 25, "is no error rate"),
        ("budget: 0.05", "budget: 0.6", 25, "is no error rate"),
        # Error 1 %, latency 1 %, availability 1 %.
        ("budget: 0.05", "budget: 0.02", 13, "3 % of rollouts (error 1 %"),
        ("    alpha: 1 %", "    alpha: 4 %", 17, "lower the alpha of triggers[2] ('availability < 99 %', 4 %)"),
    ],
)
def test_a_number_that_means_nothing_is_named_with_its_line(was: str, now: str, line: int, words: str) -> None:
    assert was in PLAN
    text = errors(PLAN.replace(was, now, 1))
    assert words in text
    assert text.startswith(f"p.yaml:{line}: ")
