"""Arguments that are what they claim to be: conversions to arrays that refuse nonsense by the argument's name."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from covey import _core
from covey.stats.special import Floats

# Shares and weights that add up to 1 up to this much are taken to mean it.
SUM_TOLERANCE = 1e-9


def numbers(value: ArrayLike, name: str) -> Floats:
    """Finite numbers as an array of float64.

    Raises:
        ValueError: one of them is not finite.
    """
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers; found NaN or infinity")
    return array


def broadcastable(**arguments: ArrayLike) -> None:
    """Check that shapes go together.

    Raises:
        ValueError: they do not; it names every argument with its shape.
    """
    shapes = {name: np.shape(value) for name, value in arguments.items()}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"shapes do not broadcast: {said}") from None


def positive(value: ArrayLike, name: str) -> Floats:
    """Finite numbers above 0.

    Raises:
        ValueError: one of them is not.
    """
    array = numbers(value, name)
    if (array <= 0).any():
        raise ValueError(f"{name} must be above 0; found {array.min():g}")
    return array


def series(value: ArrayLike, name: str) -> Floats:
    """Finite numbers that are not negative, one per tick along the last axis; a single number is one tick.

    Raises:
        ValueError: a negative number, one that is not finite, or no tick at all.
    """
    array = np.atleast_1d(numbers(value, name))
    if (array < 0).any():
        raise ValueError(f"{name} must not be negative; found {array.min():g}")
    if array.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one entry; found a series of length 0")
    return array


def events_among(events: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    """Events and trials per tick, of one broadcast shape.

    Raises:
        ValueError: as `series`, series of different lengths, or more events than trials.
    """
    x, n = series(events, "events"), series(trials, "trials")
    if x.shape[-1] != n.shape[-1]:
        raise ValueError(f"events and trials must have one length; found {x.shape[-1]} and {n.shape[-1]} ticks")
    x, n = np.broadcast_arrays(x, n)
    if (x > n).any():
        raise ValueError("events must not exceed trials")
    return x, n


def probability(value: float, name: str) -> float:
    """A number strictly between 0 and 1.

    Raises:
        ValueError: it is not.
    """
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} is {value!r}; expected a number strictly between 0 and 1")
    return float(value)


def whole_number(value: int, name: str) -> int:
    """A whole number above 0.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} is {value!r}; expected a whole number above 0")
    return int(value)


def log_weights(weights: ArrayLike | None, count: int) -> Floats:
    """The logarithms of mixture weights; equal ones where none are given. A weight of 0 gives minus infinity.

    Raises:
        ValueError: another number of weights, a negative one, or a sum other than 1. A sum above 1 would break the
            guarantee of every test that mixes with them.
    """
    if weights is None:
        return np.full(count, -np.log(count))
    array = numbers(weights, "weights")
    if array.shape != (count,):
        raise ValueError(f"weights must be a list of {count}, one per alternative; found shape {array.shape}")
    if (array < 0).any() or abs(float(array.sum()) - 1.0) > SUM_TOLERANCE:
        raise ValueError(f"weights must not be negative and must sum to 1; found a sum of {float(array.sum()):.12g}")
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(array), dtype=np.float64)


def log_sum_exp(values: Floats) -> Floats:
    """`ln sum(exp(values))` over the last axis, without overflow; minus infinity where every term is."""
    return np.asarray(_core.log_sum_exp(values))
