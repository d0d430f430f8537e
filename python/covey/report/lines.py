"""Rows of a report's tables, from journal entries. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from covey.report import story, words
from covey.report.model import ApprovalLine, CheckpointLine, Panel, PhaseLine, UndecidedLine, VerdictLine
from covey.rollout.state import RolloutState
from covey.rollout.statement import parse_statement
from covey.rollout.verdicts import current_verdicts
from covey.v1 import evidence_pb2, journal_pb2, rollout_spec_pb2

Entries = Sequence[journal_pb2.Entry]


def verdict_line(verdict: evidence_pb2.Verdict) -> VerdictLine:
    """A verdict as a row."""
    return VerdictLine(
        statement=verdict.statement,
        role="trigger" if verdict.role == evidence_pb2.Verdict.ROLE_TRIGGER else "criterion",
        result=evidence_pb2.Verdict.Result.Name(verdict.result).removeprefix("RESULT_"),
        word=words.result(verdict),
        estimate_text=words.estimate(verdict),
        counters_text=words.counters(verdict),
        needs_text=words.needs(verdict),
        estimate=verdict.estimate if verdict.HasField("estimate") else None,
        lower=verdict.lower if verdict.HasField("lower") else None,
        upper=verdict.upper if verdict.HasField("upper") else None,
        limit=verdict.limit,
        event_count=verdict.event_count,
        trial_count=verdict.trial_count,
        needed_count=verdict.needed_count if verdict.HasField("needed_count") else None,
        log_e_value=verdict.log_e_value,
        log_threshold=verdict.log_threshold,
        alpha=verdict.alpha,
        test=verdict.test,
        report_only=verdict.report_only,
        sentence=verdict.sentence,
        rival_text=words.rival(verdict),
        proof=words.proof(verdict),
        alpha_spent=verdict.alpha_spent,
        design_effect=verdict.design_effect,
        shed_count=verdict.shed_count,
        baseline_event_count=verdict.baseline_event_count,
        baseline_trial_count=verdict.baseline_trial_count,
        affected_learner_count=verdict.affected_learner_count,
    )


def final_verdicts(journal: Entries) -> Sequence[evidence_pb2.Verdict]:
    """The verdicts that the last decision was made on; empty while none was made."""
    for entry in reversed(journal):
        kind = entry.WhichOneof("payload")
        if kind == "rollback_started" and entry.rollback_started.verdicts:
            return entry.rollback_started.verdicts
        if kind == "finished" and entry.finished.verdicts:
            rolled_back = any(other.WhichOneof("payload") == "rollback_started" for other in journal)
            if not rolled_back:
                return entry.finished.verdicts
        if kind == "phase_entered":
            break
    return ()


def phase_lines(journal: Entries, state: RolloutState, panels: Sequence[Panel]) -> list[PhaseLine]:
    """One row per phase that was entered, with the verdicts that ended it."""
    entered = [entry for entry in journal if entry.WhichOneof("payload") == "phase_entered"]
    rows = []
    for index, (entry, panel) in enumerate(zip(entered, panels, strict=True)):
        following = entered[index + 1] if index + 1 < len(entered) else None
        if following is not None:
            verdicts: Sequence[evidence_pb2.Verdict] = following.phase_entered.verdicts
            promoted = any(
                other.WhichOneof("payload") == "promoted" and entry.sequence < other.sequence < following.sequence
                for other in journal
            )
            ended = f"promoted by hand to {following.phase_entered.phase}" if promoted else "advanced"
        else:
            verdicts = final_verdicts(journal) or current_verdicts(state)
            ended = words.state(state.state).lower()
        made = [verdict_line(verdict) for verdict in verdicts]
        planned = next((phase for phase in state.spec.phases if phase.name == panel.name), rollout_spec_pb2.Phase())
        rows.append(
            PhaseLine(
                name=panel.name,
                share_bp=entry.phase_entered.candidate_weight_bp,
                hold_seconds=planned.hold.ToTimedelta().total_seconds(),
                entered=words.instant(entry.time),
                seconds=panel.end_seconds,
                ended=ended,
                criteria=[row for row in made if row.role == "criterion"],
                triggers=[row for row in made if row.role == "trigger"],
            )
        )
    return rows


def undecided_lines(journal: Entries, phases: Sequence[PhaseLine]) -> list[UndecidedLine]:
    """Criteria that were INSUFFICIENT or INVALID when their phase ended, and who or what settled them."""
    return [
        UndecidedLine(phase.name, verdict, _settled(journal, phase, verdict))
        for phase in phases
        for verdict in phase.criteria
        if verdict.result in {"INSUFFICIENT", "INVALID"}
    ]


def _settled(journal: Entries, phase: PhaseLine, verdict: VerdictLine) -> str:
    for entry in journal:
        kind = entry.WhichOneof("payload")
        if kind == "approved" and entry.approved.phase == phase.name and _signs(entry.approved, verdict.statement):
            return f"accepted by {entry.actor} ({entry.approved.role})"
        if kind == "promoted" and entry.promoted.phase == phase.name and phase.ended.startswith("promoted"):
            return f"overridden by {entry.actor}: {entry.reason}"
    if verdict.report_only:
        return "report only: it decides nothing"
    return "deferred to a later phase" if phase.ended == "advanced" else phase.ended


def _signs(approved: journal_pb2.PhaseApproved, statement: str) -> bool:
    return bool(approved.statement) and parse_statement(approved.statement).text == statement


def approval_lines(journal: Entries) -> list[ApprovalLine]:
    """Every signature, refusal and withdrawal, in order."""
    rows = []
    for entry in journal:
        kind = entry.WhichOneof("payload")
        if kind == "approved":
            phase, role, statement = entry.approved.phase, entry.approved.role, entry.approved.statement
            statement = "the calendar" if entry.approved.overrides_calendar else statement
        elif kind == "denied":
            phase, role, statement = entry.denied.phase, entry.denied.role, ""
        elif kind == "revoked":
            phase, role, statement = entry.revoked.phase, entry.revoked.role, ""
        else:
            continue
        rows.append(
            ApprovalLine(
                words.instant(entry.time), phase, role, entry.actor, entry.actor_verified, kind, statement, entry.reason
            )
        )
    return rows


def checkpoint_lines(journal: Entries) -> list[CheckpointLine]:
    """Every scheduled reading that was taken."""
    return [
        CheckpointLine(
            entry.checkpoint.phase,
            entry.checkpoint.offset.ToTimedelta().total_seconds(),
            words.instant(entry.time),
            story.tally(entry.checkpoint.verdicts),
        )
        for entry in journal
        if entry.WhichOneof("payload") == "checkpoint"
    ]
