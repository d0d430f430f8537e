"""Sequential inference: pure, vectorised functions whose answers stay right however often one looks.

Counts are judged by e-processes: `E >= 0` with expectation at most 1 under the null at every stopping time, so the
chance that `E` *ever* reaches `1 / alpha` is at most `alpha` (Ville's inequality). `E` is kept as `ln E`.

`survival` and `proportions` are for one look at data that are there: curves, the log-rank test, shares with intervals.
"""

from __future__ import annotations

from covey.stats.bernoulli import bernoulli_interval, bernoulli_level
from covey.stats.bernstein import empirical_bernstein_cs
from covey.stats.covariates import Cuped, cuped
from covey.stats.dispersion import design_effect
from covey.stats.levels import LEVEL_MULTIPLES, level_increments
from covey.stats.means import Heterogeneity, asymptotic_cs, chance_spread_bound, heterogeneity, ratio_delta
from covey.stats.multiplicity import e_bh, holm
from covey.stats.needed import needed_n
from covey.stats.power import minimum_detectable_effect, required_n
from covey.stats.proportions import clustered_shares, wilson_interval
from covey.stats.rates import ADVANCE_RATIOS, ROLLBACK_RATIOS, rate_ratio, rate_ratio_increments
from covey.stats.ratio_interval import rate_ratio_interval
from covey.stats.sprt import mixture_sprt
from covey.stats.srm import multinomial_srm
from covey.stats.starts import advance_start_times, over_start_times, start_weights
from covey.stats.survival import LogRank, SurvivalCurve, kaplan_meier, log_rank

__all__ = [
    "ADVANCE_RATIOS",
    "LEVEL_MULTIPLES",
    "ROLLBACK_RATIOS",
    "Cuped",
    "Heterogeneity",
    "LogRank",
    "SurvivalCurve",
    "advance_start_times",
    "asymptotic_cs",
    "bernoulli_interval",
    "bernoulli_level",
    "chance_spread_bound",
    "clustered_shares",
    "cuped",
    "design_effect",
    "e_bh",
    "empirical_bernstein_cs",
    "heterogeneity",
    "holm",
    "kaplan_meier",
    "level_increments",
    "log_rank",
    "minimum_detectable_effect",
    "mixture_sprt",
    "multinomial_srm",
    "needed_n",
    "over_start_times",
    "rate_ratio",
    "rate_ratio_increments",
    "rate_ratio_interval",
    "ratio_delta",
    "required_n",
    "start_weights",
    "wilson_interval",
]
