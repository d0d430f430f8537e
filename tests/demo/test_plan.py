"""The demo's plan: one content in both places, and limits that its own traffic can prove."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covey.demo.setup import PLAN_NAME, read_plan
from covey.rollout.spec import check_spec, load_spec, with_defaults
from covey.rollout.statement import parse_statement
from covey.stats import bernoulli_level
from covey.v1.rollout_spec_pb2 import RolloutSpec

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / PLAN_NAME
RATE = 200.0
# A weight takes a second to take effect, and the first look after it only begins the phase's evidence.
SECONDS_BEFORE_EVIDENCE = 3.0


@pytest.fixture(scope="module")
def spec() -> RolloutSpec:
    return with_defaults(load_spec(*read_plan(None)))


def test_the_example_is_the_plan_that_is_shipped() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == read_plan(None)[0]


def test_the_check_finds_no_fault(spec: RolloutSpec) -> None:
    assert not [finding for finding in check_spec(spec) if finding.level == "error"]


def test_it_has_the_shape_of_the_default_plan(spec: RolloutSpec) -> None:
    assert [phase.name for phase in spec.phases] == ["canary", "ramp", "rollout"]
    assert sum(phase.hold.ToTimedelta().total_seconds() for phase in spec.phases) == 60
    assert spec.tick_interval.ToTimedelta().total_seconds() == 1
    assert [trigger.sustained.seconds for trigger in spec.triggers] == [5, 5, 0, 5, 5, 0]
    assert list(spec.phases[0].approvals.roles) == ["engineering", "operations", "product", "finance"]
    assert spec.phases[2].approvals.unless_every_criterion_passes


def test_its_own_traffic_can_prove_every_criterion_in_time(spec: RolloutSpec) -> None:
    """Each criterion passes at its alpha with no event, and with one more than none, on the calls the phase gets."""
    for phase in spec.phases:
        calls = RATE * phase.hold.ToTimedelta().total_seconds()
        for criterion in phase.criteria:
            statement = parse_statement(criterion.statement)
            if not statement.counts_events:
                continue
            share = spec.shadow_share if statement.metric == "mismatch" else phase.traffic_share
            trials = int(calls * share)
            for events in (0, 1):
                log_e = float(bernoulli_level(events, trials, statement.event_limit, alternative="less"))
                assert log_e >= np.log(1 / criterion.alpha), f"{phase.name}: {statement.text} with {trials} trials"


def test_the_arithmetic_in_its_comments_is_right() -> None:
    def needed(events: int, limit: float) -> int:
        trials = np.arange(1, 5000)
        log_e = bernoulli_level(np.full(len(trials), events), np.maximum(trials, events), limit, alternative="less")
        return int(trials[np.argmax(log_e >= np.log(20))])

    text = read_plan(None)[0].replace("\n# ", " ")
    assert f"{needed(0, 0.01)} clean candidate requests ({needed(1, 0.01)} with one failure" in text
    assert f"among them, {needed(2, 0.01)} with two)" in text
    assert f'"below 0.5 %" takes {needed(0, 0.005)}' in text
    assert f'"availability > 99.9 %" takes {needed(0, 0.001):,}' in text
