"""What the tests say to questions about counts: ln E of each as arrays, and the results. It is asked at every look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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

# Ln E that is not nearer to its threshold than this is on the same side of it with 9 digits.
CLOSE = 1e-5
# Of which a refusal for overload counts as one where the arms are compared.
_FAILURES = frozenset({Kind.ERROR_RATE, Kind.AVAILABILITY})


@dataclass(frozen=True, eq=False)
class Weighed:
    """The tests of some questions; arrays have one entry per question.

    Attributes:
        results: PASS, FAIL or INSUFFICIENT.
        level: ln E of the level test: below the limit for a criterion, above it for a trigger.
        ratio: ln E of the comparison, for a criterion with the error floor.
        has_level, compared: which of them is judged.
        own: of a trigger, ln E of its tests together.
        thresholds: what ln E must reach.
    """

    results: list[Verdict.Result.ValueType]
    level: Floats
    ratio: Floats
    has_level: NDArray[np.bool_]
    compared: NDArray[np.bool_]
    own: Floats
    thresholds: Floats


def reaches(log_e: Floats, thresholds: Floats) -> NDArray[np.bool_]:
    """Whether ln E reaches its threshold, with the 9 digits that a verdict shows: the last bits are not its own."""
    shown = np.asarray(log_e >= thresholds)
    close = np.abs(log_e - thresholds) < CLOSE
    if close.any():
        shown[close] = [
            rounded(value) >= threshold
            for value, threshold in zip(log_e[close].tolist(), thresholds[close].tolist(), strict=True)
        ]
    return shown


def weigh_criteria(state: RolloutState, questions: Sequence[Question]) -> Weighed:
    """A criterion passes where every test it needs shows it, and the last quarter agrees."""
    rows = np.array([question.row for question in questions], dtype=np.intp)
    memory, spec = state.gates, state.spec
    assert memory.criteria is not None  # a phase is in force
    events, trials = memory.effective[:, rows]
    limits = memory.criteria.limit[rows]
    has_level = memory.criteria.has_level[rows]
    compared = memory.criteria.compared[rows] & (state.candidate_weight_bp < 10_000)
    # A row without a level has no counts, and so no evidence.
    below = bernoulli_level(events, trials, limits, alternative="less")
    above = _level(events, trials, limits, "greater", events > trials * limits)
    relative = margin = log_sum_exp(memory.margins[rows]) - math.log(memory.margins.shape[1])
    both = has_level & compared
    if both.any():
        # Evidence on the margin, or that the rate is too small to matter: either is enough, so their mean is judged.
        floor = _level(events, trials, np.full(limits.shape, spec.error_floor), "less", both)
        relative = np.where(both, mean_of_two(margin, floor), margin)
    thresholds = _log_thresholds(tuple([question.alpha for question in questions]))
    refutations = _log_thresholds(tuple([question.refutation_alpha for question in questions]))
    level_shown, ratio_shown, refuted = reaches(
        np.array([below, relative, above]), np.array([thresholds, thresholds, refutations])
    )
    shown = (has_level | compared) & (~has_level | level_shown) & (~compared | ratio_shown)
    results: list[Verdict.Result.ValueType] = []
    for question, passes, fails in zip(questions, shown.tolist(), refuted.tolist(), strict=True):
        if fails:
            results.append(Verdict.RESULT_FAIL)
        elif passes and (not question.statement.counts_events or last_part_agrees(question)):
            results.append(Verdict.RESULT_PASS)
        else:
            results.append(Verdict.RESULT_INSUFFICIENT)
    return Weighed(results, below, relative, has_level, compared, np.minimum(below, relative), thresholds)


@lru_cache(maxsize=64)
def _log_thresholds(alphas: tuple[float, ...]) -> Floats:
    """What each ln E must reach; the same at every look of a phase."""
    return np.array([log_threshold(alpha) for alpha in alphas])


def harms(state: RolloutState, questions: Sequence[Question]) -> list[Verdict.Result.ValueType]:
    """The results of `weigh_triggers` where nobody asks if harm is excluded; mostly none is near its threshold."""
    lowest = min(log_threshold(question.alpha) for question in questions)
    # No mean is above the largest of its parts.
    if float(state.gates.log_e.max()) < lowest - CLOSE:
        return [Verdict.RESULT_INSUFFICIENT] * len(questions)
    return weigh_triggers(state, questions, full=False).results


def weigh_triggers(state: RolloutState, questions: Sequence[Question], *, full: bool) -> Weighed:
    """Harm is shown where the mean of the e-values of a family's triggers reaches its threshold.

    Args:
        state: the evidence.
        questions: of triggers that count events.
        full: whether to see if harm is excluded, too; the result FAIL does not depend on it.
    """
    places = np.array([question.row for question in questions], dtype=np.intp)
    rows, (levels, ratios) = state.plan.gates.triggers, state.gates.log_e
    both = rows.has_level & rows.compared
    combined = np.where(both, mean_of_two(levels, ratios), np.where(rows.compared, ratios, levels))
    means = _family_means(state, combined)[places]
    has_level, compared = rows.has_level[places], rows.compared[places]
    level, ratio, own = levels[places], ratios[places], combined[places]
    thresholds = np.array([log_threshold(question.alpha) for question in questions])
    shares = np.array([question.sharers for question in questions]) * (1 + (has_level & compared))
    by_level = has_level & reaches(level - np.log(shares), thresholds)
    together = reaches(means, thresholds) & reaches(own, thresholds)
    excluded = _excluded(state, questions) if full else np.zeros(len(places), dtype=bool)
    results: list[Verdict.Result.ValueType] = []
    for place, question in enumerate(questions):
        if by_level[place] or (together[place] and (not compared[place] or _matters(state, question))):
            results.append(Verdict.RESULT_FAIL)
        else:
            results.append(Verdict.RESULT_PASS if excluded[place] else Verdict.RESULT_INSUFFICIENT)
    return Weighed(results, level, ratio, has_level, compared, own, thresholds)


def _family_means(state: RolloutState, combined: Floats) -> Floats:
    """Ln of the mean e-value of the triggers that spend alpha together, by trigger."""
    means = combined.copy()
    families = [None if statement.kind is Kind.OUTCOME else family_of(statement) for statement in state.plan.triggers]
    for family in set(families) - {None}:
        together = [place for place, other in enumerate(families) if other is family]
        if len(together) > 1:
            means[together] = log_sum_exp(combined[together]) - math.log(len(together))
    return means


def _excluded(state: RolloutState, questions: Sequence[Question]) -> NDArray[np.bool_]:
    """Whether the rate is shown to lie below the trigger's limit."""
    effects = np.array([design_effect(state, question) for question in questions])
    events = np.array([question.events for question in questions]) / effects
    trials = np.array([question.trials for question in questions]) / effects
    limits = np.array([q.statement.event_limit if q.statement.counts_events else 0.5 for q in questions])
    asked = np.array([question.statement.counts_events for question in questions])
    below = _level(events, trials, limits, "less", asked)
    return reaches(below, np.array([log_threshold(question.alpha) for question in questions]))


def _level(
    events: Floats, trials: Floats, limits: Floats, alternative: Alternative, asked: NDArray[np.bool_]
) -> Floats:
    """The ln E where it is asked, 0 elsewhere."""
    values = np.zeros(events.shape)
    if asked.any():
        values[asked] = bernoulli_level(events[asked], trials[asked], limits[asked], alternative=alternative)
    return values


def relative_counts(state: RolloutState, question: Question) -> tuple[tuple[int, int], tuple[int, int]]:
    """(events, trials) of candidate and of baseline: of the phase for a criterion, of all phases for a trigger."""
    if question.statement.kind is Kind.RELATIVE_LATENCY:
        number = state.plan.gates.metrics.slower_shares.index(question.statement.event_limit)
        slow = state.gates.exceedances[:, number]
        return (int(slow[0]), state.phase_counts.requests), (int(slow[1]), state.phase_rivals.requests)
    if question.statement.kind not in _FAILURES:
        return (0, 0), (0, 0)
    rivals = state.gates.rivals if question.is_trigger else state.phase_rivals
    return _with_shed(_candidate_counts(state, question), question), _with_shed(rivals, question)


def shed_requests(state: RolloutState, question: Question) -> int:
    """How many of the candidate's events in `relative_counts` are requests refused for overload."""
    return _candidate_counts(state, question).shed if question.statement.kind in _FAILURES else 0


def _candidate_counts(state: RolloutState, question: Question) -> Counts:
    return state.gates.candidate.counts if question.is_trigger else state.phase_counts


def _with_shed(counts: Counts, question: Question) -> tuple[int, int]:
    bad = counts.errors if question.statement.kind is Kind.ERROR_RATE else counts.unavailable
    return bad + counts.shed, counts.requests + counts.shed


def _matters(state: RolloutState, question: Question) -> bool:
    """Whether a ratio alone may roll back."""
    mine, rival = relative_counts(state, question)
    if not mine[1] or not rival[1]:
        return False
    candidate, baseline = np.array(mine[0] / mine[1]), np.array(rival[0] / rival[1])
    affected = np.array(affected_learners(state, question))
    return bool(excess_matters(candidate, baseline, state.spec.error_floor, affected))


def affected_learners(state: RolloutState, question: Question) -> int:
    """Shards of the candidate with a failure of this kind: so many learners at least met one."""
    metric = state.plan.gates.metrics.index(question.statement)
    shards = state.gates.candidate.shards
    if shards is None or metric == NO_METRIC or metric >= FIRST_LIMIT:
        return 0
    return int((shards.events[metric] > 0).sum())


def design_effect(state: RolloutState, question: Question) -> float:
    """What the last tick's evidence was divided by."""
    metric = state.plan.gates.metrics.index(question.statement)
    return 1.0 if metric == NO_METRIC else rounded(float(state.gates.effects[metric]))
