"""What the deep dive says, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from covey.experiment.design import Outcome
from covey.experiment.split import Split
from covey.experiment.spread import Spread


class SegmentVerdict(StrEnum):
    """Worse or better, among few false calls; neither is shown; or not judged."""

    harmed = "HARMED"
    improved = "IMPROVED"
    unclear = "UNCLEAR"
    too_small = "TOO_SMALL"


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One segment.

    Attributes:
        name: of the segment.
        candidate_units, control_units: in it.
        control_value: what the control comes to in it; None where nothing can be told.
        effect, low, high: fixed-horizon; of hazards the ratio. None where nothing can be compared.
        log_p: of that test.
        shrunken, shrunken_low, shrunken_high: empirical-Bayes; None below four segments.
        verdict: with error control over all segments of the analysis.
        why: a few words where it is not judged.
    """

    name: str
    candidate_units: int
    control_units: int
    control_value: float | None
    effect: float | None
    low: float | None
    high: float | None
    log_p: float | None
    shrunken: float | None
    shrunken_low: float | None
    shrunken_high: float | None
    verdict: SegmentVerdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """One outcome of one variant by one segmentation.

    Attributes:
        column: of the segmentation.
        outcome: which.
        variant: the candidate.
        rows: in the order of the segments' names.
        spread: how effects differ (of hazards: their logarithms); None below two judged segments.
        adjusted_log_p: of the spread, by Holm over all tables.
        overall: effect in all units.
        within: mean of the segments' effects, each weighed by its units: what is left of `overall` without composition.
        is_reversed: whether the two have opposite signs and the difference is no chance: Simpson's paradox.
    """

    column: str
    outcome: Outcome
    variant: str
    rows: tuple[SegmentRow, ...]
    spread: Spread | None
    adjusted_log_p: float | None
    overall: float | None
    within: float | None
    is_reversed: bool


@dataclass(frozen=True, slots=True)
class Interaction:
    """Whether the effects of two segmentations add up.

    Attributes:
        columns: of both.
        outcome: name.
        variant: the candidate.
        q: what is left after both.
        degrees: of freedom.
        adjusted_log_p: by Holm over all interactions.
    """

    columns: tuple[str, str]
    outcome: str
    variant: str
    q: float
    degrees: int
    adjusted_log_p: float


@dataclass(frozen=True, slots=True)
class Balance:
    """Whether a segmentation was fixed before the exposure, as far as the data tell: its parts split like the whole.

    Attributes:
        column: of the segmentation.
        log_p: ln p of "segment and variant are independent".
        is_moved: whether they are not, at one in a thousand.
    """

    column: str
    log_p: float
    is_moved: bool


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do.

    Attributes:
        text: in words.
        sureness: how sure it is, in words.
    """

    text: str
    sureness: str


@dataclass(frozen=True, slots=True)
class SegmentsResult:
    """The deep dive.

    Attributes:
        units: in all.
        split: of all units, against the plan.
        balances: one per segmentation.
        tables: by segmentation, outcome, variant.
        interactions: of pairs of segmentations.
        recommendations: in the order of urgency.
    """

    units: int
    split: Split
    balances: tuple[Balance, ...]
    tables: tuple[SegmentTable, ...]
    interactions: tuple[Interaction, ...]
    recommendations: tuple[Recommendation, ...]
