"""Every kind of entry in every state: legal or IllegalEntry, nothing between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from covey.rollout import commands
from covey.rollout.draft import payload_entry, stamped
from covey.rollout.state import IllegalEntry, State, apply
from covey.rollout.units import duration_of, timestamp_of
from covey.v1 import journal_pb2 as j

from .world import Journal, World, ended, in_phase, plan, started

ALWAYS_ASKED = """
target: analyzer
baseline: reference
candidate: native
tick_interval: 1s
soak_tick_interval: 1s
phases:
  - name: canary
    traffic_share: 5 %
    hold: 10s
    checkpoints: [5s]
    criteria: [{statement: error_rate < 2 %, margin: 0}]
  - name: rollout
    traffic_share: 100 %
    soak: true
    hold: 5s
    criteria: [{statement: error_rate < 2 %, margin: 0}]
    approvals: {roles: [operations]}
triggers: [{statement: error_rate > 3 %, tolerance: 0}]
"""

OPERATOR = {"paused", "postponed", "approved", "denied", "rollback_started", "incident_reported", "tick"}
EXCLUSION = {"segment_excluded"}
LEGAL: dict[State.ValueType, set[str]] = {
    State.STATE_DRAFT: (OPERATOR - {"paused", "tick"}) | {"started"},
    State.STATE_SCHEDULED: OPERATOR | {"phase_entered", "approval_awaited"},
    State.STATE_RUNNING: OPERATOR | EXCLUSION | {"phase_entered", "approval_awaited", "held", "promoted", "checkpoint"},
    State.STATE_HOLDING: OPERATOR
    | EXCLUSION
    | {"phase_entered", "approval_awaited", "held", "released", "promoted", "checkpoint"}
    | {"acknowledged", "escalated"},
    State.STATE_AWAITING_APPROVAL: OPERATOR | EXCLUSION | {"phase_entered", "approval_awaited", "held", "promoted"},
    State.STATE_SOAKING: (OPERATOR - {"postponed", "denied"}) | EXCLUSION | {"held", "promoted", "finished"},
    State.STATE_ROLLING_BACK: {"tick", "incident_reported", "finished"},
    State.STATE_SUCCEEDED: set(),
    State.STATE_ROLLED_BACK: set(),
    State.STATE_ABORTED: set(),
}


def reached(state: State.ValueType) -> World:
    """A rollout that has come to that state by legal entries."""
    if state == State.STATE_DRAFT:
        return World(Journal(plan(ALWAYS_ASKED)))
    world = started(ALWAYS_ASKED)
    journal = world.journal
    if state == State.STATE_SCHEDULED:
        return world
    world.run(lambda now: now.phase_elapsed_seconds >= 5 and now.in_phase)
    if state == State.STATE_RUNNING:
        return reached_before_checkpoint()
    if state == State.STATE_HOLDING:
        held = j.PhaseHeld(phase="canary", explanation="so")
        world = reached_before_checkpoint()
        world.journal.append([payload_entry(held=held)], epoch=1)
        return world
    if state in {State.STATE_ROLLING_BACK, State.STATE_ABORTED}:
        journal.command(commands.abort, reason="enough")
        if state == State.STATE_ABORTED:
            world.run(ended)
        return world
    if state == State.STATE_ROLLED_BACK:
        journal.command(commands.crash_loop)
        world.run(ended)
        return world
    world.run(lambda now: now.state == State.STATE_AWAITING_APPROVAL)
    if state == State.STATE_AWAITING_APPROVAL:
        return world
    journal.approve("rollout", "operations")
    world.run(in_phase("rollout") if state == State.STATE_SOAKING else ended)
    return world


def reached_before_checkpoint() -> World:
    """In the canary with its checkpoint due and not recorded, as between two entries of one commit."""
    world = started(ALWAYS_ASKED)
    world.run(lambda now: now.phase_elapsed_seconds >= 4)
    tick = world.look()[0]
    entries = world.journal.entries[:]
    position = entries.index(tick) + 1
    rebuilt = World(Journal(plan(ALWAYS_ASKED)))
    rebuilt.journal.now = world.journal.now
    rebuilt.journal.restore(entries[1:position])
    return rebuilt


def entry_of(kind: str, world: World) -> j.Entry:
    state = world.journal.state
    following = state.next_phase.name if state.next_phase else "rollout"
    weight = state.plan.weight_bp(min(state.phase_index + 1, 1))
    aborted = state.rollback_cause in {j.RollbackStarted.CAUSE_UNSPECIFIED, j.RollbackStarted.CAUSE_ABORT}
    rolled_back = j.RolloutFinished.OUTCOME_ABORTED if aborted else j.RolloutFinished.OUTCOME_ROLLED_BACK
    rolling_back = state.state == State.STATE_ROLLING_BACK
    later = timestamp_of(world.journal.now + timedelta(days=1))
    payloads = {
        "created": j.RolloutCreated(rollout=state.name, spec=state.spec, spec_digest=state.spec_digest),
        "started": j.RolloutStarted(),
        "approval_awaited": j.ApprovalAwaited(phase=following, missing_roles=["operations"]),
        "phase_entered": j.PhaseEntered(phase=following, candidate_weight_bp=weight),
        "tick": j.Tick(observed=duration_of(1), observed_at=timestamp_of(world.journal.now)),
        "checkpoint": j.CheckpointReached(phase=state.phase, offset=duration_of(5)),
        "held": j.PhaseHeld(phase=state.phase, explanation="because"),
        "released": j.PhaseReleased(phase=state.phase),
        "paused": j.RolloutPaused(),
        "resumed": j.RolloutResumed(),
        "promoted": j.PhasePromoted(phase=state.phase),
        "postponed": j.PhasePostponed(phase="rollout", not_before=later),
        "approved": j.PhaseApproved(phase="rollout", role="operations", spec_digest=state.spec_digest),
        "denied": j.PhaseDenied(phase="rollout", role="operations"),
        "revoked": j.ApprovalRevoked(phase="canary", role="operations"),
        "rollback_started": j.RollbackStarted(cause=j.RollbackStarted.CAUSE_ABORT, explanation="enough"),
        "finished": j.RolloutFinished(outcome=rolled_back if rolling_back else j.RolloutFinished.OUTCOME_SUCCEEDED),
        "incident_reported": j.IncidentReported(incident_id="i1", critical=False, description="smoke"),
        "incident_resolved": j.IncidentResolved(incident_id="i1"),
        "acknowledged": j.HoldAcknowledged(phase=state.phase),
        "escalated": j.HoldEscalated(phase=state.phase, level=j.HoldEscalated.LEVEL_SECONDARY, on_call="grace"),
        "segment_excluded": j.SegmentExcluded(segment="new", statement="segments(engagement) < 5 %"),
    }
    return payload_entry(**{kind: payloads[kind]})


KINDS = [field.name for field in j.Entry.DESCRIPTOR.oneofs_by_name["payload"].fields]
STATES = [value for value in State.values() if value != State.STATE_UNSPECIFIED]


@pytest.mark.parametrize("state", STATES, ids=[State.Name(value) for value in STATES])
def test_what_is_legal(state: State.ValueType) -> None:
    world = reached(state)
    before = world.journal.state
    assert before.state == state
    legal = set()
    for kind in KINDS:
        entry = stamped(entry_of(kind, world), before, world.journal.now)
        try:
            after = apply(before, entry)
        except IllegalEntry as error:
            assert str(error)
            assert error.reason_code
        else:
            assert after.last_sequence == before.last_sequence + 1
            legal.add(kind)
    assert legal == LEGAL[state]
    assert before == world.journal.refold()


def test_pause_and_incidents_pair_up() -> None:
    world = reached(State.STATE_RUNNING)
    world.journal.command(commands.pause)
    for kind in ("paused", "phase_entered", "promoted", "approval_awaited"):
        with pytest.raises(IllegalEntry, match="paused"):
            apply(world.journal.state, stamped(entry_of(kind, world), world.journal.state, world.journal.now))
    world.journal.command(commands.resume)
    assert not world.journal.state.paused
    world.journal.command(commands.report_incident, incident_id="i1", critical=False, description="smoke")
    with pytest.raises(commands.CommandRefused, match="open already"):
        world.journal.command(commands.report_incident, incident_id="i1", critical=False, description="smoke")
    world.journal.command(commands.resolve_incident, incident_id="i1")
    assert not world.journal.state.open_incidents


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sequence": 99}, "WRONG_SEQUENCE"),
        ({"epoch": 1}, "STALE_EPOCH"),
        ({"schema_version": 99}, "NEWER_SCHEMA"),
    ],
)
def test_stamps_are_checked(change: dict[str, int], code: str) -> None:
    world = reached(State.STATE_RUNNING)
    world.epoch = 5
    world.look()
    entry = stamped(entry_of("tick", world), world.journal.state, world.journal.now)
    for name, value in change.items():
        setattr(entry, name, value)
    with pytest.raises(IllegalEntry) as caught:
        apply(world.journal.state, entry)
    assert caught.value.reason_code == code


def test_a_phase_cannot_be_entered_at_another_weight_or_out_of_turn() -> None:
    world = started(ALWAYS_ASKED)
    state = world.journal.state
    for phase, weight, code in (("canary", 10_000, "WRONG_WEIGHT"), ("rollout", 10_000, "WRONG_PHASE")):
        entry = payload_entry(phase_entered=j.PhaseEntered(phase=phase, candidate_weight_bp=weight))
        with pytest.raises(IllegalEntry) as caught:
            apply(state, stamped(entry, state, world.journal.now))
        assert caught.value.reason_code == code


def test_a_rollback_does_not_end_while_a_replica_serves_the_candidate() -> None:
    world = reached(State.STATE_RUNNING)
    world.journal.command(commands.abort, reason="enough")
    state = world.journal.state
    reading = world.readings()[0]
    reading.candidate_weight_bp = 500
    entry = payload_entry(finished=j.RolloutFinished(outcome=j.RolloutFinished.OUTCOME_ABORTED, read_back=[reading]))
    with pytest.raises(IllegalEntry, match="still gives"):
        apply(state, stamped(entry, state, world.journal.now))
