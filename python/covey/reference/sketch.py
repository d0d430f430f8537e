"""Log-bucket counts in plain NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST = 2.0**-1022


def bucket_numbers(values: NDArray[Any], growth: float) -> NDArray[np.int64]:
    """ceil(log_growth |value|): equal to the compiled core's but where a value sits on an edge to 1e-13."""
    magnitude = np.maximum(np.abs(values.astype(np.float64)), SMALLEST)
    return np.ceil(np.log2(magnitude) / math.log2(growth)).astype(np.int64)


def quantile(values: NDArray[Any], q: float) -> float:
    """The value of rank ceil(q n), at least 1: what a sketch estimates."""
    rank = min(max(math.ceil(q * len(values)), 1), len(values))
    return float(np.sort(values)[rank - 1])
