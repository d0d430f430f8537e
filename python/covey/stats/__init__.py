"""Sequential inference: pure, vectorised functions whose answers stay right however often one looks.

Counts are judged by e-processes: `E >= 0` with expectation at most 1 under the null at every stopping time, so the
chance that `E` *ever* reaches `1 / alpha` is at most `alpha` (Ville's inequality). `E` is kept as `ln E`.
"""

from __future__ import annotations

from covey.stats.bernoulli import bernoulli_interval, bernoulli_level
from covey.stats.means import Heterogeneity, asymptotic_cs, chance_spread_bound, heterogeneity, ratio_delta
from covey.stats.needed import needed_n

__all__ = [
    "Heterogeneity",
    "asymptotic_cs",
    "bernoulli_interval",
    "bernoulli_level",
    "chance_spread_bound",
    "heterogeneity",
    "needed_n",
    "ratio_delta",
]
