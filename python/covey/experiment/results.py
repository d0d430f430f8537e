"""What an analysis says, as plain values; `data.py` has it as dictionaries and the server as messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from covey.experiment.design import DecideBy, Outcome
from covey.experiment.split import Split


class Verdict(StrEnum):
    """What may be said of one outcome of one variant.

    IMPROVED and HARMED: a difference in the direction that is wanted, or not. ALIKE: within the margin.
    UNDECIDED: not decidable yet. INVALID: the split is not the planned one. NOT_JUDGED: there is nothing to compare.
    """

    improved = "IMPROVED"
    harmed = "HARMED"
    alike = "ALIKE"
    undecided = "UNDECIDED"
    invalid = "INVALID"
    not_judged = "NOT_JUDGED"


@dataclass(frozen=True, slots=True)
class Reading:
    """One of the three readings of an effect.

    Attributes:
        kind: which.
        low, high: interval of the effect at 1 - alpha; None where there is none.
        relative_low, relative_high: of the relative effect.
        log_p: ln of the p value, or of its always-valid counterpart; None for the group-sequential reading.
        boundary: |z| that the group-sequential reading needs now; None for the others and where alpha is not spent yet.
        excludes_zero: whether the interval leaves "no difference" out.
        is_valid: whether it may be used now.
        may_claim: what it may claim and when it may not, in words.
    """

    kind: DecideBy
    low: float | None
    high: float | None
    relative_low: float | None
    relative_high: float | None
    log_p: float | None
    boundary: float | None
    excludes_zero: bool
    is_valid: bool
    may_claim: str


@dataclass(frozen=True, slots=True)
class BusinessLine:
    """An effect in the unit of the business, with the deciding interval carried through.

    Attributes:
        what: such as "EUR per learner" or "learners of 100,000".
        estimate, low, high: in that unit; the ends are None where there is no interval.
    """

    what: str
    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What one variant came to.

    Attributes:
        variant: its name.
        units: with an observation of the outcome.
        value: mean, proportion, ratio, quantile, formula, or share free of the event; None where there is none.
        standard_error: of the value.
        events: of a time to an event.
        median: time by which half had the event; None where that is not reached.
    """

    variant: str
    units: int
    value: float | None
    standard_error: float | None
    events: int | None = None
    median: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One variant against the control, in one outcome.

    Attributes:
        outcome: which.
        candidate, control: the arms.
        effect: difference of the values (adjusted by the covariate), or a hazard ratio.
        standard_error: of the difference, or of ln of the hazard ratio.
        relative_effect: candidate / control - 1; None where the control's value is 0.
        variance_explained: share of the variance that the covariate took away.
        readings: by kind, all three.
        adjusted_log_p: ln of Holm's p over all comparisons; None where there is nothing to test.
        log_e: ln E of the always-valid reading.
        survives: whether the difference stands after the correction for all comparisons, by the deciding reading.
        verdict: what may be said.
        why: in words, with the numbers.
        needed_units: in both arms together, for a decision if the effect stays as it is; None: not at this effect.
        needed_for_minimum: units for the outcome's minimum effect at 80 % power; None where none is named.
        business: the translation; empty where there is none.
    """

    outcome: Outcome
    candidate: ArmResult
    control: ArmResult
    effect: float | None
    standard_error: float | None
    relative_effect: float | None
    variance_explained: float
    readings: tuple[Reading, ...]
    adjusted_log_p: float | None
    log_e: float | None
    survives: bool
    verdict: Verdict
    why: str
    needed_units: float | None
    needed_for_minimum: float | None
    business: tuple[BusinessLine, ...] = ()

    @property
    def is_hazard_ratio(self) -> bool:
        """Whether the effect is a ratio whose neutral value is 1."""
        return self.outcome.is_of_hazards

    def reading(self, kind: DecideBy) -> Reading:
        """The reading of a kind."""
        return next(reading for reading in self.readings if reading.kind is kind)


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """The analysis of an experiment.

    Attributes:
        units: in all.
        split: by variant, against the plan.
        comparisons: every outcome of every variant but the control.
        decide_by: the deciding reading.
        alpha: of every reading.
        warnings: what makes the data doubtful, in words.
        headline: the whole in a sentence or two.
    """

    units: int
    split: Split
    comparisons: tuple[Comparison, ...]
    decide_by: DecideBy
    alpha: float
    warnings: tuple[str, ...]
    headline: str
