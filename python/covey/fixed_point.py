"""Means and standard deviations whose bits do not depend on the order of the learners."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ONE = 2.0**32


def fixed_point(values: NDArray[Any]) -> NDArray[np.int64]:
    """Values in steps of 2^-32, rounded half to even: integers, whose sums know no order."""
    return np.rint(values.astype(np.float64) * _ONE).astype(np.int64)


def group_means(matrix: NDArray[np.float32], labels: NDArray[np.int32], k: int) -> NDArray[np.float64]:
    """Mean of each row of `matrix` (d, n) per label, shape (k, d); every label must occur."""
    counts = np.bincount(labels, minlength=k)
    means = np.empty((k, len(matrix)))
    for trait, values in enumerate(matrix):
        sums = np.zeros(k, dtype=np.int64)
        np.add.at(sums, labels, fixed_point(values))
        means[:, trait] = sums / counts / _ONE
    return means


def standardised(means: NDArray[np.float64], matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """z-scores of `means` (k, d) against all learners of `matrix` (d, n).

    With the population standard deviation; 0 for a trait whose deviation is 0.
    """
    scores = np.zeros_like(means)
    for trait, values in enumerate(matrix):
        mean = int(fixed_point(values).sum()) / len(values) / _ONE
        difference = values.astype(np.float64) - mean
        deviation = np.sqrt(int(fixed_point(difference * difference).sum()) / len(values) / _ONE)
        if deviation > 0:
            scores[:, trait] = (means[:, trait] - mean) / deviation
    return scores
