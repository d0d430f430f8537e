"""From one effect to three readings, and from the deciding one to a verdict in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from covey.experiment.chances import normal_quantile, p_words
from covey.experiment.compared import Compared
from covey.experiment.design import DecideBy, Design, Outcome
from covey.experiment.readings import (
    BURN_IN,
    N_STAR,
    Look,
    always_valid_log_e,
    always_valid_multiplier,
    fixed_multiplier,
    group_sequential_multiplier,
    needed_units,
)
from covey.experiment.results import Reading, Verdict
from covey.experiment.wording import number_words, signed_words
from covey.stats import required_n

FEW_UNITS = 30


@dataclass(frozen=True, slots=True)
class Judged:
    """One comparison before the correction for many.

    Attributes:
        readings: all three.
        log_e: of the always-valid one.
        passes_boundary: whether the group-sequential boundary at alpha / comparisons is passed.
    """

    readings: tuple[Reading, ...]
    log_e: float
    passes_boundary: bool


def n_star_of(design: Design, units: int, total: int) -> float:
    """Where the always-valid interval is tightest: the pair's part of the planned units, or `N_STAR`."""
    return N_STAR if design.planned_units is None else max(design.planned_units * units / max(total, 1), 2.0)


def judge(compared: Compared, place: int, design: Design, look: Look | None, n_star: float, family: int) -> Judged:
    """The readings of one comparison that has no problem.

    Args:
        compared: with its arrays.
        place: number of the segment.
        design: of the experiment.
        look: where the group-sequential plan stands.
        n_star: of the always-valid reading.
        family: comparisons that are corrected for.
    """
    effect = compared.effect._replace(
        **{name: np.asarray(getattr(compared.effect, name))[place] for name in compared.effect._fields[:-1]}
    )
    error = math.sqrt(float(effect.variance))
    estimate = float(effect.difference)
    information = np.float64(compared.information[place])
    fixed = float(fixed_multiplier(effect, design.alpha))
    always = float(always_valid_multiplier(information, design.alpha, n_star))  # type: ignore[arg-type]
    log_e = float(always_valid_log_e(effect, information, design.alpha, n_star))  # type: ignore[arg-type]
    is_hazard = compared.outcome.is_of_hazards

    def reading(
        kind: DecideBy, multiplier: float | None, log_p: float | None, valid: tuple[bool, str], *,
        boundary: float | None = None, ends: tuple[float, float] | None = None,
    ) -> Reading:  # fmt: skip
        if multiplier is None or not math.isfinite(multiplier):
            return Reading(kind, None, None, None, None, log_p, None, False, *valid)
        low, high = ends or (estimate - multiplier * error, estimate + multiplier * error)
        relative = _relative_ends(compared, place, multiplier)
        outside = low > 0 or high < 0
        if is_hazard:
            low, high = _exp(low), _exp(high)
        return Reading(kind, low, high, *relative, log_p, boundary, outside, *valid)

    sequential, passes = _group_sequential(compared, look, design.alpha, family, abs(estimate) / error if error else 0)
    readings = (
        reading(
            DecideBy.fixed, fixed, float(compared.log_p[place]), _fixed_claim(compared, place, design, look),
            ends=(float(compared.low[place]), float(compared.high[place])),
        ),
        reading(DecideBy.group_sequential, sequential[0], None, sequential[1], boundary=sequential[0]),
        reading(DecideBy.always_valid, always, min(0.0, -log_e), _always_claim(compared, place)),
    )  # fmt: skip
    return Judged(readings, log_e, passes)


def verdict_of(
    compared: Compared, place: int, deciding: Reading, survives: bool, needed: float | None, family: int
) -> tuple[Verdict, str]:
    """What may be said, and why, where the split is right and there is something to compare."""
    outcome = compared.outcome
    estimate = float(compared.effect.difference[place])
    told = _effect_words(compared, place, deciding)
    if not deciding.is_valid:
        return Verdict.undecided, f"{told}. Not decidable yet: {deciding.may_claim}"
    if survives:
        is_up = estimate > 0
        # A hazard below 1 is an event that comes later or never, which is what is wanted.
        wanted = is_up == outcome.higher_is_better if not outcome.is_of_hazards else is_up != outcome.higher_is_better
        return (Verdict.improved, told) if wanted else (Verdict.harmed, told)
    margin, low, high = outcome.margin, deciding.relative_low, deciding.relative_high
    if margin is not None and low is not None and high is not None and -margin < low and high < margin:
        return Verdict.alike, f"{told}: within the margin of {margin:.3g}"
    alone = f"; it would count alone, but not among {family} comparisons" if deciding.excludes_zero else ""
    return Verdict.undecided, f"{told}{alone}. Not decidable yet: {needs_words(compared, place, needed)}"


def needs_words(compared: Compared, place: int, needed: float | None) -> str:
    """How much more it takes."""
    counted = "events" if compared.outcome.is_of_hazards else "units"
    have = float(compared.information[place])
    if needed is None:
        return "at this effect no number of units would do"
    if needed <= have:
        return f"needs a look with more {counted}"
    return f"needs about {number_words(needed)} {counted}, {number_words(needed - have)} more, if the effect stays so"


def needed_for(compared: Compared, place: int, design: Design, look: Look | None, n_star: float, family: int) -> (
    float | None
):  # fmt: skip
    """Units (events for hazards) of both arms at which the deciding interval would leave 0 out at alpha / family."""
    variance = float(compared.effect.variance[place] * compared.information[place])
    return needed_units(
        abs(float(compared.effect.difference[place])), variance, design.alpha / family, design.decide_by, n_star, look
    )


def needed_for_minimum(compared: Compared, place: int, design: Design, family: int) -> float | None:
    """Units of both arms that find the outcome's minimum effect with 80 % power by the deciding reading."""
    minimum, control = compared.outcome.minimum_effect, float(compared.control.value[place])
    alpha = design.alpha / family
    if minimum is None:
        return None
    if compared.outcome.is_of_hazards:
        share = float(compared.candidate.n[place] / compared.units[place])
        z = normal_quantile(alpha) + 0.8416212335729143
        return float(z**2 / (share * (1 - share) * math.log1p(minimum) ** 2))
    variance = float(compared.effect.variance[place] * compared.units[place])
    if not control or variance <= 0:
        return None
    share = float(compared.candidate.n[place] / compared.units[place])
    # required_n knows one CV for both arms; the one that gives this variance of the difference stands for them.
    cv = math.sqrt(variance * share * (1 - share)) / abs(control)
    is_sequential = design.decide_by is DecideBy.always_valid
    return float(required_n(cv, minimum, alpha=alpha, allocation=share, always_valid=is_sequential)) / share


def _group_sequential(
    compared: Compared, look: Look | None, alpha: float, family: int, z: float
) -> tuple[tuple[float | None, tuple[bool, str]], bool]:
    if compared.outcome.is_of_hazards:
        return (None, (False, "nothing: a plan in units says nothing of how many events were planned")), False
    if look is None:
        return (None, (False, "nothing: no planned number of units, or an earlier look that had as many")), False
    limit = group_sequential_multiplier(look, alpha)
    count, share = len(look.fractions), f"{look.fractions[-1]:.0%} of the planned {look.planned:,} units"
    if not math.isfinite(limit):
        return (None, (False, f"nothing yet: at {share} no alpha may be spent")), False
    told = f"a difference at look {count}, {share}, if |z| is {limit:.3f} or more, and at later looks of this plan"
    return (limit, (True, told)), z >= group_sequential_multiplier(look, alpha / family)


def _fixed_claim(compared: Compared, place: int, design: Design, look: Look | None) -> tuple[bool, str]:
    fewest = float(min(compared.candidate.n[place], compared.control.n[place]))
    if look is not None and look.units < look.planned:
        return False, f"nothing yet: its one look is at {look.planned:,} units, and there are {look.units:,}"
    if design.earlier_looks:
        return False, "nothing: the data were looked at before, and it allows one look"
    few = f"; with {fewest:.0f} units in an arm only if values are near normal" if fewest < FEW_UNITS else ""
    return True, f"a difference, if this is the one look that was planned{few}"


def _always_claim(compared: Compared, place: int) -> tuple[bool, str]:
    informative = float(compared.informative[place])
    if informative < BURN_IN:
        word = "events" if compared.outcome.is_of_hazards else "observations that carry the outcome"
        return False, f"an arm has {informative:.0f} {word}; the always-valid reading speaks from {BURN_IN} on"
    return True, "a difference at any look, however often one looks, and that the interval holds then"


def _relative_ends(compared: Compared, place: int, multiplier: float) -> tuple[float | None, float | None]:
    effect = compared.effect
    relative, variance = float(effect.relative[place]), float(effect.relative_variance[place])
    if not (math.isfinite(relative) and math.isfinite(variance)):
        return None, None
    half = multiplier * math.sqrt(variance)
    if effect.is_log:
        centre = math.log1p(relative)
        return _exp(centre - half) - 1, _exp(centre + half) - 1
    base, error = float(compared.control.value[place]), float(compared.control.variance[place])
    if base * base < multiplier**2 * error / float(compared.control.n[place]):
        return None, None  # the control may be 0: there is nothing to be relative to
    return relative - half, relative + half


def _effect_words(compared: Compared, place: int, deciding: Reading) -> str:
    outcome: Outcome = compared.outcome
    estimate = float(compared.effect.difference[place])
    if outcome.is_of_hazards:
        told = f"hazard ratio {number_words(_exp(estimate))}"
        low, high = deciding.low, deciding.high
        ends = "" if low is None or high is None else f" ({number_words(low)} to {number_words(high)})"
    else:
        told = signed_words(estimate)
        low, high = deciding.low, deciding.high
        ends = "" if low is None or high is None else f" ({signed_words(low)} to {signed_words(high)})"
        relative = float(compared.effect.relative[place])
        if math.isfinite(relative):
            ends += f", {relative:+.2%} of the control"
    p = "" if deciding.log_p is None else f", p = {p_words(deciding.log_p)}"
    return f"{told}{ends}{p}"


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
