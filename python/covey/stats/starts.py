"""Harm that sets in late: evidence mixed over the tick at which it may have begun."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from covey import _core
from covey.stats.checked import log_weights, whole_number
from covey.stats.special import Floats

# Of the mass that is not put on the first moment: this part is for starts within the plan, the rest for later ones.
SHARE_WITHIN_PLAN = 0.9
WEIGHT_SUM_TOLERANCE = 1e-9


def over_start_times(
    log_increments: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    share_at_start: float = 0.5,
    planned_ticks: int,
) -> Floats:
    """Running `ln E` of increments mixed over alternatives k and over the tick j from which they count.

        ln E_t = ln(sum_k w_k M_k + sum_{j>t} pi_j),   M_k = pi_0 before tick 1, then M_k <- (M_k + pi_t) e^increment

    The start weights are those of `start_weights` and sum to 1 however long a phase is extended: what has not started
    yet counts as E = 1. An e-process that began with the phase has to earn back what a long good time took from it; one
    that begins late does not.

    Args:
        log_increments: shape (..., ticks, alternatives), from `level_increments` or `rate_ratio_increments`, divided by
            the design effect where there is one. Minus infinity (an impossible tick) is allowed.
        weights: of the alternatives, summing to 1; default equal.
        share_at_start: pi_0, in [0, 1]. 1 gives the plain mixture that starts with the phase.
        planned_ticks: P, fixed before the start, over all phases that the evidence carries over; at most one day's.

    Returns:
        ln E after each tick, shape (..., ticks). Its maximum over ticks exceeds ln(1 / alpha) under the null with
        probability at most alpha.

    Raises:
        ValueError: increments that are NaN or plus infinity, fewer than two axes, no tick or no alternative, weights
            that do not sum to 1, a share_at_start outside [0, 1], or a planned_ticks that is no whole number above 0.

    Assumes increments of *fixed* alternatives: those of a Beta mixture are valid but learn nothing late. The mixture
    keeps the validity of its increments, no more: dividing the finished ln E by a design effect, instead of the
    increments, leaves false alarms of 13 to 63 % under bursts.

    Source: mixture over change points, Shiryaev (1963) and Pollak (1985), with a proper prior, so that Ville's
        inequality holds (Shin, Ramdas, Rinaldo, 2022, "E-detectors", gives the improper kind).
    """
    increments = np.asarray(log_increments, dtype=np.float64)
    if increments.ndim < 2 or 0 in increments.shape[-2:]:
        raise ValueError("log_increments must have shape (..., ticks, alternatives), with one or more of each")
    ticks = increments.shape[-2]
    at_start, starting, waiting = start_weights(ticks, planned_ticks=planned_ticks, share_at_start=share_at_start)
    log_e = np.empty(increments.shape[:-1])
    masses: Floats | None = None
    mixture = log_weights(weights, increments.shape[-1])
    for index in range(ticks):
        masses, log_e[..., index] = _core.advance_start_times(
            masses,
            increments[..., index, :],
            mixture,
            _log(at_start),
            _log(float(starting[index])),
            _log(float(waiting[index])),
        )
    return log_e


def advance_start_times(
    log_masses: ArrayLike | None,
    log_increments: ArrayLike,
    tick: int,
    *,
    weights: ArrayLike | None = None,
    share_at_start: float = 0.5,
    planned_ticks: int,
) -> tuple[Floats, Floats]:
    """One tick of `over_start_times`, for a gate that keeps the masses between looks. Cost does not grow with time.

    Args:
        log_masses: ln M_k after the tick before, shape (..., alternatives); None before tick 1.
        log_increments: this tick's, shape (..., alternatives).
        tick: number of this tick, from 1, without gaps.
        weights: as `over_start_times`.
        share_at_start: as `over_start_times`; the same in every tick.
        planned_ticks: as `over_start_times`; the same in every tick.

    Returns:
        (ln M_k after this tick, ln E after this tick): shapes (..., alternatives) and (...).

    Raises:
        ValueError: as `over_start_times`, a tick below 1, or masses that are missing after tick 1 or there before.
    """
    tick = whole_number(tick, "tick")
    if (log_masses is None) != (tick == 1):
        raise ValueError(f"tick {tick}: log_masses must be None at tick 1 and those of the tick before afterwards")
    increments = np.atleast_1d(np.asarray(log_increments, dtype=np.float64))
    if increments.shape[-1] == 0:
        raise ValueError("log_increments must have shape (..., alternatives), with one or more")
    _validate(planned_ticks, share_at_start)
    masses = None if log_masses is None else np.asarray(log_masses, dtype=np.float64)
    rest = 1.0 - share_at_start
    return _core.advance_start_times(
        masses,
        increments,
        log_weights(weights, increments.shape[-1]),
        _log(share_at_start),
        _log(_starting_at(tick, planned_ticks, rest)),
        _log(_waiting_after(tick, planned_ticks, rest)),
    )


def start_weights(ticks: int, *, planned_ticks: int, share_at_start: float = 0.5) -> tuple[float, Floats, Floats]:
    """How much of the mass starts when: (pi_0, pi_1 ... pi_ticks, and after each tick what has not started yet).

    pi_0 = share_at_start. Of the rest R, nine tenths uniformly over the P planned ticks, pi_j = 0.9 R / P, and one
    tenth later, pi_j = 0.1 R P / (j (j - 1)) for j > P, whose sum from t + 1 on is 0.1 R P / t.

    Args:
        ticks: how many to list, 1 or more.
        planned_ticks: P.
        share_at_start: pi_0.

    Returns:
        (pi_0, starting of shape (ticks,), waiting of shape (ticks,)).

    Raises:
        ValueError: as `over_start_times`.
        ArithmeticError: the weights do not sum to 1. A simulation under the null would not notice a wrong sum.
    """
    ticks = whole_number(ticks, "ticks")
    _validate(planned_ticks, share_at_start)
    number = np.arange(1.0, ticks + 1.0)
    rest = 1.0 - share_at_start
    starting, waiting = _starting(number, planned_ticks, rest), _waiting(number, planned_ticks, rest)
    sums = share_at_start + np.cumsum(starting) + waiting
    if np.abs(sums - 1.0).max() > WEIGHT_SUM_TOLERANCE:
        raise ArithmeticError(f"start weights sum to {sums[np.abs(sums - 1.0).argmax()]:.12g} instead of 1")
    return float(share_at_start), starting, waiting


def _starting(number: Floats, planned: int, rest: float) -> Floats:
    """pi_j of these ticks."""
    return np.array([_starting_at(tick, planned, rest) for tick in number.tolist()])


def _waiting(number: Floats, planned: int, rest: float) -> Floats:
    """The sum of pi_j over all j after these ticks."""
    return np.array([_waiting_after(tick, planned, rest) for tick in number.tolist()])


def _starting_at(tick: float, planned: int, rest: float) -> float:
    if tick <= planned:
        return SHARE_WITHIN_PLAN * rest / planned
    return (1.0 - SHARE_WITHIN_PLAN) * rest * planned / (tick * (tick - 1.0))


def _waiting_after(tick: float, planned: int, rest: float) -> float:
    if tick <= planned:
        return rest * (SHARE_WITHIN_PLAN * (planned - tick) / planned + (1.0 - SHARE_WITHIN_PLAN))
    return (1.0 - SHARE_WITHIN_PLAN) * rest * planned / tick


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf


def _validate(planned_ticks: int, share_at_start: float) -> None:
    whole_number(planned_ticks, "planned_ticks")
    if not 0.0 <= share_at_start <= 1.0:
        raise ValueError(f"share_at_start is {share_at_start!r}; expected a number from 0 to 1")
