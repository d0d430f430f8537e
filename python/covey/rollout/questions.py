"""What the gates ask of the evidence: one question per criterion and trigger, answered many at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from covey.rollout.accumulate import LAST_PART
from covey.rollout.model import RolloutState
from covey.rollout.statement import Statement
from covey.rollout.units import rounded, seconds_of
from covey.stats.bernoulli import Alternative, bernoulli_level
from covey.stats.special import Floats
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollout_spec_pb2 import Trigger

Bools: TypeAlias = NDArray[np.bool_]

# A refuted criterion rolls back, so it is paid from the ledger of rollbacks, not from that of advances.
REFUTATION_ALPHA = 0.01


@dataclass(frozen=True)
class Question:
    """One statement and the evidence that it is judged on.

    Attributes:
        statement: what is claimed.
        role: criterion or trigger.
        alpha: chance of a false PASS of a criterion, of a false FAIL of a trigger.
        events: bad events, of statements that count them.
        trials: their trials.
        last_events: bad events in the last quarter of the phase.
        last_trials: their trials.
        report_only: judged, but decides nothing.
        trigger_index: which trigger, for its literal rule.
    """

    statement: Statement
    role: Verdict.Role.ValueType
    alpha: float
    events: int = 0
    trials: int = 0
    last_events: int = 0
    last_trials: int = 0
    report_only: bool = False
    trigger_index: int = -1

    @property
    def is_trigger(self) -> bool:
        """Whether it rolls back."""
        return self.role == Verdict.ROLE_TRIGGER


def criterion_questions(state: RolloutState) -> list[Question]:
    """One per criterion of the phase, on the phase's evidence."""
    counts, limits = state.phase_counts, state.plan.limits_seconds
    phase = state.phase_spec
    hold = seconds_of(phase.hold) if phase else 0.0
    before = state.phase_window.total_before(state.phase_elapsed_seconds - LAST_PART * hold)
    last = counts - before if before is not None else counts
    questions = []
    for criterion, statement in state.phase_criteria():
        events = trials = last_events = last_trials = 0
        if statement.counts_events:
            events, trials = counts.events_and_trials(statement, limits)
            last_events, last_trials = last.events_and_trials(statement, limits)
        questions.append(
            Question(
                statement,
                Verdict.ROLE_CRITERION,
                criterion.alpha,
                events,
                trials,
                last_events,
                last_trials,
                criterion.report_only,
            )
        )
    return questions


def trigger_questions(state: RolloutState) -> list[Question]:
    """One per trigger, on the evidence of the whole rollout."""
    questions = []
    for index, (trigger, statement) in enumerate(zip(state.spec.triggers, state.plan.triggers, strict=True)):
        events = trials = 0
        if statement.counts_events:
            limits = state.plan.limits_seconds
            events, trials = state.rollout_counts.events_and_trials(statement, limits, with_probes=True)
        questions.append(Question(statement, Verdict.ROLE_TRIGGER, trigger.alpha, events, trials, trigger_index=index))
    return questions


@dataclass(frozen=True)
class Answer:
    """ln E in both directions, rounded, and what follows."""

    log_e_below: float
    log_e_above: float
    result: Verdict.Result.ValueType


def answer_counts(questions: Sequence[Question], *, full: bool) -> list[Answer]:
    """Answers to questions that count events, all in two vectorised evaluations.

    Args:
        questions: any number.
        full: both directions; else only the one that can be above 0, which gives the same result: ln E is at most 0
            away from the estimate, because every alternative there is less likely than the limit itself.
    """
    if not questions:
        return []
    events = np.array([question.events for question in questions], dtype=np.float64)
    trials = np.array([question.trials for question in questions], dtype=np.float64)
    limits = np.array([question.statement.event_limit for question in questions])
    above_limit = events > trials * limits
    wanted = np.array([not question.is_trigger for question in questions])
    below = _log_e(events, trials, limits, "less", (full | (wanted & ~above_limit)))
    above = _log_e(events, trials, limits, "greater", (full | above_limit))
    return [_answer(*asked) for asked in zip(questions, below, above, strict=True)]


def _log_e(events: Floats, trials: Floats, limits: Floats, alternative: Alternative, asked: Bools) -> list[float]:
    """The ln E where it is asked, 0 elsewhere, rounded."""
    values = np.zeros(events.shape)
    if asked.any():
        values[asked] = bernoulli_level(events[asked], trials[asked], limits[asked], alternative=alternative)
    return [rounded(float(value)) for value in values]


def log_threshold(alpha: float) -> float:
    """What ln E must reach: ln(1 / alpha), to 9 digits like ln E itself."""
    return rounded(math.log(1 / alpha))


def _answer(question: Question, below: float, above: float) -> Answer:
    threshold = log_threshold(question.alpha)
    if question.is_trigger:
        if above >= threshold:
            result = Verdict.RESULT_FAIL
        else:
            result = Verdict.RESULT_PASS if below >= threshold else Verdict.RESULT_INSUFFICIENT
        return Answer(below, above, result)
    if above >= log_threshold(min(question.alpha, REFUTATION_ALPHA)):
        return Answer(below, above, Verdict.RESULT_FAIL)
    proven = below >= threshold and last_part_agrees(question)
    return Answer(below, above, Verdict.RESULT_PASS if proven else Verdict.RESULT_INSUFFICIENT)


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
