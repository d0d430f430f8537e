"""Means and standard deviations whose bits do not depend on the order of the learners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ONE = 2.0**32


def fixed_point(values: NDArray[Any]) -> NDArray[np.int64]:
    """Values in steps of 2^-32, rounded half to even: integers, whose sums know no order."""
    return np.rint(values.astype(np.float64) * _ONE).astype(np.int64)


def group_sums(matrix: NDArray[np.float32], labels: NDArray[np.int32], k: int) -> NDArray[np.int64]:
    """Sums of each row of `matrix` (d, n) per label in steps of 2^-32, shape (k, d): exact, so sums of parts add."""
    totals = np.zeros((k, len(matrix)), dtype=np.int64)
    for trait, values in enumerate(matrix):
        sums = np.zeros(k, dtype=np.int64)
        np.add.at(sums, labels, fixed_point(values))
        totals[:, trait] = sums
    return totals


def means_of(sums: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Means of `group_sums` (k, d) over `counts` (k,), none of which is 0."""
    return sums / counts[:, None] / _ONE


def group_means(matrix: NDArray[np.float32], labels: NDArray[np.int32], k: int) -> NDArray[np.float64]:
    """Mean of each row of `matrix` (d, n) per label, shape (k, d); every label must occur."""
    return means_of(group_sums(matrix, labels, k), np.bincount(labels, minlength=k))


def overall_means(sums: NDArray[np.int64], count: int) -> list[float]:
    """Mean of each trait over all learners from their sums (d,) in steps of 2^-32."""
    return [int(total) / count / _ONE for total in sums]


def squared_deviations(matrix: NDArray[np.float32], means: Sequence[float]) -> NDArray[np.int64]:
    """Sums of the squared distances of each row to its mean in steps of 2^-32, shape (d,); sums of parts add."""
    sums = np.zeros(len(matrix), dtype=np.int64)
    for trait, (values, mean) in enumerate(zip(matrix, means, strict=True)):
        difference = values.astype(np.float64) - mean
        sums[trait] = fixed_point(difference * difference).sum()
    return sums


def z_scores(
    group: NDArray[np.float64], means: Sequence[float], squared: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """z-scores of means (k, d) against all `count` learners, whose means and `squared_deviations` are given."""
    scores = np.zeros_like(group)
    for trait, mean in enumerate(means):
        deviation = np.sqrt(int(squared[trait]) / count / _ONE)
        if deviation > 0:
            scores[:, trait] = (group[:, trait] - mean) / deviation
    return scores


def standardised(means: NDArray[np.float64], matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """z-scores of `means` (k, d) against all learners of `matrix` (d, n).

    With the population standard deviation; 0 for a trait whose deviation is 0.
    """
    count = matrix.shape[1]
    sums = np.array([fixed_point(values).sum() for values in matrix])
    overall = overall_means(sums, count)
    return z_scores(means, overall, squared_deviations(matrix, overall), count)
