"""Every variant against the control, in every segment at once: effects as arrays, before anything is concluded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.experiment.cells import Cells, rows_by_code
from covey.experiment.chances import log_p_chi2
from covey.experiment.cox import cox
from covey.experiment.design import Outcome, OutcomeKind
from covey.experiment.effects import (
    Arm,
    Effect,
    effect_of,
    fixed_log_p,
    newcombe_interval,
    proportion_effect,
    proportion_log_p,
)
from covey.experiment.readings import fixed_multiplier
from covey.experiment.units import Units
from covey.stats import kaplan_meier, log_rank
from covey.stats.special import Floats


@dataclass(frozen=True, slots=True)
class Compared:
    """One outcome of one variant against the control; arrays of shape (segments,).

    Attributes:
        outcome: which.
        variant: number of the candidate among the variants.
        candidate, control: the arms.
        raw_candidate, raw_control: their values before adjustment.
        effect: with its variance; of hazards the logarithm of the ratio.
        low, high: fixed-horizon interval at alpha, on the scale of `effect`.
        log_p: of the fixed-horizon test.
        information: what the always-valid reading counts: units of both arms, or events.
        units: of both arms.
        informative: observations that carry the outcome, in the arm that has fewer.
        problems: why there is nothing to compare; "" where there is.
        rho2: share of variance explained by the covariate.
        details: (events, median) of both arms, for times to an event in the whole table.
    """

    outcome: Outcome
    variant: int
    candidate: Arm
    control: Arm
    raw_candidate: Floats
    raw_control: Floats
    effect: Effect
    low: Floats
    high: Floats
    log_p: Floats
    information: Floats
    units: Floats
    informative: Floats
    problems: tuple[str, ...]
    rho2: float = 0.0
    details: tuple[tuple[int, float | None], ...] = ()


def compare_cells(outcome: Outcome, cells: Cells, alpha: float) -> Iterator[Compared]:
    """Compare the variants' cells of one outcome; control is the first column."""
    for variant in range(1, cells.arm.n.shape[1]):
        c, b = (Arm(*(part[:, place] for part in cells.arm)) for place in (variant, 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            problems = tuple(_problem(outcome, c, b, place) for place in range(len(c.n)))
            effect, low, high, log_p = _tested(outcome, c, b, alpha)
        yield Compared(
            outcome, variant, c, b, cells.raw[:, variant], cells.raw[:, 0], effect, low, high, log_p, c.n + b.n,
            c.n + b.n, np.minimum(cells.informative[:, variant], cells.informative[:, 0]), problems, cells.rho2,
        )  # fmt: skip


def compare_hazards(
    units: Units, outcome: Outcome, segment: NDArray[np.int32] | None, segment_count: int, alpha: float
) -> Iterator[Compared]:
    """Hazard ratio of each variant (Cox, Efron's ties) with the log-rank test."""
    arms = len(units.variants)
    codes = units.codes if segment is None else (segment * np.int32(arms) + units.codes).astype(np.int32)
    duration, event = units.values(outcome)
    known = np.isfinite(duration) & np.isfinite(event)
    places = [rows[known[rows]] for rows in rows_by_code(codes, segment_count * arms)]
    for variant in range(1, arms):
        rows = [_hazards(duration, event, places[s * arms], places[s * arms + variant]) for s in range(segment_count)]
        numbers = np.array([row[:7] for row in rows], dtype=np.float64)
        log_ratio, variance, log_p, n_c, n_b, d_c, d_b = numbers.T
        infinite = np.full(segment_count, np.inf)
        effect = Effect(log_ratio, variance, infinite, np.expm1(log_ratio), variance, is_log=True)
        half = fixed_multiplier(effect, alpha) * np.sqrt(variance)
        nothing = np.full(segment_count, np.nan)
        details: tuple[tuple[int, float | None], ...] = ()
        if segment_count == 1:
            curves = [kaplan_meier(duration[places[v]], event[places[v]]) for v in (variant, 0) if len(places[v])]
            details = tuple((int(curve.events.sum()), _median(curve.quantile(0.5))) for curve in curves)
        yield Compared(
            outcome, variant, Arm(nothing, nothing, n_c), Arm(nothing, nothing, n_b), nothing, nothing, effect,
            log_ratio - half, log_ratio + half, log_p, d_c + d_b, n_c + n_b, np.minimum(d_c, d_b),
            tuple(str(row[7]) for row in rows), 0.0, details,
        )  # fmt: skip


def _tested(outcome: Outcome, c: Arm, b: Arm, alpha: float) -> tuple[Effect, Floats, Floats, Floats]:
    if outcome.kind is OutcomeKind.proportion and not outcome.covariate:
        low, high = newcombe_interval(c, b, alpha)
        return proportion_effect(c, b), low, high, proportion_log_p(c, b)
    effect = effect_of(c, b)
    if outcome.kind not in {OutcomeKind.mean, OutcomeKind.proportion, OutcomeKind.ratio}:
        effect = effect._replace(degrees=np.full_like(effect.degrees, np.inf))
    half = fixed_multiplier(effect, alpha) * np.sqrt(effect.variance)
    return effect, effect.difference - half, effect.difference + half, fixed_log_p(effect)


def _problem(outcome: Outcome, c: Arm, b: Arm, place: int) -> str:
    """Why two cells cannot be compared."""
    for arm, name in ((c, "the variant"), (b, "the control")):
        if arm.n[place] < 2 or np.isnan(arm.n[place]):
            return f"{name} has {0 if np.isnan(arm.n[place]) else int(arm.n[place])} units: no variance can be told"
        if not np.isfinite(arm.value[place]):
            if outcome.kind is OutcomeKind.ratio:
                return f"{name}'s denominator is 0"
            return f"{name} has too few units, or its value is not defined"
        if not np.isfinite(arm.variance[place]):
            return f"{name} has too few units for this quantile or formula"
    if c.variance[place] <= 0 and b.variance[place] <= 0:
        if outcome.kind is OutcomeKind.quantile:
            return "so many units share the value at this quantile that its error cannot be told"
        if outcome.kind is OutcomeKind.time_to_event:
            return "no event came up to the horizon in either arm"
        same = c.value[place] == b.value[place]
        return f"constant: every unit of an arm has the same value{'' if same else ', another in each arm'}"
    return ""


def _hazards(
    duration: Floats, event: Floats, control: NDArray[np.intp], candidate: NDArray[np.intp]
) -> tuple[float, float, float, int, int, float, float, str]:
    n_c, n_b = len(candidate), len(control)
    d_c, d_b = float(event[candidate].sum()), float(event[control].sum())
    nothing = (np.nan, np.nan, np.nan, n_c, n_b, d_c, d_b)
    if min(n_c, n_b) < 2:
        return (*nothing, f"an arm has {min(n_c, n_b)} units")
    if d_c + d_b == 0:
        return (*nothing, "no event came: every unit was censored")
    if min(d_c, d_b) == 0:
        return (*nothing, "an arm has no event: the ratio of hazards has no estimate")
    rows = np.concatenate([candidate, control])
    is_candidate = np.concatenate([np.ones(n_c), np.zeros(n_b)])
    try:
        fit = cox(duration[rows], event[rows], is_candidate)
        ranked = log_rank(duration[rows], event[rows], is_candidate.astype(np.int64))
    except InputError as error:
        return (*nothing, error.problem)
    log_p = float(log_p_chi2(ranked.statistic, ranked.degrees_of_freedom))
    return float(fit.coefficients[0]), float(fit.covariance[0, 0]), log_p, n_c, n_b, d_c, d_b, ""


def _median(value: float) -> float | None:
    return value if np.isfinite(value) else None
