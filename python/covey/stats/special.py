"""What the tests of this package share: SciPy's functions, loaded when they are needed, and Stirling's remainder.

The arithmetic of the tests themselves is compiled, in plain IEEE operations (`cpp/src/special.cpp`, `bernoulli.cpp`,
`rates.cpp`, `means.cpp`, `dispersion.cpp`): the same counts give the same bits on every machine, and a look of a gate,
which asks for some hundred numbers, does not pay NumPy's price of a call for each step of each formula.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from covey import _core

Floats: TypeAlias = NDArray[np.float64]


@cache
def special() -> ModuleType:
    """SciPy's special functions, loaded when they are first needed: importing this package costs nothing."""
    return import_module("scipy.special")


def stirling_remainder(z: Floats) -> Floats:
    """`ln Gamma(z) - ((z - 1/2) ln z - z + ln(2 pi) / 2)` for z > 0, without the cancellation of that difference.

    For z >= 10 by Stirling's series (Abramowitz and Stegun 6.1.41), below by the recurrence of the gamma function.
    """
    return np.asarray(_core.stirling_remainder(z))
