"""How many more requests a criterion needs, if events keep coming as they do: the plan's "needs N more"."""

from __future__ import annotations

import math

from covey.rollout.answers import Answer
from covey.rollout.model import RolloutState
from covey.rollout.questions import Question
from covey.stats import needed_n
from covey.stats.checked import log_sum_exp
from covey.stats.special import Floats

LARGEST_FACTOR = 2.0**30
LN_2 = math.log(2.0)


def needed_count(state: RolloutState, question: Question, answer: Answer) -> int | None:
    """Further candidate requests until every test of a criterion is shown at the observed rates.

    Args:
        state: the evidence.
        question: of a criterion that counts events.
        answer: to it.

    Returns:
        0 where the tests are shown already (another rule withholds), None where it never comes at these rates.
    """
    memory = state.gates
    assert memory.criteria is not None
    row, alpha = question.row, question.alpha
    events, trials = (float(value) for value in memory.effective[:, row])
    effect = question.trials / trials if trials else 1.0
    needs: list[int | None] = []
    if memory.criteria.has_level[row]:
        needs.append(
            _scaled(needed_n(events, trials, question.statement.event_limit, alternative="less", alpha=alpha), effect)
        )
    if len(answer.tests) > 1 or not memory.criteria.has_level[row]:
        needs.append(_relative(state, question, effect))
    known = [need for need in needs if need is not None]
    return max(known) if len(known) == len(needs) else None


def _relative(state: RolloutState, question: Question, effect: float) -> int | None:
    """Until the margin is shown, or that the rate is too small to matter; the mean of both costs each a factor of 2."""
    memory, row = state.gates, question.row
    assert memory.criteria is not None
    with_floor = bool(memory.criteria.has_level[row])
    threshold = math.log(1 / question.alpha) + (LN_2 if with_floor else 0.0)
    factor = growth_until(memory.margins[row], threshold)
    ways = [] if factor is None else [math.ceil((factor - 1.0) * _trials(state, question))]
    if with_floor:
        events, trials = (float(value) for value in memory.effective[:, row])
        floor = needed_n(events, trials, state.spec.error_floor, alternative="less", alpha=question.alpha / 2)
        ways += [] if floor is None else [math.ceil(floor * effect)]
    return min(ways) if ways else None


def _trials(state: RolloutState, question: Question) -> int:
    return question.trials if question.statement.counts_events else state.phase_counts.requests


def growth_until(log_e_by_ratio: Floats, threshold: float) -> float | None:
    """By what factor the evidence must grow, in the proportions it has, until its mean over ratios is shown.

    Args:
        log_e_by_ratio: ln E of each ratio, shape (ratios,): it grows in proportion to the evidence.
        threshold: ln(1 / alpha).

    Returns:
        1 where it is shown already; None where no ratio gains.
    """

    def log_e(factor: float) -> float:
        return float(log_sum_exp(factor * log_e_by_ratio)) - math.log(len(log_e_by_ratio))

    if log_e(1.0) >= threshold:
        return 1.0
    if log_e_by_ratio.max() <= 0 or log_e(LARGEST_FACTOR) < threshold:
        return None
    low, high = 1.0, LARGEST_FACTOR
    while high - low > 1e-6 * high:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if log_e(middle) >= threshold else (middle, high)
    return high


def _scaled(count: int | None, effect: float) -> int | None:
    return None if count is None else math.ceil(count * effect)
