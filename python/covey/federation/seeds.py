"""Centroids to begin with, from means and deviations alone: no learner is drawn, as k-means++ would."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = 2**64 - 1
_HALF_WIDTH = 3.0**0.5
"""Of a uniform distribution of deviation 1."""


def scattered(
    means: NDArray[np.float64], deviations: NDArray[np.float64], k: int, seed: int, attempt: int
) -> NDArray[np.float64]:
    """K points drawn with these means and deviations, uniformly and each trait for itself, within [0, 1].

    Nothing but additions, products and comparisons of float64: the same bits on every machine.

    Args:
        means: of the traits, shape (d,).
        deviations: their standard deviations, shape (d,).
        k: points.
        seed: of every choice.
        attempt: which of several draws.

    Returns:
        shape (k, d)
    """
    points = np.empty((k, len(means)))
    for index in np.ndindex(points.shape):
        word = _mixed(seed, attempt, *index)
        uniform = (word >> 11) * 2.0**-52 - 1.0
        points[index] = means[index[1]] + _HALF_WIDTH * deviations[index[1]] * uniform
    return np.clip(points, 0.0, 1.0)


def _mixed(*numbers: int) -> int:
    """SplitMix64 (Steele, Lea and Flood, 2014) over some numbers."""
    state = 0
    for number in numbers:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state
