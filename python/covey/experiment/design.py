"""What is asked of an experiment: its outcomes, how it was planned to run, and how it is decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from covey.errors import InputError


class OutcomeKind(StrEnum):
    """What is compared between the variants."""

    mean = "mean"
    proportion = "proportion"
    ratio = "ratio"
    quantile = "quantile"
    time_to_event = "time_to_event"
    formula = "formula"


class DecideBy(StrEnum):
    """Which of the three readings decides; the others are shown beside it."""

    fixed = "fixed"
    group_sequential = "group_sequential"
    always_valid = "always_valid"


class Missing(StrEnum):
    """What a unit without a value is: an error, a zero, or no observation of that outcome."""

    refuse = "refuse"
    zero = "zero"
    drop = "drop"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome of the units.

    Attributes:
        name: of the outcome.
        kind: what is compared.
        column: of its values; the numerator of a ratio; the duration of a time to an event; of a formula the arithmetic
            expression in columns, each standing for its mean over the units of an arm.
        denominator: of a ratio, the column whose sum divides.
        event: of a time to an event, the column that says whether it came (else the unit was censored then).
        yes_values: texts that count as "it happened", for a proportion or an event given as text.
        quantile: of a quantile, in (0, 1).
        horizon: of a time to an event: compare the shares that are free of it at this time; None: compare hazards.
        covariate: column known before the exposure, for CUPED (mean and proportion).
        higher_is_better: else lower is; a time to an event counts as an event that one wants late or never.
        margin: relative effect that would not matter: within it the variants count as alike.
        minimum_effect: relative effect that the experiment is to find; for "needs N".
        worth: money for one unit of the outcome, for the translation; None: it is not about money.
        currency: of `worth`.
        missing: what a unit without a value is.
    """

    name: str
    kind: OutcomeKind
    column: str
    denominator: str = ""
    event: str = ""
    yes_values: tuple[str, ...] = ()
    quantile: float = 0.5
    horizon: float | None = None
    covariate: str = ""
    higher_is_better: bool = True
    margin: float | None = None
    minimum_effect: float | None = None
    worth: float | None = None
    currency: str = ""
    missing: Missing = Missing.refuse

    def __post_init__(self) -> None:
        def refuse(problem: str, expected: str) -> None:
            raise InputError(f"outcome '{self.name}': {problem}", expected=expected)

        if not self.name or not self.column:
            refuse("has no name or no column", "both")
        if self.kind is OutcomeKind.ratio and not self.denominator:
            refuse("is a ratio without a denominator", "numerator / denominator")
        if self.kind is OutcomeKind.time_to_event and not self.event:
            refuse("is a time to an event without the column that says whether it came", "duration and event")
        if not 0.0 < self.quantile < 1.0:
            refuse(f"quantile is {self.quantile!r}", "a number in (0, 1)")
        for name in ("horizon", "margin", "minimum_effect"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                refuse(f"{name} is {value!r}", "a finite number above 0")
        if self.worth is not None and not math.isfinite(self.worth):
            refuse(f"worth is {self.worth!r}", "a finite number")
        if self.covariate and self.kind not in {OutcomeKind.mean, OutcomeKind.proportion}:
            refuse(f"a {self.kind.value} has no adjustment by a covariate", "a mean or a proportion")

    @property
    def is_of_hazards(self) -> bool:
        """Whether the effect is a ratio of hazards, whose good direction is down."""
        return self.kind is OutcomeKind.time_to_event and self.horizon is None


@dataclass(frozen=True, slots=True)
class Segment:
    """A column that parts the units, as known before their exposure.

    Attributes:
        column: of the segment.
        cuts: inner edges where the column is a number; a value on an edge belongs above it.
        quantiles: number of equally large parts of a numeric column, all variants taken together; 0: none.
    """

    column: str
    cuts: tuple[float, ...] = ()
    quantiles: int = 0

    def __post_init__(self) -> None:
        if any(not b > a for a, b in zip(self.cuts, self.cuts[1:], strict=False)):
            raise InputError(f"segment '{self.column}': cuts do not increase", expected="such as 0,12,24")
        if self.quantiles == 1 or self.quantiles < 0 or self.quantiles > 100:
            raise InputError(f"segment '{self.column}': {self.quantiles} parts", expected="2 to 100")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns that say who a unit is and what it met.

    Attributes:
        unit: one row per unit.
        variant: which one the unit was given.
        exposed_at: when; "" where nobody knows.
        outcome_at: when the outcomes were taken; none may be before the exposure.
        known_at: when the segments and covariates were taken; none may be after the exposure.
    """

    unit: str = "unit"
    variant: str = "variant"
    exposed_at: str = ""
    outcome_at: str = ""
    known_at: str = ""


@dataclass(frozen=True, slots=True)
class Design:
    """How an experiment was planned, and what is asked of it.

    Attributes:
        outcomes: all that are looked at: leaving some out after seeing them breaks the correction for many.
        control: variant that the others are compared with; "": the only one called control or baseline, else the first.
        planned_shares: share of the units by variant; empty: equal ones.
        alpha: chance of a false call for each reading, in (0, 0.5).
        planned_units: of all variants together, at the planned end; None: nobody planned one.
        earlier_looks: units at which the data were looked at before, increasing.
        decide_by: which reading decides.
        population: learners to whom the translation into business applies.
        segments: columns for the deep dive.
        smallest_segment: units that an arm of a segment needs to be judged.
        columns: names of the others.
        seed: of the bootstrap.
        threads: at most so many.
    """

    outcomes: tuple[Outcome, ...]
    control: str = ""
    planned_shares: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 0.05
    planned_units: int | None = None
    earlier_looks: tuple[int, ...] = ()
    decide_by: DecideBy = DecideBy.always_valid
    population: int = 100_000
    segments: tuple[Segment, ...] = ()
    smallest_segment: int = 100
    columns: Columns = field(default_factory=Columns)
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        names = [outcome.name for outcome in self.outcomes]
        if not names:
            raise InputError("no outcome is given", expected="at least one")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"two outcomes are called '{twice[0]}'", expected="a name of its own for each")
        if not 0.0 < self.alpha < 0.5:
            raise InputError(f"alpha is {self.alpha!r}", expected="a number above 0 and below 0.5")
        if self.planned_units is not None and self.planned_units < 2:
            raise InputError(f"planned units are {self.planned_units}", expected="2 or more")
        if any(not math.isfinite(share) or share <= 0 for share in self.planned_shares.values()):
            raise InputError("a planned share is not above 0", expected="shares above 0 of every variant")
        if self.decide_by not in set(DecideBy):
            raise InputError(f"decide_by is {self.decide_by!r}", expected=", ".join(DecideBy))
        object.__setattr__(self, "decide_by", DecideBy(self.decide_by))
        looks = self.earlier_looks
        if any(b <= a for a, b in zip((0, *looks), looks, strict=False)):
            raise InputError("earlier looks do not increase", expected="numbers of units, such as 1000,2000")
        if looks and self.planned_units is None:
            raise InputError("earlier looks without planned units", expected="both, or neither")
        if self.decide_by is DecideBy.group_sequential and self.planned_units is None:
            raise InputError(
                "a group-sequential decision needs the planned number of units",
                remedy="give it, or decide by always_valid",
            )
        if self.smallest_segment < 2:
            raise InputError(f"the smallest segment has {self.smallest_segment} units", expected="2 or more")
        columns = [segment.column for segment in self.segments]
        if len(set(columns)) < len(columns):
            raise InputError("a segment is named twice", expected="each column once")
        if self.population < 1:
            raise InputError(f"the population is {self.population}", expected="1 or more")
