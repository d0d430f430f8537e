"""The status screen and its advice, for every state a rollout can be in."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from rich.console import Console

from covey.cli.output import OutputFormat
from covey.cli.rollout_screen import screen
from covey.cli.rollout_watch import _Lines
from covey.report import advice
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import Entry, PhaseHeld, Tick
from covey.v1.rollout_spec_pb2 import ApprovalRule, Criterion, Phase, RolloutSpec
from covey.v1.rollouts_pb2 import Approval, Incident, Rollout, WatchRolloutResponse

NOW = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
STATES = [number for _, number in Rollout.State.items() if number]


def rollout(state: Rollout.State.ValueType = Rollout.STATE_RUNNING, **fields: object) -> Rollout:
    phases = [
        Phase(name="canary", approvals=ApprovalRule(roles=["engineering", "operations"])),
        Phase(name="ramp", criteria=[Criterion(statement="revenue > -3 %", accept_by="finance")]),
        Phase(name="rollout", approvals=ApprovalRule(roles=["product"])),
    ]
    spec = RolloutSpec(
        target="echo",
        baseline="variants/reference",
        candidate="variants/native",
        phases=phases,
        tick_interval=Duration(seconds=10),
    )
    made = Rollout(
        name="rollouts/native-over-reference", spec=spec, state=state, phase="canary", candidate_weight_bp=100,
        phase_elapsed=Duration(seconds=2520), phase_hold=Duration(seconds=7200), last_sequence=1203, epoch=3,
        explanation="error_rate < 1 % needs 1,203 more requests, about 12 min at the current rate",
        approvals=[Approval(phase="canary", role="engineering", actor="ada")],
        verdicts=[
            Verdict(role=Verdict.ROLE_CRITERION, statement="error_rate < 1 %", result=Verdict.RESULT_PASS,
                    estimate=0.0012, lower=0.0004, upper=0.0031, event_count=12, trial_count=9812),
            Verdict(role=Verdict.ROLE_CRITERION, statement="availability > 99.95 %", result=Verdict.RESULT_INSUFFICIENT,
                    estimate=0.9997, lower=0.9991, upper=1.0, event_count=1, trial_count=3102, needed_count=1204,
                    eta=Duration(seconds=240)),
            Verdict(role=Verdict.ROLE_TRIGGER, statement="error_rate > 1.5 %", result=Verdict.RESULT_INSUFFICIENT,
                    estimate=0.0012, lower=0.0004, upper=0.0031, event_count=12, trial_count=9812),
        ],
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    made.last_tick_time.FromDatetime(NOW - timedelta(seconds=4))
    return made


def awaiting() -> Rollout:
    """Before the first phase."""
    made = rollout(Rollout.STATE_AWAITING_APPROVAL, missing_roles=["engineering", "operations"])
    made.ClearField("phase_hold")
    return made


def drawn(made: Rollout, width: int = 80, terminal: bool = False) -> str:
    target = io.StringIO()
    console = Console(file=target, width=width, force_terminal=terminal, highlight=False, markup=False, emoji=False)
    console.print(screen(made, NOW))
    return target.getvalue()


def test_the_screen_says_where_why_and_what_next() -> None:
    lines = [line.rstrip() for line in drawn(rollout()).splitlines()]
    assert lines[0] == "native-over-reference  RUNNING  phase canary (1 of 3)"
    text = " ".join(" ".join(lines).split())
    for words in (
        "1 % of learners to variants/native",
        "42 min of 2 h",
        "35%",
        "needs 1,203 more requests",
        "nothing: it advances by itself",
        "canary: engineering (ada)",
        "none open",
        "4 s ago; journal entry 1,203, epoch 3",
        "advances once all PASS:",
        "error_rate < 1 % PASS 0.12 % [0.04, 0.31] 12 of 9,812",
        "availability > 99.95 % INSUFFICIENT 99.97 % [99.91, 100] 1 of 3,102",
        "needs 1,204 more, ~4 min",
        "rolls back once shown:",
        "error_rate > 1.5 % not shown 0.12 % [0.04, 0.31] 12 of 9,812",
    ):
        assert words in text


@pytest.mark.parametrize("state", STATES)
def test_every_state_fits_80_columns_and_24_lines(state: Rollout.State.ValueType) -> None:
    text = drawn(rollout(state))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert len(text.splitlines()) <= 24
    assert "\x1b" not in text


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[32m" in drawn(rollout(), terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in drawn(rollout(), terminal=True)


def test_texts_from_elsewhere_cannot_steer_the_terminal() -> None:
    hostile = rollout(Rollout.STATE_HOLDING)
    hostile.explanation = "\x1b[2Jgone [bold]not markup[/bold]\rover"
    text = drawn(hostile)
    assert "\x1b" not in text
    assert "[bold]not markup[/bold]" in text


@pytest.mark.parametrize(
    ("made", "sentence", "command"),
    [
        (rollout(Rollout.STATE_DRAFT), "start it", "covey rollout start native-over-reference"),
        (rollout(Rollout.STATE_SCHEDULED), "nothing", ""),
        (rollout(Rollout.STATE_RUNNING), "nothing", ""),
        (rollout(Rollout.STATE_SOAKING), "nothing", ""),
        (rollout(Rollout.STATE_ROLLING_BACK), "nothing", ""),
        (rollout(Rollout.STATE_SUCCEEDED), "report", "covey rollout report native-over-reference"),
        (rollout(Rollout.STATE_ROLLED_BACK), "report", "covey rollout report native-over-reference"),
        (rollout(paused=True), "paused", "covey rollout resume native-over-reference"),
        (
            awaiting(),
            "phase canary needs the approval of engineering, operations",
            "covey rollout approve native-over-reference --phase canary --role engineering --role operations",
        ),
        (
            rollout(open_incidents=[Incident(incident_id="INC-7", critical=True, description="down")]),
            "critical incident",
            "covey rollout incident native-over-reference INC-7 --resolve",
        ),
        (rollout(Rollout.STATE_HOLDING), "waits for evidence", "covey rollout explain native-over-reference"),
    ],
)
def test_what_to_do_next(made: Rollout, sentence: str, command: str) -> None:
    step = advice.what_next(made, NOW)
    assert sentence in step.sentence
    assert step.command == command


def holding_with(result: Verdict.Result.ValueType, statement: str = "p99 < 200 ms", phase: str = "canary") -> Rollout:
    made = rollout(Rollout.STATE_HOLDING)
    made.phase = phase
    made.verdicts.append(Verdict(role=Verdict.ROLE_CRITERION, statement=statement, result=result))
    return made


def test_what_to_do_while_it_holds() -> None:
    refuted = advice.what_next(holding_with(Verdict.RESULT_FAIL), NOW)
    assert refuted.command == 'covey rollout abort native-over-reference --reason "..."'
    assert "cannot be believed" in advice.what_next(holding_with(Verdict.RESULT_INVALID), NOW).sentence
    open_question = holding_with(Verdict.RESULT_INSUFFICIENT, "revenue > -3 %", "ramp")
    step = advice.what_next(open_question, NOW)
    assert step.command == (
        'covey rollout approve native-over-reference --phase ramp --role finance --statement "revenue > -3 %"'
    )
    open_question.approvals.add(phase="ramp", role="finance", actor="flo", statement="revenue > -3 %")
    assert "waits for evidence" in advice.what_next(open_question, NOW).sentence


def test_a_silent_controller_is_told_first() -> None:
    made = rollout()
    made.last_tick_time.FromDatetime(NOW - timedelta(minutes=3))
    step = advice.what_next(made, NOW)
    assert "no controller has looked since 2026-01-05 02:57:00Z, 3 min ago: start one" in step.sentence
    assert step.command == "covey controller --target echo"
    assert advice.silent_for(rollout(Rollout.STATE_SUCCEEDED), NOW + timedelta(days=1)) is None
    soaking = rollout(Rollout.STATE_SOAKING)
    assert advice.silent_for(soaking, NOW + timedelta(minutes=14)) is None
    assert advice.silent_for(soaking, NOW + timedelta(minutes=16)) is not None


@pytest.mark.parametrize("state", [Rollout.STATE_SCHEDULED, Rollout.STATE_AWAITING_APPROVAL])
def test_a_target_that_nobody_drives_is_named(state: Rollout.State.ValueType) -> None:
    made = rollout(state)
    made.ClearField("last_tick_time")
    made.start_time.FromDatetime(NOW - timedelta(seconds=59))
    assert "no controller" not in advice.what_next(made, NOW).sentence
    step = advice.what_next(made, NOW + timedelta(seconds=2))
    assert "no controller has looked since 2026-01-05 02:59:01Z, 1 min 1 s ago" in step.sentence
    assert step.command == "covey controller --target echo"
    made.ClearField("start_time")
    made.state = Rollout.STATE_DRAFT
    assert advice.silent_for(made, NOW + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("state", "phase", "in_force", "expected"),
    [
        (Rollout.STATE_DRAFT, "", False, "canary"),
        (Rollout.STATE_SCHEDULED, "", False, "canary"),
        (Rollout.STATE_AWAITING_APPROVAL, "canary", False, "canary"),
        (Rollout.STATE_RUNNING, "canary", True, "rollout"),
        (Rollout.STATE_AWAITING_APPROVAL, "canary", True, "ramp"),
        (Rollout.STATE_AWAITING_APPROVAL, "ramp", True, "rollout"),
        (Rollout.STATE_SOAKING, "rollout", True, "rollout"),
    ],
)
def test_an_approval_without_a_phase_is_for_the_next_that_asks(
    state: Rollout.State.ValueType, phase: str, in_force: bool, expected: str
) -> None:
    made = rollout(state)
    made.phase = phase
    if not in_force:
        made.ClearField("phase_hold")
    assert advice.next_approval_phase(made) == expected


def test_signatures_under_the_calendars_override_stand_apart() -> None:
    made = rollout()
    made.spec.calendar.emergency.roles.extend(["operations", "engineering"])
    made.spec.calendar.emergency.quorums.add(role="operations", people_count=2)
    made.approvals.add(phase="canary", role="operations", actor="olga")
    made.approvals.add(phase="canary", role="operations", actor="olga", overrides_calendar=True)
    made.approvals.add(
        phase="canary", role="operations", actor="otto", overrides_calendar=True, void_reason="it expired"
    )
    shown = " ".join(drawn(made).split())
    assert (
        "canary: engineering (ada), operations (olga); canary in spite of the calendar: "
        "1 of 2 operations (olga), 0 of 1 engineering"
    ) in shown
    made.phase = "ramp"
    assert "in spite of" not in " ".join(drawn(made).split()), "that phase is over"


def test_a_state_in_watch_has_the_time_of_the_entry_that_made_it() -> None:
    made = rollout(Rollout.STATE_HOLDING)
    held, tick = Entry(held=PhaseHeld(phase="canary", explanation="late")), Entry(tick=Tick())
    held.time.FromDatetime(NOW - timedelta(seconds=30))
    tick.time.FromDatetime(NOW)
    lines = list(_Lines(OutputFormat.table)._changes(WatchRolloutResponse(rollout=made, entries=[held, tick])))
    (line,) = [line for line in lines if "HOLDING canary" in line]
    assert line.startswith("2026-01-05 02:59:30Z  HOLDING canary")


def test_a_dry_run_that_passed_moved_nobody() -> None:
    made = rollout(Rollout.STATE_SUCCEEDED)
    assert "the stable variant now" in " ".join(drawn(made).split())
    made.spec.dry_run, made.candidate_weight_bp = True, 0
    assert "every learner to variants/reference, none to variants/native" in " ".join(drawn(made).split())


def test_a_comparison_shows_the_baseline_and_who_was_hit_within_the_screen() -> None:
    made = rollout(excluded_segments=["eu-north", "brazil"])
    made.verdicts.add(
        role=Verdict.ROLE_TRIGGER, statement="p99 worse than baseline", result=Verdict.RESULT_FAIL, estimate=13.4,
        lower=4.2, upper=56.1, event_count=12345, trial_count=9812345, baseline_event_count=1234,
        baseline_trial_count=2345678, affected_learner_count=87,
    )  # fmt: skip
    lines = [line.rstrip() for line in drawn(made).splitlines()]
    shown = " ".join(" ".join(lines).split())
    assert "excluded eu-north, brazil: back at the baseline" in shown
    assert "13.4 x [4.2, 56.1]" in shown
    assert any(line.endswith("87+ learners") for line in lines)
    assert max(map(len, lines)) <= 80
