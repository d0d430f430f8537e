"""Absence is a type, not a number: all of it holds, none advances, none rolls back by itself before max_hold."""

from __future__ import annotations

import pytest

from covey.rollout.state import State
from covey.rollout.verdicts import current_verdicts
from covey.v1.evidence_pb2 import Absence, AbsenceType, ProbeCounts, Verdict
from covey.v1.journal_pb2 import RollbackStarted

from .world import SHORT_PLAN, Replica, World, in_phase, started

LONG = SHORT_PLAN.replace("hold: 20s", "hold: 20s\n    max_hold: 1h").replace(
    "hold: 15s", "hold: 15s\n    max_hold: 1h"
)
TYPES = [value for value in AbsenceType.values() if value]


def ready(phase: str, **world: object) -> World:
    result = started(LONG, requests_per_second=1000.0, **world)
    result.run(in_phase(phase))
    return result


@pytest.mark.parametrize("phase", ["canary", "rollout"])
@pytest.mark.parametrize("kind", TYPES, ids=[AbsenceType.Name(value) for value in TYPES])
def test_no_absence_ever_advances(kind: AbsenceType.ValueType, phase: str) -> None:
    world = ready(phase)
    world.absences = [Absence(replica="a", metric="covey_requests_total", type=kind)]
    for _ in range(120):
        world.look()
    state = world.journal.state
    assert state.state == State.STATE_HOLDING
    assert state.phase == phase
    assert AbsenceType.Name(kind).removeprefix("ABSENCE_TYPE_") in state.explanation
    assert world.journal.kinds().count("held") <= 2
    world.absences = []
    world.run(lambda now: now.is_terminal or now.phase != phase)
    assert state.state != State.STATE_ROLLED_BACK


@pytest.mark.parametrize("phase", ["canary", "rollout"])
def test_nothing_at_all_never_advances(phase: str) -> None:
    world = ready(phase)
    for _ in range(60):
        world.look(readings=[], probes=[])
    assert world.journal.state.phase == phase
    assert world.journal.state.explanation == "metrics are missing: no replica was read"


def test_missing_data_ends_by_max_hold_only() -> None:
    world = started(SHORT_PLAN, requests_per_second=1000.0)
    world.run(in_phase("canary"))
    world.absences = [Absence(replica="a", type=AbsenceType.Value("ABSENCE_TYPE_SCRAPE_FAILED"))]
    world.run(lambda state: state.is_terminal)
    entry = next(entry for entry in world.journal.entries if entry.HasField("rollback_started"))
    assert entry.rollback_started.cause == RollbackStarted.CAUSE_MAX_HOLD


def test_the_first_phase_does_not_begin_blind() -> None:
    world = started(LONG)
    world.absences = [Absence(replica="a", type=AbsenceType.Value("ABSENCE_TYPE_SCRAPE_FAILED"))]
    for _ in range(5):
        world.look(readings=[])
    assert world.journal.state.state == State.STATE_SCHEDULED
    world.absences = [Absence(replica="a", type=AbsenceType.Value("ABSENCE_TYPE_NO_SERIES"))]
    world.look(readings=[])
    assert world.journal.state.phase == "canary", "before the first phase there may be no series yet"


def test_a_restart_is_a_new_base_and_not_evidence() -> None:
    world = ready("canary")
    world.look()
    before = world.journal.state.phase_counts.requests
    old = world.replicas[0]
    world.replicas[0] = Replica("a", started=old.started + 100, weight_bp=old.weight_bp)
    world.look()
    state = world.journal.state
    assert not state.faults
    assert state.phase_counts.requests == before
    added = world.replicas[0].candidate.request_count
    world.look()
    after = world.journal.state.phase_counts.requests
    assert after - before == world.replicas[0].candidate.request_count - added > 0


def test_a_counter_that_falls_without_a_restart_is_not_believed() -> None:
    world = ready("canary")
    for _ in range(10):
        world.look()
    counts = world.journal.state.phase_counts
    world.replicas[0].candidate.request_count //= 2
    world.look()
    state = world.journal.state
    assert state.phase_counts == counts
    assert "fell from" in state.faults[0]
    assert state.state == State.STATE_HOLDING
    assert state.explanation == "the metrics of replica a cannot be believed"
    criteria = [verdict for verdict in current_verdicts(state) if verdict.role == Verdict.ROLE_CRITERION]
    assert {verdict.result for verdict in criteria} == {Verdict.RESULT_INVALID}
    assert "cannot be judged" in criteria[0].sentence


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda c: setattr(c, "error_count", c.request_count + 1), "errors of"),
        (lambda c: setattr(c, "unavailable_count", c.error_count + 1), "unavailable answers of"),
        (lambda c: setattr(c.over_limits[0], "request_count", c.request_count + c.shed_count + 1), "slow requests of"),
        (lambda c: setattr(c, "shed_count", -1), "negative"),
        (lambda c: c.over_limits.pop(), "are not counted"),
    ],
    ids=["errors", "unavailable", "slow", "negative", "limit"],
)
def test_a_page_that_contradicts_itself_is_not_believed(break_it, said: str) -> None:  # type: ignore[no-untyped-def]
    world = ready("canary")
    counts = world.journal.state.phase_counts
    reading = world.readings()[0]
    break_it(reading.variants[1])
    world.look(readings=[reading])
    assert said in world.journal.state.faults[0]
    assert world.journal.state.phase_counts == counts


def test_a_replica_added_later_counts_from_its_second_page() -> None:
    world = ready("canary")
    world.replicas.append(Replica("b"))
    world.look()
    first = world.replicas[1].candidate.request_count
    at_first = world.journal.state.phase_counts.requests
    world.look()
    gained = world.journal.state.phase_counts.requests - at_first
    assert world.replicas[1].candidate.request_count > first
    assert gained > (world.replicas[1].candidate.request_count - first)


def test_another_weight_than_the_journals_is_invalid_and_holds() -> None:
    world = ready("canary")
    world.run(lambda state: state.phase_elapsed_seconds >= 5)
    elapsed = world.journal.state.phase_elapsed_seconds
    for _ in range(40):
        readings = world.readings()
        readings[0].candidate_weight_bp = 10
        world.look(readings=readings)
    state = world.journal.state
    assert state.state == State.STATE_HOLDING
    assert state.explanation == "replica a gives the candidate 0.1 % of the learners, the journal says 5 %"
    assert state.phase_elapsed_seconds == elapsed
    assert current_verdicts(state)[0].result == Verdict.RESULT_INVALID


def test_a_replica_down_for_both_variants_is_not_held_against_the_candidate() -> None:
    world = ready("canary")
    for _ in range(8):
        down = [
            ProbeCounts(replica="a", variant=variant, unanswered_count=20)
            for variant in (world.spec.baseline, world.spec.candidate)
        ]
        world.look(probes=down)
    assert world.journal.state.in_phase
    assert world.journal.state.rollout_counts.probes_failed == 0
