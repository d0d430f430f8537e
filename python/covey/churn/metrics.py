"""What a model is worth: ranking, calibration, lift, lead time. No accuracy: foretelling that nobody leaves has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from covey.churn.definition import DAY_US
from covey.churn.features import Floats
from covey.churn.panel import Panel

Bools = NDArray[np.bool_]
_BINS = 10


@dataclass(frozen=True, slots=True)
class LeadTime:
    """When learners who left for good were first flagged, against their last event.

    Attributes:
        left_count: learners whose silence after the last event was seen to last the whole horizon.
        early_share: of them, flagged before their last event.
        late_share: flagged only in the silence after it.
        median_days: from the first flag to the last event, over those flagged; negative after it; NaN for nobody.
        early_median_days: the same over those flagged before.
        false_share: of the learners who stayed, flagged at some instant.
    """

    left_count: int
    early_share: float
    late_share: float
    median_days: float
    early_median_days: float
    false_share: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How scores did on rows with a known outcome.

    Attributes:
        rows: learners at instants.
        learner_count: distinct learners.
        base_rate: share of the rows that left.
        auc: area under the ROC curve: chance that a row that left scores above one that stayed.
        auc_low: lower limit, 95 %, see `auc_limits`.
        auc_high: upper limit.
        average_precision: mean of the precision over the rows that left.
        top_decile_lift: base rate of the tenth with the highest scores over that of all.
        calibration_error: mean distance of forecast and frequency over ten bins of equal numbers.
        mean_probability: mean forecast; the base rate would be right.
        bins: (mean forecast, frequency, rows), ascending.
        lead_time: of flags at the model's threshold.
    """

    rows: int
    learner_count: int
    base_rate: float
    auc: float
    auc_low: float
    auc_high: float
    average_precision: float
    top_decile_lift: float
    calibration_error: float
    mean_probability: float
    bins: tuple[tuple[float, float, int], ...]
    lead_time: LeadTime


def auc(left: Bools, score: Floats) -> float:
    """Area under the ROC curve, ties counted half (Mann and Whitney 1947)."""
    _, place = np.unique(score, return_inverse=True)
    yes, no = np.bincount(place, left), np.bincount(place, ~left)
    below = np.cumsum(no) - 0.5 * no
    return float((yes * below).sum() / (yes.sum() * no.sum()))


def average_precision(left: Bools, score: Floats) -> float:
    """Sum over the scores, falling, of the gain in recall times the precision there; equal scores are one step."""
    values, place = np.unique(-score, return_inverse=True)
    hits = np.cumsum(np.bincount(place, weights=left, minlength=len(values)))
    rows = np.cumsum(np.bincount(place, minlength=len(values)))
    return float((np.diff(hits, prepend=0.0) * hits / rows).sum() / hits[-1])


def top_lift(left: Bools, score: Floats, share: float = 0.1) -> float:
    """Frequency among the highest scores over that of all; rows that tie at the edge count in proportion."""
    count = max(1, round(share * len(left)))
    edge = np.partition(score, len(score) - count)[len(score) - count]
    above, tied = score > edge, score == edge
    hits = left[above].sum() + (count - above.sum()) * left[tied].mean()
    return float(hits / count / left.mean())


def calibration_bins(left: Bools, probability: Floats) -> tuple[tuple[float, float, int], ...]:
    """Mean forecast, frequency and rows of ten bins of equal numbers."""
    order = np.argsort(probability, kind="stable")
    return tuple(
        (float(probability[own].mean()), float(left[own].mean()), len(own))
        for own in np.array_split(order, _BINS)
        if len(own)
    )


def quality(panel: Panel, probability: Floats, threshold: float) -> Quality:
    """How probabilities of the rows of a panel did.

    Raises:
        InputError: the panel has one kind of outcome only.
    """
    panel.check_both_classes("the data to judge by")
    left = panel.churned
    bins = calibration_bins(left, probability)
    low, high = auc_limits(left, probability, panel.learner)
    return Quality(
        rows=len(panel),
        learner_count=len(np.unique(panel.learner)),
        base_rate=float(left.mean()),
        auc=auc(left, probability),
        auc_low=low,
        auc_high=high,
        average_precision=average_precision(left, probability),
        top_decile_lift=top_lift(left, probability),
        calibration_error=sum(count * abs(said - was) for said, was, count in bins) / len(panel),
        mean_probability=float(probability.mean()),
        bins=bins,
        lead_time=lead_time(panel, probability >= threshold),
    )


def lead_time(panel: Panel, flagged: Bools) -> LeadTime:
    """When learners were first flagged; see `LeadTime`."""
    count = len(panel.learner_ids)
    never = np.iinfo(np.int64).max
    first = np.full(count, never)
    np.minimum.at(first, panel.learner[flagged], panel.as_of_us[flagged])
    asked = np.zeros(count, dtype=bool)
    asked[panel.learner] = True
    left = asked & (panel.last_us + panel.definition.horizon_us <= panel.observed_until_us)
    if panel.definition.by_outcome:
        left = np.zeros(count, dtype=bool)
        left[panel.learner[panel.churned]] = True
    stayed = asked & ~left
    found = left & (first != never)
    days = (panel.last_us[found] - first[found]) / DAY_US
    early = days > 0
    return LeadTime(
        left_count=int(left.sum()),
        early_share=_share(int(early.sum()), int(left.sum())),
        late_share=_share(int((~early).sum()), int(left.sum())),
        median_days=float(np.median(days)) if len(days) else float("nan"),
        early_median_days=float(np.median(days[early])) if early.any() else float("nan"),
        false_share=_share(int((stayed & (first != never)).sum()), int(stayed.sum())),
    )


def auc_limits(left: Bools, score: Floats, learner: NDArray[np.int64], confidence: float = 0.95) -> tuple[float, float]:
    """Limits of the area under the ROC curve that allow for the rows of one learner being alike.

    Each learner's part in the area, summed over its rows: Obuchowski, "Nonparametric analysis of clustered ROC curve
    data", *Biometrics* 53 (1997); on the logit, which keeps limits between 0 and 1 and covers better in small samples.

    Args:
        left: bool, shape (rows,); of both kinds.
        score: float64, shape (rows,).
        learner: int64, shape (rows,): whose row it is.
        confidence: of the limits.

    Returns:
        (0, 1) for a single learner, whose rows say nothing of others.
    """
    _, owner = np.unique(learner, return_inverse=True)
    count = int(owner.max()) + 1
    if count < 2:
        return 0.0, 1.0
    _, place = np.unique(score, return_inverse=True)
    yes, no = np.bincount(place, left), np.bincount(place, ~left)
    # Of each row: the share of rows of the other kind that it is on the right side of, ties half.
    stayed_below = (np.cumsum(no) - 0.5 * no) / no.sum()
    left_above = (yes.sum() - np.cumsum(yes) + 0.5 * yes) / yes.sum()
    right = np.where(left, stayed_below[place], left_above[place])
    area = float(right[left].mean())
    if area in (0.0, 1.0):
        return area, area
    part = np.bincount(owner, (right - area) / np.where(left, yes.sum(), no.sum()))
    error = math.sqrt(count / (count - 1) * float((part**2).sum()))
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error / (area * (1 - area))
    logit = math.log(area / (1 - area))
    low, high = (1 / (1 + math.exp(-end)) for end in (logit - half, logit + half))
    return low, high


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
