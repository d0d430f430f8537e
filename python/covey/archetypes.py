"""The human name of a cohort, by rule from its mean traits (DESIGN section 6)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from covey.parameters import TRAIT_NAMES

_VELOCITY, _AFFINITY, _FREQUENCY, _FEEDBACK, _RETENTION = TRAIT_NAMES

_RULES: dict[str, Mapping[str, float]] = {
    "Fast Learner": {_VELOCITY: 0.8, _FEEDBACK: 0.2},
    "Specialist": {_AFFINITY: 0.7, _FREQUENCY: -0.3},
    "Power User": {_FREQUENCY: 0.6, _VELOCITY: 0.4},
    "Long-term Retainer": {_RETENTION: 0.7, _FREQUENCY: 0.3},
    "Generalist": {_AFFINITY: -0.8, _FREQUENCY: 0.2},
}
# A negative weight is the rule's "(1 - x)": the standardised value of 1 - x is minus that of x.

ARCHETYPES = tuple(_RULES)
"""The names, in the order that settles ties."""


def archetype_scores(standardised_means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score of every archetype for every cohort.

    Args:
        standardised_means: z-scores of the cohorts' mean traits against all learners, shape (k, 5).

    Returns:
        Shape (k, 5), columns in the order of `ARCHETYPES`.
    """
    weights = np.array([[rule.get(trait, 0.0) for trait in TRAIT_NAMES] for rule in _RULES.values()])
    # Term by term, not as a matrix product: BLAS may sum in another order on another machine.
    scores = np.zeros((len(standardised_means), len(_RULES)))
    for trait in range(len(TRAIT_NAMES)):
        scores = scores + standardised_means[:, trait, None] * weights[None, :, trait]
    return scores


def name_cohorts(standardised_means: NDArray[np.float64]) -> tuple[str, ...]:
    """The archetype of every cohort: the highest score; ties go to the name listed first."""
    return tuple(ARCHETYPES[best] for best in np.argmax(archetype_scores(standardised_means), axis=1))
