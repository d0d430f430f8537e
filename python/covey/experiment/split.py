"""Are the units split as planned? Asked before anything else: where they are not, every comparison is worthless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from covey.experiment.chances import log_p_chi2, p_words
from covey.stats import multinomial_srm

SRM_ALPHA = 0.001


@dataclass(frozen=True, slots=True)
class Split:
    """The units by variant against the plan.

    Attributes:
        variants: names.
        counts: units of each.
        planned: share of each.
        log_p: ln p of the chi^2 test, for one look.
        log_e: ln E of `covey.stats.multinomial_srm`, for any number of looks.
        is_mismatch: whether either is beyond one in a thousand.
    """

    variants: tuple[str, ...]
    counts: tuple[int, ...]
    planned: tuple[float, ...]
    log_p: float
    log_e: float
    is_mismatch: bool

    @property
    def words(self) -> str:
        """What it says, with its counts."""
        total = sum(self.counts)
        rows = zip(self.variants, self.counts, self.planned, strict=True)
        parts = [f"{name} {count:,} ({count / total:.2%}, planned {share:.4g})" for name, count, share in rows]
        told = f"{'; '.join(parts)}: p = {p_words(self.log_p)}"
        if not self.is_mismatch:
            return told
        return (
            f"{told}. The split is not the planned one, so nothing below can be believed: look for units that are "
            "lost, counted twice or sent elsewhere in one variant only"
        )


def check_split(variants: Sequence[str], counts: Sequence[int], planned_shares: Mapping[str, float]) -> Split:
    """Test the counts against the planned shares (equal ones where none are given).

    Sources: Fabijan et al. (2019), "Diagnosing sample ratio mismatch in online controlled experiments"; Pearson's chi^2
    with variants - 1 degrees of freedom.
    """
    shares = np.array([planned_shares.get(name, 1.0) for name in variants], dtype=np.float64)
    shares = shares / shares.sum()
    observed = np.asarray(counts, dtype=np.float64)
    expected = shares * observed.sum()
    chi2 = float(((observed - expected) ** 2 / expected).sum())
    log_p = float(log_p_chi2(chi2, len(observed) - 1))
    log_e = float(multinomial_srm(observed, shares))
    bound = -np.log(SRM_ALPHA)
    return Split(
        tuple(variants), tuple(int(count) for count in counts), tuple(float(share) for share in shares), log_p, log_e,
        bool(-log_p > bound or log_e > bound),
    )  # fmt: skip
