"""Phases in virtual time: advance, hold, roll back, and what operators do in between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from covey.rollout import commands
from covey.rollout.commands import CommandRefused
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.explain import explain
from covey.rollout.resource import to_resource
from covey.rollout.state import State
from covey.rollout.verdicts import current_verdicts
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import Entry, RollbackStarted

from .world import SHORT_PLAN, Journal, World, ended, in_phase, is_state, plan, started


def rollback_of(world: World) -> RollbackStarted:
    return next(entry.rollback_started for entry in world.journal.entries if entry.HasField("rollback_started"))


def test_a_good_candidate_succeeds() -> None:
    world = started(requests_per_second=1000)
    state = world.run(ended)
    assert state.state == State.STATE_SUCCEEDED
    assert state.candidate_weight_bp == 10_000
    kinds = [kind for kind in world.journal.kinds() if kind not in {"held", "released"}]
    assert kinds == [
        "created",
        "started",
        "approved",
        "phase_entered",
        "checkpoint",
        "checkpoint",
        "phase_entered",
        "finished",
    ]
    entered = [entry.phase_entered for entry in world.journal.entries if entry.HasField("phase_entered")]
    assert [verdict.result for verdict in entered[1].verdicts if verdict.role == Verdict.ROLE_CRITERION] == [
        Verdict.RESULT_PASS
    ] * 2
    assert world.journal.refold() == state


@pytest.mark.parametrize(
    ("fault", "statement"),
    [
        ({"error_rate": 0.12}, "error_rate > 3 %"),
        ({"slow_rate": 0.08}, "p99 > 250 ms"),
        ({"unavailable_rate": 0.1}, "availability < 97 %"),
    ],
)
def test_each_trigger_rolls_back_and_names_its_counters(fault: dict[str, float], statement: str) -> None:
    world = started(
        SHORT_PLAN.replace(
            "- statement: error_rate > 3 %\n    tolerance: 0\n    sustained: 5s\n  ", "- error_rate > 3 %\n  "
        )
        if "unavailable_rate" not in fault
        else SHORT_PLAN.replace("- statement: error_rate > 3 %\n    tolerance: 0\n    sustained: 5s\n  ", ""),
        **fault,
    )
    state = world.run(ended)
    assert state.state == State.STATE_ROLLED_BACK
    assert state.candidate_weight_bp == 0
    started_back = rollback_of(world)
    assert started_back.cause == RollbackStarted.CAUSE_TRIGGER
    assert started_back.statement == statement
    assert "candidate requests" in started_back.explanation
    finished = world.journal.entries[-1].finished
    assert [reading.candidate_weight_bp for reading in finished.read_back] == [0]


def test_an_open_critical_incident_rolls_back() -> None:
    world = started()
    world.run(in_phase("canary"))
    world.journal.command(commands.report_incident, incident_id="i7", critical=False, description="smoke")
    world.look()
    assert world.journal.state.in_phase
    world.journal.command(commands.report_incident, incident_id="i8", critical=True, description="fire")
    world.look()
    assert rollback_of(world).cause == RollbackStarted.CAUSE_INCIDENT
    assert "i8 (fire)" in rollback_of(world).explanation


def test_wrong_answers_do_not_pass() -> None:
    text = SHORT_PLAN.replace("- p99 < 200 ms", "- mismatch < 1 %")
    world = started(text, mismatch_rate=0.05, shadow_share=0.2, requests_per_second=1000)
    state = world.run(ended)
    assert state.state == State.STATE_ROLLED_BACK
    assert rollback_of(world).cause == RollbackStarted.CAUSE_CRITERION
    assert "answers computed twice differed" in rollback_of(world).explanation


def test_low_traffic_holds_and_says_how_many_more() -> None:
    text = SHORT_PLAN.replace("- p99 < 200 ms", "- availability > 99 %").replace(
        "hold: 20s\n", "hold: 20s\n    max_hold: 10m\n"
    )
    world = started(text, requests_per_second=250)
    state = world.run(is_state(State.STATE_HOLDING))
    assert state.explanation == "not shown yet: error_rate < 2 %, availability > 99 %"
    verdict = next(found for found in current_verdicts(state) if found.statement == "availability > 99 %")
    assert verdict.result == Verdict.RESULT_INSUFFICIENT
    assert verdict.event_count == 0
    assert verdict.needed_count == 496 - verdict.trial_count
    assert f"needs {verdict.needed_count:,} more, about" in verdict.sentence
    held = world.journal.kinds().count("held")
    world.run(in_phase("rollout"))
    assert world.journal.kinds().count("held") - held <= 2, "one entry per change of reason, not one per tick"


def test_without_traffic_it_holds_and_ends_by_max_hold() -> None:
    world = started(requests_per_second=0)
    state = world.run(is_state(State.STATE_HOLDING))
    assert "none have come" in current_verdicts(state)[0].sentence
    state = world.run(ended)
    assert rollback_of(world).cause == RollbackStarted.CAUSE_MAX_HOLD
    assert "max_hold of 40 s" in state.explanation


def test_a_candidate_that_answers_no_probe_is_unavailable() -> None:
    text = SHORT_PLAN.replace("  - statement: availability < 97 %\n", "")
    world = started(text, probes_answered=False)
    world.run(ended)
    assert rollback_of(world).cause == RollbackStarted.CAUSE_UNAVAILABLE


def test_unanswered_probes_feed_the_availability_trigger() -> None:
    text = SHORT_PLAN.replace("metrics_grace: 10s", "metrics_grace: 10m")
    world = started(text, probes_answered=False, requests_per_second=1)
    world.run(ended)
    assert rollback_of(world).statement == "availability < 97 %"


def test_the_literal_rule_holds_and_pages() -> None:
    text = SHORT_PLAN.replace("error_rate < 2 %", "error_rate < 20 %").replace(
        "hold: 20s", "hold: 20s\n    max_hold: 10m"
    )
    world = started(text, error_rate=0.033, slow_rate=0, requests_per_second=4000)
    world.run(lambda state: state.is_terminal or "literal" in state.explanation)
    state = world.journal.state
    if state.in_phase:
        assert state.state == State.STATE_HOLDING
        assert state.explanation == "the literal rule holds for error_rate > 3 %"
        verdict = next(found for found in current_verdicts(state) if found.statement == "error_rate > 3 %")
        assert verdict.literal_rule_holds
        assert "literal rule holds" in verdict.sentence
    else:
        assert rollback_of(world).statement == "error_rate > 3 %"


def test_the_literal_rule_rolls_back_where_the_spec_says_so() -> None:
    text = SHORT_PLAN.replace(
        "sustained: 5s", "sustained: 5s\n    literal: rollback\n    literal_minimum_count: 50\n    alpha: 0.0000001"
    )
    world = started(text, error_rate=0.08)
    world.run(ended)
    assert rollback_of(world).statement == "error_rate > 3 %"
    assert "literal rule holds" in rollback_of(world).explanation


def test_pause_stops_the_timer_and_triggers_go_on() -> None:
    world = started()
    world.run(lambda state: state.phase_elapsed_seconds >= 5)
    world.journal.command(commands.pause)
    elapsed = world.journal.state.phase_elapsed_seconds
    for _ in range(60):
        world.look()
    assert world.journal.state.phase_elapsed_seconds == elapsed
    assert world.journal.state.in_phase
    assert to_resource(world.journal.state).explanation.startswith("paused; ")
    world.slow_rate = 0.3
    world.run(ended)
    assert rollback_of(world).statement == "p99 > 250 ms"


def test_promote_ends_the_wait_and_needs_every_approval_for_an_override() -> None:
    world = started(requests_per_second=100)
    world.run(lambda state: state.phase_elapsed_seconds >= 3)
    with pytest.raises(CommandRefused, match="reason") as caught:
        world.journal.command(commands.promote)
    assert caught.value.reason_code == "REASON_MISSING"
    with pytest.raises(CommandRefused, match="operations") as caught:
        world.journal.command(commands.promote, reason="we know")
    assert caught.value.reason_code == "MISSING_APPROVALS"
    world.journal.approve("rollout", "operations")
    (entry,) = world.journal.command(commands.promote, reason="we know")
    assert [verdict.statement for verdict in entry.promoted.overridden_verdicts] == ["error_rate < 2 %", "p99 < 200 ms"]
    world.look()
    assert world.journal.state.phase == "rollout"


def test_promote_never_overrides_a_trigger() -> None:
    world = started(slow_rate=0.0)
    world.run(lambda state: state.phase_elapsed_seconds >= 3)
    world.journal.approve("rollout", "operations")
    world.journal.command(commands.promote, reason="hurry")
    world.journal.command(commands.report_incident, incident_id="i1", critical=True, description="fire")
    world.look()
    assert world.journal.state.state == State.STATE_ROLLING_BACK


def test_the_last_phase_is_signed_again_to_be_promoted() -> None:
    world = started(requests_per_second=1000)
    world.journal.approve("rollout", "operations")
    world.run(in_phase("rollout"))
    world.requests_per_second = 0
    if all(v.result == Verdict.RESULT_PASS for v in current_verdicts(world.journal.state)[:1]):
        pytest.fail("the phase has its evidence already; the test needs one without")
    with pytest.raises(CommandRefused, match="operations"):
        world.journal.command(commands.promote, reason="enough")
    world.journal.approve("rollout", "operations")
    world.journal.command(commands.promote, reason="enough")
    world.look()
    assert world.journal.state.state == State.STATE_SUCCEEDED


def test_a_denial_before_entry_waits_by_name() -> None:
    world = started(requests_per_second=1000)
    world.journal.command(commands.deny, phase="rollout", role="operations", reason="not on a Friday")
    state = world.run(is_state(State.STATE_AWAITING_APPROVAL))
    assert state.missing_roles == ("operations",)
    assert "denied by operations (operations-lead): not on a Friday" in state.explanation
    for _ in range(200):
        world.look()
    assert world.journal.state.state == State.STATE_AWAITING_APPROVAL, "people's time does not run out"
    world.journal.approve("rollout", "operations")
    assert world.journal.state.missing_roles == ()
    world.look()
    assert world.journal.state.phase == "rollout"


def test_a_revoked_approval_is_missing_again() -> None:
    journal = Journal(plan())
    journal.command(commands.start)
    world = World(journal)
    world.look()
    assert journal.state.state == State.STATE_AWAITING_APPROVAL
    assert journal.state.phase == "canary"
    journal.approve("canary", "operations")
    journal.command(commands.revoke, phase="canary", role="operations", reason="wait")
    assert journal.state.missing_roles == ("operations",)
    world.look()
    assert not journal.state.in_phase or journal.state.phase_index < 0
    journal.approve("canary", "operations")
    world.look()
    assert journal.state.phase_index == 0


def test_postponing_waits_for_the_date_and_costs_no_max_hold() -> None:
    world = started(requests_per_second=1000)
    journal = world.journal
    opens_at = journal.now + timedelta(seconds=200)
    journal.command(commands.postpone, phase="rollout", not_before=opens_at, reason="holiday")
    state = world.run(is_state(State.STATE_HOLDING))
    world.run(lambda now: "no earlier than" in now.explanation)
    state = world.run(lambda now: now.phase == "rollout" or now.is_terminal, most_ticks=250)
    assert state.phase == "rollout"
    assert journal.now >= opens_at
    with pytest.raises(CommandRefused, match="begun"):
        journal.command(commands.postpone, phase="rollout", not_before=opens_at, reason="late")


def test_abort_takes_the_traffic_at_once_and_is_read_back() -> None:
    world = started()
    world.run(in_phase("canary"))
    entries = world.journal.command(commands.abort, reason="no")
    assert [entry.WhichOneof("payload") for entry in entries] == ["rollback_started"]
    assert world.journal.state.candidate_weight_bp == 0
    world.replicas[0].weight_bp = 500
    frozen = list(world.readings())
    world.look(readings=frozen)
    assert world.journal.state.state == State.STATE_ROLLING_BACK, "a replica still serves it"
    world.look(readings=[])
    assert world.journal.state.state == State.STATE_ROLLING_BACK, "nobody has shown a weight of 0"
    world.look()
    assert world.journal.state.state == State.STATE_ABORTED
    with pytest.raises(CommandRefused):
        world.journal.command(commands.abort, reason="again")


def test_abort_before_the_first_phase_is_the_end() -> None:
    journal = Journal(plan())
    entries = journal.command(commands.abort, reason="no")
    assert [entry.WhichOneof("payload") for entry in entries] == ["rollback_started", "finished"]
    assert journal.state.state == State.STATE_ABORTED


def test_defer_asks_again_later_and_accept_by_takes_a_signature() -> None:
    text = SHORT_PLAN.replace(
        "      - p99 < 200 ms\n",
        "      - {statement: p99 < 200 ms, defer: rollout}\n      - {statement: revenue > -3 %, accept_by: finance}\n",
    )
    world = started(text, requests_per_second=200)
    state = world.run(lambda now: now.explanation == "not shown yet: revenue > -3 % (or finance accepts it)")
    assert "no outcomes of 'revenue'" in " ".join(explain(to_resource(state)))
    with pytest.raises(CommandRefused, match="by finance"):
        world.journal.command(commands.approve, phase="canary", role="operations", statement="revenue > -3 %")
    world.journal.command(commands.approve, phase="canary", role="finance", statement="revenue  >  -3 %")
    state = world.run(is_state(State.STATE_AWAITING_APPROVAL))
    world.journal.approve("rollout", "operations")
    state = world.run(in_phase("rollout"))
    assert state.deferred == (("rollout", "p99 < 200 ms"),)
    assert [statement.text for _, statement in state.phase_criteria()] == ["error_rate < 2 %", "p99 < 200 ms"]


def test_a_dry_run_moves_no_traffic() -> None:
    world = started("dry_run: true\n" + SHORT_PLAN)
    state = world.run(in_phase("canary"))
    assert state.candidate_weight_bp == 0
    assert len(current_verdicts(state)) == 6


def test_unobserved_time_is_no_dwell() -> None:
    world = started()
    world.run(in_phase("canary"))
    before = world.journal.state.phase_elapsed_seconds
    world.look(observed_seconds=3600.0)
    assert world.journal.state.phase_elapsed_seconds == before + 3
    world.look(observed_seconds=0.0)
    assert world.journal.state.phase_elapsed_seconds == before + 3


def test_a_bad_last_quarter_withholds_the_advance() -> None:
    text = SHORT_PLAN.replace("hold: 20s", "hold: 20s\n    max_hold: 10m")
    world = started(text, error_rate=0.0, requests_per_second=8000)
    world.run(lambda state: state.phase_elapsed_seconds >= 15)
    world.error_rate = 0.024
    world.run(lambda state: state.phase_elapsed_seconds >= 20)
    verdict = current_verdicts(world.journal.state)[0]
    assert verdict.log_e_value > verdict.log_threshold
    assert verdict.result == Verdict.RESULT_INSUFFICIENT
    assert "last quarter" in verdict.sentence


def test_drafts_and_the_ended_are_left_alone_and_another_spec_is_refused() -> None:
    journal = Journal(plan())
    evidence = Evidence(1.0, journal.now)
    assert decide(journal.state.spec, journal.state, evidence, journal.now) == []
    with pytest.raises(ValueError, match="the spec is not that"):
        decide(plan(SHORT_PLAN.replace("20s", "30s")), journal.state, evidence, journal.now)
    world = started(requests_per_second=1000)
    state = world.run(ended)
    assert decide(state.spec, state, evidence, journal.now) == []


def test_entries_come_without_stamps() -> None:
    world = started()
    journal = world.journal
    evidence = Evidence(1.0, journal.now, readings=world.readings())
    for entry in decide(plan(), journal.state, evidence, journal.now):
        assert (entry.sequence, entry.epoch, entry.HasField("time")) == (0, 0, False)
        assert isinstance(entry, Entry)
