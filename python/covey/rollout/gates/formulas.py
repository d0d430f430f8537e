"""The gates' arithmetic, vectorised over leading axes: the live gates and the simulations that verify them share it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covey.stats import ADVANCE_RATIOS, LEVEL_MULTIPLES, ROLLBACK_RATIOS
from covey.stats.dispersion import effect_of_sums, shown_effect_of_sums, sums_with_tick
from covey.stats.rates import ratio_terms
from covey.stats.special import Floats

# Fewer ticks of baseline before the first phase, and bursts cannot be told from harm that sets in late.
FEWEST_BASELINE_TICKS = 120
# Fewer ticks of the phase itself say nothing about bursts.
FEWEST_OWN_TICKS = 10
# A between-learner standard error of the ratio up to the first is left alone; beyond the second there are too few.
LARGEST_IGNORED_ERROR = 0.1
LARGEST_USABLE_ERROR = 1.0
ERROR_MULTIPLE = 2.0
# An advance's null must stay above its largest alternative.
SMALLEST_MARGIN = 1.3
# A failure rate is an excess that matters where so many learners met it, however small the rate.
FEWEST_AFFECTED_LEARNERS = 5

_ADVANCE: Floats = np.array(ADVANCE_RATIOS)
_ROLLBACK: Floats = np.array(ROLLBACK_RATIOS)


class LevelTable(NamedTuple):
    """Log-likelihood ratios of fixed levels against limits: what one event and one success add.

    Attributes:
        per_event: ln(q_k / p0), shape (..., levels).
        per_success: ln((1 - q_k) / (1 - p0)).
    """

    per_event: Floats
    per_success: Floats


def level_table(limits: ArrayLike) -> LevelTable:
    """The table of `level_increments` for these limits; a level that would reach 1 is the largest below instead.

    Args:
        limits: p0, shape (...), in (0, 1). Above 1/1.17 a level half-way to 1 stands in for all.
    """
    p0 = np.asarray(limits, dtype=np.float64)[..., np.newaxis]
    levels = p0 * np.array(LEVEL_MULTIPLES)
    largest = np.where(levels < 1.0, levels, 0.0).max(axis=-1, keepdims=True)
    levels = np.where(levels < 1.0, levels, np.where(largest > 0.0, largest, (1.0 + p0) / 2.0))
    return LevelTable(np.log(levels / p0), np.log1p(-levels) - np.log1p(-p0))


def level_step(table: LevelTable, events: Floats, trials: Floats) -> Floats:
    """What a tick adds to ln E of each level, shape (..., levels); `covey.stats.level_increments` for one tick."""
    return events[..., np.newaxis] * table.per_event + (trials - events)[..., np.newaxis] * table.per_success


class DispersionSums(NamedTuple):
    """Running sums of `covey.stats.design_effect` over ticks with trials, any shape.

    Attributes:
        square: sum of x_t^2 / n_t.
        events: sum of x_t.
        trials: sum of n_t, whole numbers.
        ticks: ticks with n_t > 0.
    """

    square: Floats
    events: Floats
    trials: Floats
    ticks: Floats

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> DispersionSums:
        """Before the first tick."""
        return cls(*(np.zeros(shape) for _ in range(4)))

    def plus(self, events: Floats, trials: Floats) -> DispersionSums:
        """With one more tick."""
        return DispersionSums(*sums_with_tick(self, events, trials))

    def joined(self, other: DispersionSums) -> DispersionSums:
        """Both stretches as one."""
        return DispersionSums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def effect(self, fewest_ticks: int = 2) -> Floats:
        """The design effect, 1 with fewer ticks or without variation."""
        return effect_of_sums(*self, fewest_ticks=fewest_ticks)

    def shown_effect(self, fewest_ticks: int = 2) -> Floats:
        """The design effect where it is shown: 1 where chance gives as much without any bursts."""
        return shown_effect_of_sums(*self, fewest_ticks=fewest_ticks)


def rollback_null(tolerance: Floats, error: Floats) -> Floats:
    """r0 of a rollback: the tolerance, widened by two standard errors where they matter."""
    return tolerance * np.where(error > LARGEST_IGNORED_ERROR, 1.0 + ERROR_MULTIPLE * error, 1.0)


def advance_null(margin: Floats, error: Floats) -> Floats:
    """r0 of an advance: the margin, narrowed likewise; NaN where it would reach the alternatives."""
    null = margin / np.where(error > LARGEST_IGNORED_ERROR, 1.0 + ERROR_MULTIPLE * error, 1.0)
    return np.where(null >= SMALLEST_MARGIN, null, np.nan)


def ratio_step(
    candidate_events: Floats, baseline_events: Floats, share: Floats, null: Floats, *, advance: bool
) -> Floats:
    """What a tick adds to ln E of each ratio, shape (..., ratios); 0 where the null is NaN.

    Args:
        candidate_events: x, shape (...).
        baseline_events: y.
        share: the candidate's share of the tick's trials, 0 to 1.
        null: r0 from `rollback_null` or `advance_null`.
        advance: against `ADVANCE_RATIOS`, else against `ROLLBACK_RATIOS` times r0.
    """
    # Counts of an arm without exposure are late answers of another weight: they say nothing about the ratio.
    r0 = null[..., np.newaxis]
    x, y, s = candidate_events[..., np.newaxis], baseline_events[..., np.newaxis], share[..., np.newaxis]
    return ratio_terms(x, y, s, r0, _ADVANCE if advance else _ROLLBACK * r0)


def share_of(candidate_trials: Floats, baseline_trials: Floats) -> Floats:
    """The candidate's share of a tick's trials; 0 without any."""
    total = candidate_trials + baseline_trials
    return np.where(total > 0, candidate_trials / np.where(total > 0, total, 1.0), 0.0)


def mean_of_two(first: Floats, second: Floats) -> Floats:
    """Ln of the mean of two e-values."""
    return np.asarray(np.logaddexp(first, second) - np.log(2.0), dtype=np.float64)


def excess_matters(
    candidate_rate: Floats, baseline_rate: Floats, error_floor: float, affected_learners: Floats
) -> NDArray[np.bool_]:
    """Whether a ratio alone may roll back: the excess share reaches the floor, or five learners met it."""
    return (candidate_rate - baseline_rate >= error_floor) | (affected_learners >= FEWEST_AFFECTED_LEARNERS)
