"""Criteria and triggers as cards and rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from covey.report import words
from covey.report.lines import verdict_line
from covey.report.model import VerdictLine
from covey.rollout.statement import parse_statement
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.charts.criterion import CriterionSeries
from covey_dashboard.history import History, PhaseHistory

_TONES = {
    Verdict.RESULT_PASS: "good",
    Verdict.RESULT_FAIL: "bad",
    Verdict.RESULT_INSUFFICIENT: "wait",
    Verdict.RESULT_INVALID: "bad",
}


@dataclass(frozen=True)
class CriterionCard:
    """A criterion of the phase in force.

    Attributes:
        line: its verdict in words and numbers.
        tone: of the verdict.
        series: for its picture.
        proof_text: ln E against its threshold; empty where the test has none.
    """

    line: VerdictLine
    tone: str
    series: CriterionSeries
    proof_text: str


@dataclass(frozen=True)
class TriggerRow:
    """A trigger: how far harm is from being shown.

    Attributes:
        line: its verdict in words and numbers.
        tone: "bad" once shown.
        part: ln E over its threshold, 0 to 1.
        proof_text: the same in numbers.
        literal_text: how long the literal rule has held; empty where it does not.
    """

    line: VerdictLine
    tone: str
    part: float
    proof_text: str
    literal_text: str


def criterion_cards(rollout: Rollout, history: History | None) -> list[CriterionCard]:
    """One card per criterion of the phase in force (or the last that was)."""
    phase = history.phases[-1] if history and history.phases else None
    hold = rollout.phase_hold.ToTimedelta().total_seconds()
    return [
        CriterionCard(
            line=verdict_line(verdict),
            tone=_TONES.get(verdict.result, "calm"),
            series=_series(verdict, phase, hold),
            proof_text=_proof(verdict),
        )
        for verdict in rollout.verdicts
        if verdict.role == Verdict.ROLE_CRITERION
    ]


def trigger_rows(rollout: Rollout) -> list[TriggerRow]:
    """One row per trigger."""
    rows = []
    for verdict in rollout.verdicts:
        if verdict.role != Verdict.ROLE_TRIGGER:
            continue
        is_shown = verdict.result == Verdict.RESULT_FAIL
        held = verdict.literal_rule_holds
        rows.append(
            TriggerRow(
                line=verdict_line(verdict),
                tone="bad" if is_shown else "wait" if held else "good",
                part=_part(verdict, is_shown),
                proof_text=_proof(verdict),
                literal_text=f"beyond the limit for {words.duration(verdict.literal_duration)}" if held else "",
            )
        )
    return rows


def _part(verdict: Verdict, is_shown: bool) -> float:
    if not _has_threshold(verdict):
        return 1.0 if is_shown else 0.0
    return min(max(verdict.log_e_value / verdict.log_threshold, 0.0), 1.0)


def _series(verdict: Verdict, phase: PhaseHistory | None, hold_seconds: float) -> CriterionSeries:
    statement = parse_statement(verdict.statement)
    samples = phase.tracks.get(verdict.statement, ()) if phase else ()
    unit = "x" if words.is_ratio(verdict) else "%" if words.is_percentage(verdict) else ""
    return CriterionSeries(
        samples=samples,
        limit=verdict.limit,
        is_better_below=statement.operator != ">",
        hold_seconds=hold_seconds,
        unit=unit,
        label=verdict.statement,
    )


def _proof(verdict: Verdict) -> str:
    if not _has_threshold(verdict):
        return ""
    return f"{verdict.log_e_value:.3g} of {verdict.log_threshold:.3g}"


def _has_threshold(verdict: Verdict) -> bool:
    return verdict.log_threshold > 0 and math.isfinite(verdict.log_threshold)
