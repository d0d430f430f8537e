"""Points to cluster, for the tests of the core's cohort functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covey import _core

Floats = NDArray[np.float32]
Hashes = NDArray[np.uint64]
Labels = NDArray[np.int32]
TRAIT_WEIGHTS = np.sqrt(np.array([0.30, 0.25, 0.15, 0.15, 0.15])).astype(np.float32)


def random_points(count: int, seed: int, dimensions: int = 5) -> tuple[Floats, Hashes]:
    """Points in a few clouds with exact duplicates, and the hashes of their ids."""
    random = np.random.default_rng(seed)
    centres = random.random((dimensions, 6))
    traits = centres[:, random.integers(0, 6, count)] + random.normal(0, 0.07, (dimensions, count))
    traits[:, : count // 10] = np.round(traits[:, : count // 10], 1)
    points = np.clip(traits, 0, 1).astype(np.float32)
    if dimensions == 5:
        points *= TRAIT_WEIGHTS[:, None]
    return points, _core.hash_integers(np.arange(count) * 7 + 3)
