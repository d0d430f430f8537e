"""What the tests say to the questions that count events, from what the gates remember; numbers only, no words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.rollout.counts import Counts
from covey.rollout.gates.formulas import excess_matters, mean_of_two
from covey.rollout.gates.ledger import family_of
from covey.rollout.gates.rows import FIRST_LIMIT, NO_METRIC
from covey.rollout.model import RolloutState
from covey.rollout.questions import Question, last_part_agrees, log_threshold
from covey.rollout.statement import Kind
from covey.rollout.units import rounded
from covey.stats.bernoulli import Alternative, bernoulli_level
from covey.stats.checked import log_sum_exp
from covey.stats.special import Floats
from covey.v1.evidence_pb2 import Verdict

LEVEL_GUARANTEE = "always valid for independent requests; each tick is divided by the design effect"
STARTS = ", over the time of onset"
RATIO_GUARANTEE = "always valid for counts; widened by what differs between learners"
FLOOR_TEST = "bernoulli_level at the error floor"


@dataclass(frozen=True)
class Test:
    """One test of an answer.

    Attributes:
        name: function of covey.stats.
        guarantee: what it promises.
        log_e: ln E of what the statement needs, rounded.
        null_value: the level or ratio that was tested.
        estimate: of that level or ratio; None without data.
    """

    name: str
    guarantee: str
    log_e: float
    null_value: float
    estimate: float | None = None


@dataclass(frozen=True)
class Answer:
    """What the tests say.

    Attributes:
        result: PASS, FAIL or INSUFFICIENT.
        log_e: the smallest of what a criterion needs; what a trigger's harm has.
        log_threshold: what it must reach.
        tests: one per test.
        design_effect: that the evidence was divided by in the last tick.
        baseline_events, baseline_trials: where the baseline was compared.
        affected_learners: shards with a failure of the candidate: at least so many learners met one.
    """

    result: Verdict.Result.ValueType
    log_e: float
    log_threshold: float
    tests: tuple[Test, ...] = ()
    design_effect: float = 1.0
    baseline_events: int = 0
    baseline_trials: int = 0
    affected_learners: int = 0


def answer_criteria(state: RolloutState, questions: Sequence[Question]) -> list[Answer]:
    """A criterion passes where every test it needs shows it, and the last quarter agrees."""
    if not questions:
        return []
    rows = np.array([question.row for question in questions], dtype=np.intp)
    memory, spec = state.gates, state.spec
    assert memory.criteria is not None  # a phase is in force
    events, trials = memory.effective[:, rows]
    limits = np.array([question.statement.event_limit for question in questions])
    has_level = memory.criteria.has_level[rows]
    below = _level(events, trials, limits, "less", has_level)
    above = _level(events, trials, limits, "greater", has_level & (events > trials * limits))
    compared = memory.criteria.compared[rows] & (state.candidate_weight_bp < 10_000)
    margin = log_sum_exp(memory.margins[rows]) - math.log(memory.margins.shape[1])
    # Evidence on the margin, or that the rate is too small to matter: either is enough, so their mean is judged.
    floor = _level(events, trials, np.full(limits.shape, spec.error_floor), "less", has_level & compared)
    relative = np.where(has_level, mean_of_two(margin, floor), margin)
    answers = []
    for place, question in enumerate(questions):
        threshold = log_threshold(question.alpha)
        tests = []
        if has_level[place]:
            estimate = question.events / question.trials if question.trials else None
            tests.append(
                Test("bernoulli_level", LEVEL_GUARANTEE, rounded(float(below[place])), float(limits[place]), estimate)
            )
        mine, rival = _relative_counts(state, question)
        if compared[place]:
            null = float(memory.criteria.null_ratio[rows[place]])
            name = "rate_ratio" if not has_level[place] else f"rate_ratio or {FLOOR_TEST}"
            tests.append(Test(name, RATIO_GUARANTEE, rounded(float(relative[place])), null, _ratio(mine, rival)))
        shown = bool(tests) and all(test.log_e >= threshold for test in tests)
        if rounded(float(above[place])) >= log_threshold(question.refutation_alpha):
            result = Verdict.RESULT_FAIL
        elif shown and (not has_level[place] or last_part_agrees(question)):
            result = Verdict.RESULT_PASS
        else:
            result = Verdict.RESULT_INSUFFICIENT
        answers.append(
            Answer(
                result,
                min((test.log_e for test in tests), default=0.0),
                threshold,
                tuple(tests),
                _effect(state, question),
                rival[0] if compared[place] else 0,
                rival[1] if compared[place] else 0,
                _affected(state, question),
            )
        )
    return answers


def answer_triggers(state: RolloutState, questions: Sequence[Question], *, full: bool) -> list[Answer]:
    """Harm is shown where the mean of the e-values of a family's triggers reaches its threshold.

    Args:
        state: the evidence.
        questions: of triggers that count events.
        full: whether to see if harm is excluded, too; the result FAIL does not depend on it.
    """
    if not questions:
        return []
    memory, rows = state.gates, state.plan.gates.triggers
    levels, ratios = memory.log_e
    both = rows.has_level & rows.compared
    combined = np.where(both, mean_of_two(levels, ratios), np.where(rows.compared, ratios, levels))
    means = _family_means(state, combined)
    excluded = _excluded(state, questions) if full else [False] * len(questions)
    starts = STARTS if memory.over_start_times else ""
    answers = []
    for question, harm_excluded in zip(questions, excluded, strict=True):
        row, threshold = question.row, log_threshold(question.alpha)
        mine, rival = _relative_counts(state, question)
        tests = []
        if rows.has_level[row]:
            estimate = question.events / question.trials if question.trials else None
            tests.append(
                Test(
                    "level_increments" + starts,
                    LEVEL_GUARANTEE,
                    rounded(float(levels[row])),
                    float(rows.limit[row]),
                    estimate,
                )
            )
        if rows.compared[row]:
            tests.append(
                Test(
                    "rate_ratio" + starts,
                    RATIO_GUARANTEE,
                    rounded(float(ratios[row])),
                    float(rows.null_ratio[row]),
                    _ratio(mine, rival),
                )
            )
        own = rounded(float(combined[row]))
        by_level = (
            bool(rows.has_level[row])
            and rounded(float(levels[row]) - math.log(question.sharers * len(tests))) >= threshold
        )
        shown = by_level or (
            rounded(float(means[row])) >= threshold
            and own >= threshold
            and (not rows.compared[row] or _matters(state, question, mine, rival))
        )
        result = Verdict.RESULT_FAIL if shown else Verdict.RESULT_PASS if harm_excluded else Verdict.RESULT_INSUFFICIENT
        answers.append(
            Answer(
                result,
                own,
                threshold,
                tuple(tests),
                _effect(state, question),
                rival[0] if rows.compared[row] else 0,
                rival[1] if rows.compared[row] else 0,
                _affected(state, question),
            )
        )
    return answers


def _family_means(state: RolloutState, combined: Floats) -> Floats:
    """Ln of the mean e-value of the triggers that spend alpha together, by trigger."""
    means = combined.copy()
    families = [None if statement.kind is Kind.OUTCOME else family_of(statement) for statement in state.plan.triggers]
    for family in set(families) - {None}:
        together = np.array([place for place, other in enumerate(families) if other is family])
        if len(together) > 1:
            means[together] = log_sum_exp(combined[together]) - math.log(len(together))
    return means


def _excluded(state: RolloutState, questions: Sequence[Question]) -> list[bool]:
    """Whether the rate is shown to lie below the trigger's limit."""
    effects = np.array([_effect(state, question) for question in questions])
    events = np.array([question.events for question in questions]) / effects
    trials = np.array([question.trials for question in questions]) / effects
    limits = np.array([q.statement.event_limit if q.statement.counts_events else 0.5 for q in questions])
    asked = np.array([question.statement.counts_events for question in questions])
    below = _level(events, trials, limits, "less", asked)
    return [rounded(float(log_e)) >= log_threshold(q.alpha) for q, log_e in zip(questions, below, strict=True)]


def _level(
    events: Floats, trials: Floats, limits: Floats, alternative: Alternative, asked: NDArray[np.bool_]
) -> Floats:
    """The ln E where it is asked, 0 elsewhere."""
    values = np.zeros(events.shape)
    if asked.any():
        values[asked] = bernoulli_level(events[asked], trials[asked], limits[asked], alternative=alternative)
    return values


def _relative_counts(state: RolloutState, question: Question) -> tuple[tuple[int, int], tuple[int, int]]:
    """(events, trials) of candidate and of baseline: of the phase for a criterion, of all phases for a trigger."""
    if question.statement.kind is Kind.RELATIVE_LATENCY:
        number = state.plan.gates.metrics.slower_shares.index(question.statement.event_limit)
        slow = state.gates.exceedances[:, number]
        return (int(slow[0]), state.phase_counts.requests), (int(slow[1]), state.phase_rivals.requests)
    if question.statement.kind not in {Kind.ERROR_RATE, Kind.AVAILABILITY}:
        return (0, 0), (0, 0)
    if question.is_trigger:
        arms = state.gates.candidate.counts, state.gates.rivals.counts
    else:
        arms = state.phase_counts, state.phase_rivals
    return _with_shed(arms[0], question), _with_shed(arms[1], question)


def _with_shed(counts: Counts, question: Question) -> tuple[int, int]:
    bad = counts.errors if question.statement.kind is Kind.ERROR_RATE else counts.unavailable
    return bad + counts.shed, counts.requests + counts.shed


def _ratio(mine: tuple[int, int], rival: tuple[int, int]) -> float | None:
    """Candidate's rate over the baseline's; None where it has no number."""
    if not mine[1] or not rival[0]:
        return None
    return rounded(mine[0] / mine[1] / (rival[0] / rival[1]))


def _matters(state: RolloutState, question: Question, mine: tuple[int, int], rival: tuple[int, int]) -> bool:
    """Whether a ratio alone may roll back."""
    if not mine[1] or not rival[1]:
        return False
    candidate, baseline = np.array(mine[0] / mine[1]), np.array(rival[0] / rival[1])
    affected = np.array(_affected(state, question))
    return bool(excess_matters(candidate, baseline, state.spec.error_floor, affected))


def _affected(state: RolloutState, question: Question) -> int:
    """Shards of the candidate with a failure of this kind: so many learners at least met one."""
    metric = state.plan.gates.metrics.index(question.statement)
    shards = state.gates.candidate.shards
    if shards is None or metric == NO_METRIC or metric >= FIRST_LIMIT:
        return 0
    return int((shards.events[metric] > 0).sum())


def _effect(state: RolloutState, question: Question) -> float:
    metric = state.plan.gates.metrics.index(question.statement)
    return 1.0 if metric == NO_METRIC else rounded(float(state.gates.effects[metric]))
