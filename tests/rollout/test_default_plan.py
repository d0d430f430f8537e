"""The default plan of examples/, whole, in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.rollout import commands
from covey.rollout.replay import replay
from covey.rollout.spec import check_spec, load_spec
from covey.rollout.state import State
from covey.rollout.verdicts import current_verdicts
from covey.v1.evidence_pb2 import Verdict

from .world import ROLES, in_phase, is_state, started

PLAN = Path(__file__).resolve().parents[2] / "examples" / "default-plan.yaml"
TEXT = PLAN.read_text(encoding="utf-8")


def test_it_has_no_findings() -> None:
    assert check_spec(load_spec(TEXT, PLAN.name)) == []


def test_it_succeeds_with_ample_traffic() -> None:
    world = started(TEXT, requests_per_second=420.0, error_rate=0.0002, slow_rate=0.003)
    journal = world.journal
    state = world.run(in_phase("ramp"))
    state = world.run(is_state(State.STATE_HOLDING))
    assert state.phase == "ramp"
    assert state.phase_elapsed_seconds >= 4 * 3600
    assert state.explanation == (
        "not shown yet: segments(engagement) < 5 % (or product accepts it), revenue > -3 % (or finance accepts it)"
    )
    journal.command(commands.approve, phase="ramp", role="product", statement="segments(engagement) < 5 %")
    journal.command(commands.approve, phase="ramp", role="finance", statement="revenue > -3 %")
    state = world.run(is_state(State.STATE_AWAITING_APPROVAL))
    assert state.missing_roles == ROLES
    journal.approve("rollout", *ROLES)
    state = world.run(is_state(State.STATE_SOAKING))
    assert state.tick_interval_seconds == 300
    state = world.run(lambda now: now.is_terminal)
    assert state.state == State.STATE_SUCCEEDED
    checkpoints = journal.kinds().count("checkpoint")
    assert checkpoints == sum(len(phase.checkpoints) for phase in state.spec.phases)
    assert state.phase_elapsed_seconds == 13 * 86_400
    assert journal.refold() == state
    canary = journal.entries[: next(e.sequence for e in journal.entries if e.phase_entered.phase == "ramp")]
    assert [e.SerializeToString(deterministic=True) for e in replay(canary)] == [
        e.SerializeToString(deterministic=True) for e in canary
    ]


def test_at_42_requests_a_second_the_canary_holds_on_availability_and_says_how_many_more() -> None:
    world = started(TEXT, requests_per_second=42.0, error_rate=0.0, slow_rate=0.001)
    state = world.run(is_state(State.STATE_HOLDING))
    assert state.phase == "canary"
    assert state.explanation == "not shown yet: availability > 99.9 %, mismatch < 0.1 %"
    verdict = next(found for found in current_verdicts(state) if found.statement == "availability > 99.9 %")
    assert verdict.result == Verdict.RESULT_INSUFFICIENT
    assert verdict.trial_count == pytest.approx(3024, rel=0.05)
    assert verdict.needed_count == 3301 - verdict.trial_count
    assert f"0 of {verdict.trial_count:,} candidate requests failed" in verdict.sentence
    assert f"needs {verdict.needed_count:,} more, about" in verdict.sentence
    state = world.run(in_phase("ramp"))
