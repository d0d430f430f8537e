"""Who may sign what, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from covey.rollout import commands
from covey.rollout.commands import CommandRefused
from covey.rollout.draft import payload_entry, stamped
from covey.rollout.state import IllegalEntry, State, apply, fold
from covey.v1 import journal_pb2 as j

from .world import SHORT_PLAN, Journal, World, in_phase, plan, started

SIGNED = SHORT_PLAN.replace("- p99 < 200 ms", "- {statement: p99 < 200 ms, accept_by: product}")


def refusal(world: World, verb: str, **arguments: object) -> CommandRefused:
    with pytest.raises(CommandRefused) as caught:
        world.journal.command(getattr(commands, verb), **arguments)
    return caught.value


@pytest.mark.parametrize(
    ("verb", "arguments", "code"),
    [
        ("approve", {"phase": "nowhere", "role": "operations"}, "UNKNOWN_PHASE"),
        ("approve", {"phase": "rollout", "role": "stranger"}, "UNKNOWN_ROLE"),
        ("approve", {"phase": "canary", "role": "operations"}, "PHASE_BEGUN"),
        ("approve", {"phase": "canary", "role": "product", "statement": "p98 below"}, "UNKNOWN_STATEMENT"),
        ("approve", {"phase": "canary", "role": "product", "statement": "p95 < 200 ms"}, "UNKNOWN_STATEMENT"),
        ("approve", {"phase": "canary", "role": "operations", "statement": "p99 < 200 ms"}, "WRONG_ROLE"),
        ("approve", {"phase": "canary", "role": "product", "statement": "error_rate < 2 %"}, "WRONG_ROLE"),
        ("approve", {"phase": "rollout", "role": "product", "statement": "p99 < 200 ms"}, "WRONG_PHASE"),
        ("deny", {"phase": "canary", "role": "operations"}, "PHASE_BEGUN"),
        ("revoke", {"phase": "rollout", "role": "operations"}, "NOT_APPROVED"),
        ("revoke", {"phase": "canary", "role": "operations"}, "PHASE_BEGUN"),
        ("postpone", {"phase": "canary", "not_before": None}, "PHASE_BEGUN"),
    ],
)
def test_what_may_not_be_signed(verb: str, arguments: dict[str, object], code: str) -> None:
    world = started(SIGNED)
    world.run(in_phase("canary"))
    if "not_before" in arguments:
        arguments = {**arguments, "not_before": world.journal.now}
    assert refusal(world, verb, **arguments).reason_code == code


def test_a_signature_is_for_one_spec() -> None:
    world = started(SIGNED)
    state = world.journal.state
    entry = payload_entry(approved=j.PhaseApproved(phase="rollout", role="operations", spec_digest="another"))
    with pytest.raises(IllegalEntry) as caught:
        apply(state, stamped(entry, state, world.journal.now))
    assert caught.value.reason_code == "WRONG_DIGEST"


def test_a_criterion_s_signature_may_be_taken_back_in_its_phase() -> None:
    world = started(SIGNED, requests_per_second=100)
    world.run(in_phase("canary"))
    world.journal.command(commands.approve, phase="canary", role="product", statement="p99 < 200 ms")
    assert [approval.statement for approval in world.journal.state.approvals] == ["", "p99 < 200 ms"]
    world.journal.command(commands.revoke, phase="canary", role="product", reason="on second thought")
    assert [approval.statement for approval in world.journal.state.approvals] == [""]


def test_a_second_denial_replaces_the_first_and_an_approval_lifts_it() -> None:
    world = started(SIGNED)
    for reason in ("no", "still no"):
        world.journal.command(commands.deny, phase="rollout", role="operations", reason=reason)
    assert [denial.reason for denial in world.journal.state.denials] == ["still no"]
    world.journal.approve("rollout", "operations")
    assert world.journal.state.denials == ()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"rollback_started": j.RollbackStarted()}, "NO_CAUSE"),
        ({"rollback_started": j.RollbackStarted(cause=j.RollbackStarted.CAUSE_TRIGGER)}, "ILLEGAL_STATE"),
        ({"postponed": j.PhasePostponed(phase="rollout")}, "NO_TIME"),
        ({"held": j.PhaseHeld(phase="rollout")}, "ILLEGAL_STATE"),
        ({"incident_resolved": j.IncidentResolved(incident_id="i9")}, "UNKNOWN_INCIDENT"),
        ({}, "EMPTY_ENTRY"),
    ],
)
def test_entries_that_say_too_little_or_too_much(payload: dict[str, object], code: str) -> None:
    state = started().journal.state
    with pytest.raises(IllegalEntry) as caught:
        apply(state, stamped(payload_entry(**payload), state, World(Journal(plan())).journal.now))
    assert caught.value.reason_code == code


def test_the_outcome_fits_the_cause() -> None:
    world = started()
    world.run(in_phase("canary"))
    world.journal.command(commands.crash_loop)
    state = world.journal.state
    entry = payload_entry(finished=j.RolloutFinished(outcome=j.RolloutFinished.OUTCOME_ABORTED))
    with pytest.raises(IllegalEntry) as caught:
        apply(state, stamped(entry, state, world.journal.now))
    assert caught.value.reason_code == "WRONG_OUTCOME"


def test_a_journal_begins_with_its_creation() -> None:
    entries = Journal(plan()).entries
    with pytest.raises(ValueError, match="at least the entry"):
        fold([])
    second = j.Entry(sequence=1, started=j.RolloutStarted())
    with pytest.raises(IllegalEntry, match="begins with the entry that creates"):
        fold([second])
    late = j.Entry()
    late.CopyFrom(entries[0])
    late.sequence = 2
    with pytest.raises(IllegalEntry, match="begins with entry 1"):
        fold([late])
    forged = j.Entry()
    forged.CopyFrom(entries[0])
    forged.created.spec_digest = "00"
    with pytest.raises(IllegalEntry, match="digest"):
        fold([forged])
    with pytest.raises(IllegalEntry, match="exists already"):
        fold([entries[0], stamped(entries[0], fold(entries), World(Journal(plan())).journal.now)])


def test_a_weight_that_arrives_late_is_waited_for() -> None:
    journal = Journal(plan(), effective_after=timedelta(milliseconds=2500))
    journal.command(commands.start)
    journal.approve("canary", "operations")
    world = World(journal)
    world.look()
    assert journal.state.candidate_weight_bp == 500
    for _ in range(2):
        world.look()
        assert not journal.state.weight_confirmed
        assert journal.state.state == State.STATE_RUNNING, "the change is still on its way"
    world.run(lambda state: state.weight_confirmed)
    assert journal.state.phase_counts.requests == 0, "the tick that confirms is the beginning, not evidence"
    assert journal.state.rollout_counts.requests > 0, "triggers see every request of the candidate"


def test_a_dwell_that_never_completes_ends_by_max_hold() -> None:
    world = started()
    world.run(in_phase("canary"))
    for _ in range(200):
        if world.journal.state.is_terminal:
            break
        world.look(observed_seconds=1.0, readings=world.readings() if world.random.random() < 0.2 else [])
    entry = next(entry for entry in world.journal.entries if entry.HasField("rollback_started"))
    assert entry.rollback_started.cause == j.RollbackStarted.CAUSE_MAX_HOLD
