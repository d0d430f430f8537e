"""What a model is worth: ranking, calibration, lift, lead time. No accuracy: foretelling that nobody leaves has it."""

from __future__ import annotations

from dataclasses import dataclass

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
        auc_low: lower limit, 95 %, learners resampled.
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


def auc(left: Bools, score: Floats, weight: Floats | None = None) -> float:
    """Area under the ROC curve, ties counted half (Mann and Whitney 1947); rows may weigh."""
    weight = np.ones(len(left)) if weight is None else weight
    _, place = np.unique(score, return_inverse=True)
    yes = np.bincount(place, weights=weight * left)
    no = np.bincount(place, weights=weight * ~left)
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


def quality(panel: Panel, probability: Floats, threshold: float, resamples: int = 200) -> Quality:
    """How probabilities of the rows of a panel did.

    Raises:
        InputError: the panel has one kind of outcome only.
    """
    panel.check_both_classes("the data to judge by")
    left = panel.churned
    bins = calibration_bins(left, probability)
    low, high = _auc_limits(panel, probability, resamples)
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


def _auc_limits(panel: Panel, probability: Floats, resamples: int) -> tuple[float, float]:
    """Learners are drawn, not rows: the weeks of one learner are alike."""
    _, learner = np.unique(panel.learner, return_inverse=True)
    count = int(learner.max()) + 1
    random = np.random.default_rng(0)
    found = []
    for _ in range(resamples):
        weight = np.bincount(random.integers(0, count, count), minlength=count)[learner].astype(np.float64)
        if (weight * panel.churned).any() and (weight * ~panel.churned).any():
            found.append(auc(panel.churned, probability, weight))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
