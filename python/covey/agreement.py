"""How far two partitions of the same learners agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covey.identifiers import LearnerIds

Positions = NDArray[np.int64]


def adjusted_rand_index(labels: NDArray[np.integer], others: NDArray[np.integer]) -> float:
    """The adjusted Rand index (Hubert and Arabie 1985) of two labellings of shape (n,).

    1 for equal partitions, about 0 for unrelated ones; 1 also when both put all learners into one cluster.

    Raises:
        ValueError: for no learners or different lengths.
    """
    if len(labels) != len(others) or not len(labels):
        raise ValueError(f"{len(labels)} and {len(others)} labels; expected the same number, at least one")
    first = np.unique(labels, return_inverse=True)[1]
    second = np.unique(others, return_inverse=True)[1]
    width = int(second.max()) + 1
    cells = np.bincount(first * width + second)
    together = _pairs(cells)
    in_first, in_second = _pairs(np.bincount(first)), _pairs(np.bincount(second))
    all_pairs = len(labels) * (len(labels) - 1) // 2
    if all_pairs == 0:
        return 1.0
    expected = in_first * in_second / all_pairs
    largest = (in_first + in_second) / 2
    return 1.0 if largest == expected else (together - expected) / (largest - expected)


def common_positions(mine: LearnerIds, theirs: LearnerIds) -> tuple[Positions, Positions]:
    """Positions of the ids that both hold, in the same order."""
    if mine.integers is not None and theirs.integers is not None and mine.integers.dtype == theirs.integers.dtype:
        _, first, second = np.intersect1d(mine.integers, theirs.integers, assume_unique=True, return_indices=True)
        return first, second
    position = {text: index for index, text in enumerate(theirs.texts())}
    pairs = [(index, position[text]) for index, text in enumerate(mine.texts()) if text in position]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _pairs(counts: NDArray[np.int64]) -> int:
    return sum(count * (count - 1) // 2 for count in counts.tolist())
