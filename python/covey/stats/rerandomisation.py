"""A/A on real learners: many random splits without any effect, and what a test makes of them.

A test that is right rejects alpha of such splits and gives p values that are uniform; data with heavy tails, repeated
learners or broken metrics show here, before an experiment is spent on them. The splits are `covey.resampling`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covey.stats.checked import probability, whole_number
from covey.stats.power import minimum_detectable_effect
from covey.stats.special import Floats, special
from covey.stats.srm import multinomial_srm

if TYPE_CHECKING:
    from covey._core import Cancellation
    from covey.moments import Metrics

BAND_LEVEL = 0.99
"""Chance that the rejections of a right test lie in the band."""
SRM_ALPHA = 0.001
_ROUNDING = 1e-9


class Welch(NamedTuple):
    """Two means compared.

    Attributes:
        difference: candidate's mean - baseline's.
        z: the difference in standard errors; 0 where there is neither.
        p: two-sided, by Student's t with Welch's degrees of freedom.
    """

    difference: Floats
    z: Floats
    p: Floats


@dataclass(frozen=True, slots=True)
class MetricCheck:
    """What the splits say of one metric.

    Attributes:
        name: of the metric.
        effects: candidate's mean / baseline's - 1 by split; NaN where the mean of the baseline or of all is 0.
        z: by split.
        p: by split.
        uniformity_p: of the Kolmogorov-Smirnov test that `p` is uniform.
        rejections: splits with p < alpha.
        band: smallest and largest number of rejections that a right test gives with chance 0.99.
        detectable_effect: relative, found with the power asked for at alpha; NaN where the mean is 0.
        detection_rate: share of splits that find the injected effect, with its sign.
    """

    name: str
    effects: Floats
    z: Floats
    p: Floats
    uniformity_p: float
    rejections: int
    band: tuple[int, int]
    detectable_effect: float
    detection_rate: float

    @property
    def within_band(self) -> bool:
        """Whether the rejections are as many as a right test gives."""
        return self.band[0] <= self.rejections <= self.band[1]


@dataclass(frozen=True, slots=True)
class RerandomisationReport:
    """What the splits say.

    Attributes:
        learners: that were split.
        splits: how many times.
        share_basis_points: the candidate's share.
        alpha: of each test.
        injected_effect: relative, on the candidate's outcomes.
        candidate_counts: learners of the candidate by split.
        srm_rejections: splits whose counts an SRM test at 0.001 refuses.
        metrics: one entry each.
    """

    learners: int
    splits: int
    share_basis_points: int
    alpha: float
    injected_effect: float
    candidate_counts: NDArray[np.int64]
    srm_rejections: int
    metrics: tuple[MetricCheck, ...]


def welch(mean_c: Floats, var_c: Floats, n_c: Floats, mean_b: Floats, var_b: Floats, n_b: Floats) -> Welch:
    """Welch's test from means, sample variances and numbers of observations (2 or more), of any one shape.

    t = (m_c - m_b) / sqrt(v_c/n_c + v_b/n_b), with (v_c/n_c + v_b/n_b)² / ((v_c/n_c)²/(n_c-1) + (v_b/n_b)²/(n_b-1))
    degrees of freedom. Without any variance p is 1 for equal means and 0 for others.

    Source: Welch (1947), "The generalization of 'Student's' problem when several different population variances are
        involved".
    """
    part_c, part_b = np.asarray(var_c / n_c), np.asarray(var_b / n_b)
    variance = part_c + part_b
    varies = variance > 0
    difference = np.asarray(mean_c - mean_b, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(
            varies, difference / np.sqrt(variance), np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
        )
        freedom = np.where(varies, variance**2 / (part_c**2 / (n_c - 1) + part_b**2 / (n_b - 1)), 1.0)
    return Welch(difference, z, np.asarray(2.0 * special().stdtr(freedom, -np.abs(z)), dtype=np.float64))


def uniformity_p(p_values: Floats) -> float:
    """P of the two-sided Kolmogorov-Smirnov test against the uniform distribution, by Stephens' approximation.

    Source: Stephens (1970), "Use of the Kolmogorov-Smirnov, Cramer-von Mises and related statistics".

    Raises:
        ValueError: no p value, or one outside [0, 1].
    """
    ordered = np.sort(np.asarray(p_values, dtype=np.float64))
    count = len(ordered)
    if count == 0 or not ((ordered >= 0) & (ordered <= 1)).all():
        raise ValueError("p_values must be one or more numbers from 0 to 1")
    steps = np.arange(count + 1) / count
    distance = max(float((steps[1:] - ordered).max()), float((ordered - steps[:-1]).max()))
    root = np.sqrt(count)
    return float(special().kolmogorov((root + 0.12 + 0.11 / root) * distance))


def rejection_band(splits: int, alpha: float, level: float = BAND_LEVEL) -> tuple[int, int]:
    """Smallest and largest count that Binomial(splits, alpha) gives with at least chance `level`, tails halved.

    Raises:
        ValueError: splits not above 0, alpha or level outside (0, 1).
    """
    tail = (1.0 - probability(level, "level")) / 2
    cumulative = special().bdtr(np.arange(whole_number(splits, "splits") + 1), splits, probability(alpha, "alpha"))
    return int(np.searchsorted(cumulative, tail)), int(np.searchsorted(cumulative, 1.0 - tail))


def rerandomisation_check(
    metrics: Metrics,
    id_hashes: NDArray[np.uint64],
    *,
    seed: int,
    splits: int = 1000,
    share_basis_points: int = 5000,
    alpha: float = 0.05,
    power: float = 0.8,
    injected_effect: float = 0.02,
    threads: int = 1,
    cancellation: Cancellation | None = None,
) -> RerandomisationReport:
    """Split the learners at random many times, test every split, and judge the test.

    Args:
        metrics: outcomes by name, one number per learner, shape (n,), float32 or float64; 1 ... 8 of them.
        id_hashes: shape (n,), of the learners' ids; each learner once.
        seed: of the splits, 0 ... 2^48 - 1.
        splits: how many.
        share_basis_points: the candidate's share, 1 ... 9999.
        alpha: of each test, two-sided.
        power: of `detectable_effect`.
        injected_effect: the candidate's outcomes are taken times 1 + this for `detection_rate`.
        threads: at most this many.
        cancellation: ends the call early with `_core.Cancelled`.

    Raises:
        ValueError: values that are not finite (names metric and row), a metric that never varies, arms below two
            learners, arguments out of range.

    Splits of one set of learners are independent of each other, so their p values are, given the data. The p values are
    uniform up to the quality of the normal approximation at this n.
    """
    from covey.moments import grouped_moments
    from covey.resampling import rerandomise

    probability(alpha, "alpha")
    share = probability(share_basis_points / 10_000, "share_basis_points / 10000")
    totals = grouped_moments(metrics, products="none", threads=threads, cancellation=cancellation)
    learners, means = int(totals.count[0]), totals.mean[0]
    # Centred: the sums of squares of a metric far from 0 would lose its variance's digits.
    centred = {
        name: np.asarray(values, dtype=np.float64) - mean
        for (name, values), mean in zip(metrics.items(), means, strict=True)
    }
    candidate, baseline = rerandomise(
        centred, id_hashes, seed=seed, replicates=splits, share_basis_points=share_basis_points, threads=threads,
        cancellation=cancellation,
    )  # fmt: skip
    n_c, n_b = candidate.count[0], baseline.count[0]
    if min(n_c.min(), n_b.min()) < 2:
        raise ValueError(f"{learners} learners at {share_basis_points} basis points leave an arm below two learners")
    spread = (candidate.product[0] + baseline.product[0])[0] / max(learners - 1, 1)
    # A mean that is the rounding of a sum around 0 is 0: nothing is relative to it.
    means = np.where(np.abs(means) > _ROUNDING * np.sqrt(np.maximum(spread, 0.0)), means, 0.0)
    checks = []
    for m, name in enumerate(metrics):
        if spread[m] <= 0:
            raise ValueError(f"metric '{name}' is the same for all learners: there is nothing to test")
        arms = [
            (means[m] + arm.mean[0, :, m], arm.variance[0, :, m], arm.count[0].astype(np.float64))
            for arm in (candidate, baseline)
        ]
        (mean_c, var_c, size_c), (mean_b, var_b, size_b) = arms
        null = welch(mean_c, var_c, size_c, mean_b, var_b, size_b)
        factor = 1.0 + injected_effect
        moved = welch(mean_c * factor, var_c * factor**2, size_c, mean_b, var_b, size_b)
        right_way = np.sign(moved.difference) == np.sign(injected_effect * means[m])
        with np.errstate(divide="ignore", invalid="ignore"):
            effects = np.where((mean_b != 0) & (means[m] != 0), mean_c / mean_b - 1, np.nan)
        checks.append(
            MetricCheck(
                name=name,
                effects=effects,
                z=null.z,
                p=null.p,
                uniformity_p=uniformity_p(null.p),
                rejections=int((null.p < alpha).sum()),
                band=rejection_band(splits, alpha),
                detectable_effect=_detectable(float(means[m]), float(spread[m]), learners, share, alpha, power),
                detection_rate=float(((moved.p < alpha) & right_way).mean()),
            )
        )
    log_e = multinomial_srm(np.stack([n_c, n_b], axis=-1), [share, 1 - share])
    return RerandomisationReport(
        learners=learners,
        splits=splits,
        share_basis_points=share_basis_points,
        alpha=alpha,
        injected_effect=injected_effect,
        candidate_counts=n_c,
        srm_rejections=int((log_e >= -np.log(SRM_ALPHA)).sum()),
        metrics=tuple(checks),
    )


def _detectable(mean: float, variance: float, learners: int, share: float, alpha: float, power: float) -> float:
    if mean == 0:
        return float("nan")
    cv = np.sqrt(variance) / abs(mean)
    return float(minimum_detectable_effect(cv, learners * share, alpha=alpha, power=power, allocation=share))
