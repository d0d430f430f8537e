"""Many hypotheses at once: which of them may be called false, with few false calls among them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covey.stats.checked import probability
from covey.stats.special import Floats

Indices: TypeAlias = NDArray[np.intp]

# An e-value that is exactly at its bound must not depend on the last bit of a logarithm.
ROUNDING = 1e-12


def e_bh(log_e: ArrayLike, alpha: float) -> Indices:
    """The e-Benjamini-Hochberg procedure: hypotheses rejected at a false discovery rate of at most alpha.

    With K hypotheses and e_(k) the k-th largest e-value, the largest k with e_(k) >= K / (k alpha); rejected are the k
    with the largest e-values.

    Args:
        log_e: ln E of each hypothesis, shape (hypotheses,); minus infinity and infinity are allowed.
        alpha: the false discovery rate, in (0, 1).

    Returns:
        Indices of the rejected hypotheses, increasing; empty where none is.

    Raises:
        ValueError: not a list, NaN in it, or an alpha outside (0, 1).

    Holds under any dependence between the e-values, also at a stopping time that looks at all of them. The list must be
    complete: leaving out hypotheses after seeing their e-values breaks it.

    Source: Wang and Ramdas (2022), "False discovery rate control with e-values".
    """
    log_alpha = np.log(probability(alpha, "alpha"))
    values = np.asarray(log_e, dtype=np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise ValueError("log_e must be a list of numbers, one per hypothesis; found another shape or NaN")
    if not values.size or values.max() < -log_alpha - ROUNDING:
        return np.array([], dtype=np.intp)
    order = np.argsort(-values, kind="stable")
    bounds = np.log(values.size) - np.log(np.arange(1, values.size + 1)) - log_alpha
    reached = np.flatnonzero(values[order] >= bounds - ROUNDING)
    rejected = order[: reached[-1] + 1] if reached.size else order[:0]
    return np.sort(rejected)


def holm(log_p: ArrayLike) -> Floats:
    """Ln of Holm's adjusted p values: reject those up to alpha, and the chance of any false call is at most alpha.

    The k-th smallest of m is multiplied by m - k + 1, and none is smaller than one before it.

    Args:
        log_p: ln p of each hypothesis, shape (hypotheses,), at most 0; minus infinity is allowed.

    Returns:
        Shape (hypotheses,), in the order given, at most 0.

    Raises:
        ValueError: not a list, NaN in it, or a logarithm above 0.

    Holds under any dependence, for one look. Source: Holm (1979), "A simple sequentially rejective multiple test
    procedure".
    """
    values = np.asarray(log_p, dtype=np.float64)
    if values.ndim != 1 or np.isnan(values).any() or (values > 0).any():
        raise ValueError("log_p must be a list of logarithms of p values; found another shape, NaN or one above 0")
    order = np.argsort(values, kind="stable")
    factors = np.log(values.size - np.arange(values.size))
    adjusted = np.minimum(np.maximum.accumulate(values[order] + factors), 0.0) if values.size else values
    result = np.empty_like(values)
    result[order] = adjusted
    return result
