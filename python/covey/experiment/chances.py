"""P values as logarithms, so that none is ever 0, and the words they are printed in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from covey.stats.special import Floats, special

LOG_TEN = math.log(10.0)
# Below this tail SciPy's functions come near the smallest double; what takes over converges fast long before.
SMALLEST_PLAIN_TAIL = 1e-250
MAXIMUM_FRACTION_STEPS = 20_000
_LOG_TWO = math.log(2.0)
_SMALLEST_PRINTED = -1e6 * LOG_TEN


def log_p_normal(z: ArrayLike) -> Floats:
    """Ln of the two-sided p value of a standard normal z; any shape, finite for |z| up to 1e150."""
    magnitude = np.abs(np.asarray(z, dtype=np.float64))
    return np.asarray(np.minimum(special().log_ndtr(-magnitude) + _LOG_TWO, 0.0))


def log_p_student(t: ArrayLike, degrees: ArrayLike) -> Floats:
    """Ln of the two-sided p value of Student's t with so many degrees of freedom (above 0); shapes broadcast.

    p = I_x(degrees / 2, 1/2) with x = degrees / (degrees + t^2) (Abramowitz and Stegun 26.5.27); where it is below what
    a double holds, by its continued fraction.
    """
    value, freedom = np.broadcast_arrays(np.asarray(t, dtype=np.float64), np.asarray(degrees, dtype=np.float64))
    with np.errstate(over="ignore"):
        ratio = value * (value / freedom)
    tail = special().stdtr(freedom, -np.abs(value))
    far = (tail < SMALLEST_PLAIN_TAIL) & np.isfinite(value)
    with np.errstate(divide="ignore"):
        near = np.minimum(np.log(np.where(far, 1.0, tail)) + _LOG_TWO, 0.0)
    if not far.any():
        return np.asarray(near)
    half = np.where(far, 0.5 * freedom, 1.0)
    log_x = -np.log1p(np.where(far, ratio, 1.0))
    log_rest = -np.log1p(1.0 / np.where(far, ratio, 1.0))
    fraction = _log_beta_fraction(half, np.full_like(half, 0.5), np.exp(log_x))
    beyond = half * log_x + 0.5 * log_rest + fraction - np.log(half) - special().betaln(half, 0.5)
    return np.asarray(np.where(far, beyond, near))


def log_p_chi2(statistic: ArrayLike, degrees: ArrayLike) -> Floats:
    """Ln of the upper tail of chi^2; shapes broadcast.

    Far out, where the tail is below what a double holds, by the asymptotic series of the incomplete gamma function
    (DLMF 8.11.2): Q(a, x) = x^(a-1) e^-x / Gamma(a) (1 + (a-1)/x + (a-1)(a-2)/x^2 + ...).
    """
    x, a = np.broadcast_arrays(
        0.5 * np.asarray(statistic, dtype=np.float64), 0.5 * np.asarray(degrees, dtype=np.float64)
    )
    tail = special().gammaincc(a, x)
    far = (tail < SMALLEST_PLAIN_TAIL) & np.isfinite(x)
    with np.errstate(divide="ignore"):
        near = np.log(np.where(far, 1.0, tail))
    if not far.any():
        return np.asarray(near)
    place, shape = np.where(far, x, 1e3), np.where(far, a, 1.0)
    series, term = np.ones_like(place), np.ones_like(place)
    for step in range(1, 30):
        term = term * (shape - step) / place
        series = series + np.where(np.abs(term) < 1.0, term, 0.0)
    beyond = (shape - 1.0) * np.log(place) - place - special().gammaln(shape) + np.log(series)
    return np.asarray(np.where(far, beyond, near))


def normal_quantile(alpha: float) -> float:
    """The z that a standard normal exceeds in magnitude with probability alpha."""
    return -float(special().ndtri(alpha / 2.0))


def student_quantile(alpha: float, degrees: ArrayLike) -> Floats:
    """The t that Student's t exceeds in magnitude with probability alpha."""
    freedom = np.asarray(degrees, dtype=np.float64)
    return np.asarray(-special().stdtrit(freedom, np.full_like(freedom, alpha / 2.0)), dtype=np.float64)


def p_words(log_p: float) -> str:
    """A p value for people, never 0: "0.034", "1.8e-06", "4e-2171".

    Args:
        log_p: its natural logarithm, at most 0; minus infinity is data that the null cannot give at all.
    """
    if math.isnan(log_p):
        return "-"
    if log_p < _SMALLEST_PRINTED:
        return "below 1e-1000000"
    if log_p >= math.log(0.001):
        return f"{math.exp(log_p):.3g}" if log_p < math.log(0.995) else "1"
    exponent = math.floor(log_p / LOG_TEN)
    mantissa = round(math.exp(log_p - exponent * LOG_TEN), 1)
    if mantissa >= 10.0:
        mantissa, exponent = 1.0, exponent + 1
    return f"{mantissa:g}e{exponent:03d}" if exponent > -100 else f"{mantissa:g}e{exponent}"


def _log_beta_fraction(a: Floats, b: Floats, x: Floats) -> Floats:
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
