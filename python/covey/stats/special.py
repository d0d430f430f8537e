"""Logarithms of beta functions that stay finite where the plain functions underflow.

Everything here broadcasts NumPy arrays of float64. SciPy's special functions are the base; where their value is too
small for a double, or loses its digits to cancellation, a formula of its own takes over.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

HALF_LOG_TWO_PI = 0.9189385332046727418

# Below this tail SciPy's `betainc` comes near the smallest double; the continued fraction converges fast long before.
SMALLEST_PLAIN_TAIL = 1e-250
# From this argument on five terms of Stirling's series are exact to the last bit of a double.
STIRLING_FROM = 10.0
MAXIMUM_FRACTION_STEPS = 20_000


@cache
def special() -> ModuleType:
    """SciPy's special functions, loaded when they are first needed: importing this package costs nothing."""
    return import_module("scipy.special")


def stirling_remainder(z: Floats) -> Floats:
    """`ln Gamma(z) - ((z - 1/2) ln z - z + ln(2 pi) / 2)` for z > 0, without the cancellation of that difference.

    For z >= 10 by Stirling's series, below that directly, where the terms are small. Abramowitz and Stegun 6.1.41.
    """
    inverse = 1.0 / np.maximum(z, STIRLING_FROM)
    square = inverse * inverse
    series = inverse * (
        1 / 12
        - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - square * 691 / 360360))))
    )
    small = np.minimum(z, STIRLING_FROM)
    direct = special().gammaln(small) - ((small - 0.5) * np.log(small) - small + HALF_LOG_TWO_PI)
    return np.asarray(np.where(z >= STIRLING_FROM, series, direct), dtype=np.float64)


def log_beta_fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    """The logarithm of the continued fraction F in `I_x(a, b) = x^a (1-x)^b F / (a B(a, b))`.

    Converges fast for x below (a + 1) / (a + b + 2), the faster the further out. DLMF 8.17.22, evaluated by Lentz's
    method.

    Raises:
        ArithmeticError: no convergence, which only arguments outside the stated range can cause.
    """
    tiny = 1e-300
    c = np.ones_like(x)
    d = 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0), tiny)
    fraction = d.copy()
    for step in range(1, MAXIMUM_FRACTION_STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        d = 1.0 / _away_from_zero(1.0 + even * d, tiny)
        c = _away_from_zero(1.0 + even / c, tiny)
        fraction *= d * c
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        d = 1.0 / _away_from_zero(1.0 + odd * d, tiny)
        c = _away_from_zero(1.0 + odd / c, tiny)
        change = d * c
        fraction *= change
        if np.all(np.abs(change - 1.0) < 1e-15):
            return np.asarray(np.log(fraction), dtype=np.float64)
    raise ArithmeticError("the continued fraction of the incomplete beta function did not converge")


def _away_from_zero(value: Floats, tiny: float) -> Floats:
    return np.where(np.abs(value) < tiny, tiny, value)
