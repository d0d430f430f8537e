"""Three readings of one effect, and what each may claim: fixed horizon, group-sequential, always valid.

Each reading is a number of standard errors to both sides of the estimate; functions are vectorised over effects.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covey.experiment.chances import normal_quantile, student_quantile
from covey.experiment.design import DecideBy, Design
from covey.experiment.effects import Effect
from covey.experiment.spending import boundaries
from covey.stats import asymptotic_cs, mixture_sprt
from covey.stats.means import mixture_rate
from covey.stats.special import Floats

N_STAR = 5000.0
"""Units at which the always-valid interval is tightest, where no number of units was planned."""
BURN_IN = 100
"""Observations that carry the outcome, in each arm, before the always-valid reading speaks: it is asymptotic."""
MOST_UNITS = 1e10


class Look(NamedTuple):
    """Where a group-sequential plan stands.

    Attributes:
        fractions: of the planned units at the looks so far, this one last.
        units: now.
        planned: at the end.
    """

    fractions: tuple[float, ...]
    units: int
    planned: int


def fixed_multiplier(effect: Effect, alpha: float) -> Floats:
    """Standard errors of the fixed-horizon interval: Student's quantile, the normal one where degrees are infinite."""
    finite = np.isfinite(effect.degrees)
    student = student_quantile(alpha, np.where(finite, np.maximum(effect.degrees, 1e-3), 1.0))
    return np.where(finite, student, normal_quantile(alpha))


def always_valid_multiplier(information: Floats, alpha: float, n_star: float) -> Floats:
    """Standard errors of `covey.stats.asymptotic_cs` at so many units (or events)."""
    n = np.maximum(np.asarray(information, dtype=np.float64), 1.0)
    return asymptotic_cs(0.0, n, n, alpha, n_star=n_star)[1]


def always_valid_log_e(effect: Effect, information: Floats, alpha: float, n_star: float) -> Floats:
    """Ln E against "no difference": it reaches ln(1 / alpha) exactly where the interval leaves 0 out."""
    n = np.maximum(np.asarray(information, dtype=np.float64), 1.0)
    variance = np.maximum(effect.variance, 1e-300)
    return mixture_sprt(effect.difference, variance, mixture_rate(alpha, n_star) * variance * n)


def look_of(design: Design, units: int) -> Look | None:
    """The looks of a design, with this one; None where nothing was planned or an earlier look had as many units."""
    planned = design.planned_units
    if planned is None or (design.earlier_looks and design.earlier_looks[-1] >= min(units, planned)):
        return None
    fractions = (*(look / planned for look in design.earlier_looks), min(units / planned, 1.0))
    return Look(fractions, units, planned)


def group_sequential_multiplier(look: Look, alpha: float) -> float:
    """The O'Brien-Fleming boundary of this look, in standard errors; infinite where nothing may be spent yet."""
    return boundaries(look.fractions, alpha)[-1]


def final_multiplier(look: Look, alpha: float) -> float:
    """The boundary at the planned end, if there is no look in between."""
    fractions = look.fractions if look.fractions[-1] >= 1.0 else (*look.fractions, 1.0)
    return boundaries(fractions, alpha)[-1]


def needed_units(
    distance: float, variance_per_unit: float, alpha: float, decide_by: DecideBy, n_star: float, look: Look | None
) -> float | None:
    """Units at which the deciding interval ends short of 0, if the effect stays as estimated.

    Args:
        distance: of the estimate from 0, not negative.
        variance_per_unit: the estimate's variance times its units.
        alpha: of the interval.
        decide_by: which reading.
        n_star: of the always-valid one.
        look: of the group-sequential one.

    Returns:
        Units (or events) in both arms together; None where 10^10 do not do.
    """
    if distance <= 0 or not np.isfinite(variance_per_unit):
        return None
    ratio = variance_per_unit / distance**2
    if decide_by is not DecideBy.always_valid:
        z = normal_quantile(alpha) if look is None or decide_by is DecideBy.fixed else final_multiplier(look, alpha)
        n = z * z * ratio
    else:
        low, high = 0.0, np.log(MOST_UNITS)
        for _ in range(60):
            middle = 0.5 * (low + high)
            at = np.exp(middle)
            enough = float(always_valid_multiplier(np.float64(at), alpha, n_star)) ** 2 * ratio <= at  # type: ignore[arg-type]
            low, high = (low, middle) if enough else (middle, high)
        n = float(np.exp(high))
    return n if n < 0.99 * MOST_UNITS else None
