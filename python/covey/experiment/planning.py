"""Before an experiment: how many units each outcome takes, by each reading, and how long that lasts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from covey.errors import InputError
from covey.experiment.chances import normal_quantile
from covey.experiment.spending import boundaries, crossing_chances
from covey.stats import minimum_detectable_effect, required_n
from covey.stats.special import special


@dataclass(frozen=True, slots=True)
class PlannedOutcome:
    """What is known of an outcome before.

    Attributes:
        name: of it.
        mean: of the control; of a proportion its share.
        standard_deviation: of one unit; None for a proportion, whose share says it.
        minimum_effect: relative effect that is to be found.
        rho2: share of the variance that a covariate from before explains.
    """

    name: str
    mean: float
    standard_deviation: float | None
    minimum_effect: float
    rho2: float = 0.0

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        if self.standard_deviation is None:
            return math.sqrt((1 - self.mean) / self.mean)
        return self.standard_deviation / abs(self.mean)

    def __post_init__(self) -> None:
        place = f"outcome '{self.name}'"
        if not math.isfinite(self.mean) or self.mean == 0:
            raise InputError(f"{place}: the mean is {self.mean!r}", expected="a finite number that is not 0")
        if self.standard_deviation is None and not 0 < self.mean < 1:
            raise InputError(f"{place}: the share is {self.mean!r}", expected="a number in (0, 1), or a deviation too")
        if self.standard_deviation is not None and not (
            math.isfinite(self.standard_deviation) and self.standard_deviation > 0
        ):
            raise InputError(f"{place}: the deviation is {self.standard_deviation!r}", expected="a number above 0")
        if not (math.isfinite(self.minimum_effect) and self.minimum_effect > 0):
            raise InputError(f"{place}: the minimum effect is {self.minimum_effect!r}", expected="a number above 0")
        if not 0 <= self.rho2 < 1:
            raise InputError(f"{place}: rho2 is {self.rho2!r}", expected="a number from 0 to below 1")


@dataclass(frozen=True, slots=True)
class PlanLine:
    """What one outcome takes.

    Attributes:
        outcome: which.
        fixed_units: of all variants, for one look at the end.
        group_sequential_units: at most, with the planned looks.
        expected_units: on average with those looks, if the minimum effect is the true one.
        always_valid_units: for a look at any time.
        fixed_days, group_sequential_days, always_valid_days: at the given rate; None without one.
        detectable: relative effect that the given number of units finds by one look; None without one.
    """

    outcome: PlannedOutcome
    fixed_units: int
    group_sequential_units: int
    expected_units: int
    always_valid_units: int
    fixed_days: float | None
    group_sequential_days: float | None
    always_valid_days: float | None
    detectable: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an experiment takes.

    Attributes:
        lines: one per outcome.
        comparisons: that share alpha (Bonferroni's share is planned for: what Holm and e-BH give back is reserve).
        looks: information fractions of the group-sequential plan.
        limits: its boundaries of |z| for one comparison at alpha.
        alpha, power: as asked.
    """

    lines: tuple[PlanLine, ...]
    comparisons: int
    looks: tuple[float, ...]
    limits: tuple[float, ...]
    alpha: float
    power: float


def plan(
    outcomes: Sequence[PlannedOutcome], *, variants: int = 2, control_share: float | None = None, alpha: float = 0.05,
    power: float = 0.8, looks: int = 5, units_per_day: float | None = None, units: int | None = None,
) -> Plan:  # fmt: skip
    """Units for every outcome, counting that all comparisons share alpha.

    Args:
        outcomes: what is to be found.
        variants: with the control, 2 or more.
        control_share: of the units; None: as much as each other variant.
        alpha: of the whole, two-sided.
        power: chance of finding the minimum effect.
        looks: of the group-sequential plan, equally spaced.
        units_per_day: that enter the experiment, all variants together.
        units: that there will be: what do they find?

    Raises:
        InputError: numbers out of range.
    """
    if not outcomes:
        raise InputError("no outcome is given", expected="at least one")
    if not 2 <= variants <= 32 or not 1 <= looks <= 100:
        raise InputError(f"{variants} variants and {looks} looks", expected="2 to 32 variants and 1 to 100 looks")
    if units_per_day is not None and not units_per_day > 0:
        raise InputError(f"units per day are {units_per_day!r}", expected="a number above 0")
    share = 1 / variants if control_share is None else control_share
    if not 0 < share < 1:
        raise InputError(f"the control's share is {share!r}", expected="a number in (0, 1)")
    if not 0 < alpha < 0.5 or not alpha < power < 1:
        raise InputError(f"alpha {alpha!r} and power {power!r}", expected="0 < alpha < 0.5 and alpha < power < 1")
    comparisons = len(outcomes) * (variants - 1)
    fractions = tuple((k + 1) / looks for k in range(looks))
    lines = tuple(
        _line(one, share, (1 - share) / (variants - 1), alpha / comparisons, power, fractions, units_per_day, units)
        for one in outcomes
    )
    return Plan(lines, comparisons, fractions, boundaries(fractions, alpha), alpha, power)


def inflation(fractions: Sequence[float], alpha: float, power: float) -> tuple[float, float]:
    """Of a group-sequential plan with O'Brien-Fleming spending over a fixed one: (most, expected) units as a ratio.

    The drift is sought at which the boundaries are crossed on the right side with the power asked for. Source: Jennison
    and Turnbull (2000), "Group sequential methods with applications to clinical trials".
    """
    limits = boundaries(fractions, alpha)
    fixed = normal_quantile(alpha) + float(special().ndtri(power))
    low, high = 0.5 * fixed, 3 * fixed
    for _ in range(50):
        middle = 0.5 * (low + high)
        enough = sum(crossing_chances(fractions, limits, middle)[0]) >= power
        low, high = (low, middle) if enough else (middle, high)
    upward, downward = crossing_chances(fractions, limits, high)
    ended = [a + b for a, b in zip(upward, downward, strict=True)]
    expected = sum(f * chance for f, chance in zip(fractions, ended, strict=True)) + (1 - sum(ended)) * fractions[-1]
    most = (high / fixed) ** 2
    return most, most * expected


def _line(
    one: PlannedOutcome, control_share: float, candidate_share: float, alpha: float, power: float,
    fractions: Sequence[float], units_per_day: float | None, units: int | None,
) -> PlanLine:  # fmt: skip
    allocation = candidate_share / (candidate_share + control_share)

    def total(always_valid: bool) -> float:
        candidates = required_n(
            one.cv, one.minimum_effect, alpha=alpha, power=power, rho2=one.rho2, allocation=allocation,
            always_valid=always_valid,
        )  # fmt: skip
        return float(candidates) / candidate_share

    fixed, always = total(False), total(True)
    most, expected = inflation(fractions, alpha, power)
    found = None
    if units is not None:
        found = float(
            minimum_detectable_effect(
                one.cv, units * candidate_share, alpha=alpha, power=power, rho2=one.rho2, allocation=allocation
            )
        )

    def days(n: float) -> float | None:
        return None if units_per_day is None else n / units_per_day

    sequential = fixed * most
    return PlanLine(
        one, math.ceil(fixed), math.ceil(sequential), math.ceil(fixed * expected), math.ceil(always), days(fixed),
        days(sequential), days(always), found,
    )  # fmt: skip
