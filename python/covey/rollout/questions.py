"""What the gates ask of the evidence: one question per criterion and trigger."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from covey.rollout.accumulate import LAST_PART
from covey.rollout.counts import Counts
from covey.rollout.model import RolloutState
from covey.rollout.statement import Kind, Statement
from covey.rollout.units import rounded, seconds_of
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollout_spec_pb2 import Trigger

# Judged on what learners do, or on what people report.
UNCOUNTED = frozenset({Kind.OUTCOME, Kind.SEGMENTS, Kind.INCIDENTS})


class Question(NamedTuple):
    """One statement and the evidence that it is judged on.

    Attributes:
        statement: what is claimed.
        role: criterion or trigger.
        row: position among the statements of its role, as the gates remember them.
        alpha: chance of a false PASS of a criterion; of a trigger, what its family's triggers spend together.
        events: bad events, of statements that count them.
        trials: their trials.
        last_events: bad events in the last quarter of the phase.
        last_trials: their trials.
        report_only: judged, but decides nothing.
        refutation_alpha: what a criterion spends of the chance of a false rollback when it is refuted; 0: it cannot be.
        sharers: triggers that spend alpha together.
    """

    statement: Statement
    role: Verdict.Role.ValueType
    row: int
    alpha: float
    events: int = 0
    trials: int = 0
    last_events: int = 0
    last_trials: int = 0
    report_only: bool = False
    refutation_alpha: float = 0.0
    sharers: int = 1

    @property
    def is_trigger(self) -> bool:
        """Whether it rolls back."""
        return self.role == Verdict.ROLE_TRIGGER

    @property
    def trigger_index(self) -> int:
        """Which trigger, for its literal rule; -1 for a criterion."""
        return self.row if self.is_trigger else -1


def criterion_questions(state: RolloutState, *, only: Kind | None = None) -> list[Question]:
    """One per criterion of the phase, on the phase's evidence; those of one kind where it is given."""
    criteria, metrics = state.gates.criteria, state.plan.gates.metrics
    if criteria is None:
        return []
    counted = lately = [(0, 0)] * len(criteria.statements)
    if only not in UNCOUNTED:
        counted = criteria.counted_exactly(state.phase_counts, metrics)
        lately = criteria.counted_exactly(_last_part(state), metrics)
    refutation = state.plan.ledger.refutation_alphas[state.phase_index]
    questions = []
    for row, (criterion, statement) in enumerate(state.phase_criteria()):
        if only is not None and statement.kind is not only:
            continue
        questions.append(
            Question(
                statement,
                Verdict.ROLE_CRITERION,
                row,
                criterion.alpha,
                *counted[row],
                *lately[row],
                criterion.report_only,
                # A deferred criterion has no share of its own in the ledger: it withholds, and does not roll back.
                refutation[row] if row < len(refutation) else 0.0,
            )
        )
    return questions


def _last_part(state: RolloutState) -> Counts:
    """The candidate's counts in the last quarter of the phase."""
    phase = state.phase_spec
    hold = seconds_of(phase.hold) if phase else 0.0
    before = state.phase_window.total_before(state.phase_elapsed_seconds - LAST_PART * hold)
    return state.phase_counts if before is None else state.phase_counts - before


def trigger_questions(state: RolloutState) -> list[Question]:
    """One per trigger, on the evidence of the whole rollout."""
    ledger, limits = state.plan.ledger, state.plan.limits_seconds
    questions = []
    for row, statement in enumerate(state.plan.triggers):
        events = trials = 0
        if statement.counts_events:
            events, trials = state.rollout_counts.events_and_trials(statement, limits, with_probes=True)
        questions.append(
            Question(
                statement,
                Verdict.ROLE_TRIGGER,
                row,
                ledger.trigger_alphas[row] or state.spec.triggers[row].alpha,
                events,
                trials,
                sharers=ledger.trigger_counts[row],
            )
        )
    return questions


@lru_cache(maxsize=1024)
def log_threshold(alpha: float) -> float:
    """What ln E must reach: ln(1 / alpha), to 9 digits like ln E itself; infinite where nothing may be spent."""
    return rounded(math.log(1 / alpha)) if alpha > 0 else math.inf


def last_part_agrees(question: Question) -> bool:
    """Whether the last quarter of the phase looks good by itself, as a point estimate; without data it does not."""
    limit = question.statement.event_limit
    return question.last_trials > 0 and rounded(question.last_events / question.last_trials) <= limit


def literal_rule_holds(state: RolloutState, index: int) -> bool:
    """Whether a trigger's estimate has stood beyond its limit for the sustained time, with enough data."""
    if not state.literal_runs:
        return False
    trigger = state.spec.triggers[index]
    return state.literal_runs[index].holds(seconds_of(trigger.sustained), trigger.literal_minimum_count)


def literal_rolls_back(trigger: Trigger) -> bool:
    """Whether the spec lets the literal rule roll back; else it holds and pages."""
    return trigger.literal == Trigger.LITERAL_ROLLBACK
