"""What a report says of what comes next, of the time with everybody, and of the chance of a false rollback."""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType

import pytest

from covey.report import Report, build_report
from covey.report.schedule import on_call_text, schedule_lines
from covey.rollout import commands
from covey.v1.rollout_spec_pb2 import OnCall


def test_the_schedule_of_a_draft_is_the_plan(worlds: ModuleType) -> None:
    world = worlds.World()
    canary, ramp, rollout = schedule_lines(world.state, worlds.START)
    assert canary.begins == "Mon 2026-01-05 09:00+00:00"
    assert canary.waits_for == "approval of engineering, operations"
    assert (ramp.begins, ramp.ends) == ("Mon 2026-01-05 09:10+00:00", "Mon 2026-01-05 09:25+00:00")
    assert rollout.ends_at == "2026-01-05T09:55:00+00:00"
    assert rollout.waits_for == "nothing but its time"
    assert [line.share_bp for line in (canary, ramp, rollout)] == [1000, 5000, 10_000]


def test_the_phase_in_force_counts_what_is_left(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(310)
    canary, ramp, _ = schedule_lines(world.state, world.now)
    left = 600 - world.state.phase_elapsed_seconds
    assert canary.begins == "in force"
    assert canary.ends_at == (world.now + timedelta(seconds=left)).isoformat(timespec="seconds")
    assert ramp.begins == canary.ends


def test_without_evidence_no_end_is_promised(worlds: ModuleType) -> None:
    world = worlds.holding()
    canary, ramp, rollout = schedule_lines(world.state, world.now)
    assert (canary.ends, canary.ends_at) == ("unknown", "")
    assert "error_rate < 1 % (any traffic at all)" in canary.waits_for
    assert (ramp.begins, rollout.begins) == ("after canary", "after ramp")
    world.write(commands.pause(world.state, world.now, reason="lunch"), "ada")
    assert schedule_lines(world.state, world.now)[0].waits_for == "somebody to resume it"


def test_a_postponement_is_kept(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(60)
    later = world.now + timedelta(days=2)
    world.write(commands.postpone(world.state, world.now, phase="ramp", not_before=later, reason="fair"), "ada")
    _, ramp, _ = schedule_lines(world.state, world.now)
    assert ramp.begins == "Wed 2026-01-07 09:01+00:00"
    assert "no earlier than Wed 2026-01-07 09:01+00:00" in ramp.waits_for


@pytest.mark.parametrize("world", ["succeeded", "rolled_back"])
def test_what_has_ended_has_no_schedule(worlds: ModuleType, world: str) -> None:
    made = getattr(worlds, world)()
    assert schedule_lines(made.state, made.now) == []
    assert "What comes next" not in build_report(made.journal).markdown()


def test_who_is_called_and_when() -> None:
    assert on_call_text(OnCall()) == "nobody named"
    assert on_call_text(OnCall(primary="ada")) == "ada"
    people = OnCall(primary="ada", secondary="grace", escalation="edsger")
    people.escalate_after.FromTimedelta(timedelta(minutes=5))
    assert on_call_text(people) == "ada; after 5 min grace; after 10 min edsger"


@pytest.fixture(scope="module")
def succeeded(worlds: ModuleType) -> Report:
    return build_report(worlds.succeeded().journal)


def test_the_time_with_everybody_adds_up(succeeded: Report) -> None:
    stable = succeeded.stabilisation
    assert stable is not None
    panel = succeeded.panels[-1]
    assert stable.is_over
    assert (stable.phase, stable.requests) == ("rollout", panel.candidate.requests[-1])
    assert sum(line.requests for line in stable.lines) == stable.requests
    assert sum(line.errors for line in stable.lines) == stable.errors == panel.candidate.errors[-1]
    for place, limit in enumerate(stable.slower_limits):
        assert sum(line.slower[place] for line in stable.lines) == panel.candidate.slower[limit][-1]
    assert 2 <= len(stable.lines) <= 14
    assert stable.lines[-1].end_seconds == pytest.approx(panel.end_seconds)
    assert "the way back is a rollout of its own" in stable.way_back
    for text in (succeeded.markdown(), succeeded.html()):
        assert "With everybody: phase rollout" in text


def test_a_soak_on_its_way_says_so(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(2100)
    world.write(
        commands.report_incident(world.state, world.now, incident_id="INC-1", critical=False, description="slow"), "oz"
    )
    report = build_report(world.journal)
    stable = report.stabilisation
    assert report.decision == "SOAKING"
    assert stable is not None and not stable.is_over
    assert stable.way_back.startswith("covey rollout abort native-over-reference")
    assert [event.kind for event in stable.disturbances] == ["incident_reported"]
    assert "of 30 min so far" in report.markdown()


def test_before_everybody_has_it_there_is_none(worlds: ModuleType) -> None:
    assert build_report(worlds.rolled_back().journal).stabilisation is None
    assert build_report(worlds.World().journal).stabilisation is None


def test_alpha_is_spent_by_who_rolled_back(worlds: ModuleType, succeeded: Report) -> None:
    assert {line.family: line.spent for line in succeeded.alpha} == {"error": 0, "latency": 0, "availability": 0}
    rolled_back = build_report(worlds.rolled_back().journal)
    by_family = {line.family: line for line in rolled_back.alpha}
    assert by_family["error"].spent == by_family["error"].alpha == pytest.approx(0.01)
    assert by_family["latency"].spent == 0
    assert by_family["error"].triggers == ["error_rate > 1.5 %"]
    assert "mismatch < 1 %" in by_family["error"].refutations
    assert sum(line.alpha for line in rolled_back.alpha) <= rolled_back.alpha_budget
    assert "at most 2.1 % chance" in rolled_back.markdown()
