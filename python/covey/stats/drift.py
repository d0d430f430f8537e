"""Does the measurement itself favour an arm? The mean effect over splits without any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from covey.stats.special import special

if TYPE_CHECKING:
    from covey.stats.rerandomisation import MetricCheck, RerandomisationReport

CONFIDENCE = 0.95
"""Of each of the two one-sided tests."""
ASSURANCE = 0.999
"""Chance that a measurement without drift is found equivalent at the margin."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The mean relative effect over splits.

    Attributes:
        estimate: as a share of the metric's mean.
        lower, upper: its interval of two one-sided tests at 5 %.
        margin: smallest equivalence margin that the data support.
    """

    estimate: float
    lower: float
    upper: float
    margin: float

    @property
    def equivalent(self) -> bool:
        """Whether the drift is shown to be smaller than the margin, in both directions."""
        return -self.margin < self.lower and self.upper < self.margin


def drift_of(report: RerandomisationReport, check: MetricCheck) -> Drift | None:
    """Drift of a metric, judged by two one-sided tests; None where its mean is 0.

    With S splits and the standard deviation s of their effects (m_c - m_b) / m the standard error is s / sqrt(S). A
    margin below (z_0.95 + z_0.9995) s / sqrt(S) would call honest data drifting in more than one case in a thousand, so
    that one is used: it says how small a drift these data can exclude. Effects are differences over the mean of all
    learners, not ratios of arms, whose mean is above 1 without any drift.

    Source: two one-sided tests, Schuirmann (1987).
    """
    effects = np.asarray(check.effects)
    if not np.isfinite(effects).all():
        return None
    mine = np.asarray(report.candidate_counts, dtype=np.float64)
    # m_b from n m = n_c m_c + n_b m_b and m_c = (1 + e) m_b.
    relative = effects * report.learners / (mine * (1.0 + effects) + report.learners - mine)
    if len(relative) < 2 or not np.isfinite(relative).all():
        return None
    error = float(relative.std(ddof=1)) / np.sqrt(len(relative))
    reach = float(special().ndtri(CONFIDENCE)) * error
    margin = reach + float(special().ndtri((1.0 + ASSURANCE) / 2)) * error
    estimate = float(relative.mean())
    return Drift(estimate, estimate - reach, estimate + reach, margin)
