"""Group-sequential boundaries by the spending of alpha, for looks at whatever fractions of the information they came.

The z statistic at information fraction t, times sqrt(t), moves like a Brownian motion. Its density below the boundaries
so far is carried from look to look by quadrature; each boundary is where the chance of crossing it first, upwards, is
what the spending function allows since the look before.

Sources: Lan and DeMets (1983), "Discrete sequential boundaries for clinical trials"; Armitage, McPherson and Rowe
(1969) for the recursion; O'Brien and Fleming (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from covey.stats.checked import probability
from covey.stats.special import Floats, special

Spending = Literal["obrien_fleming", "pocock"]

MOST_LOOKS = 200
WIDEST_BOUNDARY = 12.0
"""Beyond this a boundary is one that nothing crosses: less than 1e-32 may be spent at the look."""
_MOST_NODES = 2048
_NODES_PER_STEP = 10.0


def spent(fraction: float, alpha: float, spending: Spending = "obrien_fleming") -> float:
    """Of a one-sided alpha, what may have been spent at an information fraction.

    O'Brien-Fleming: 2 (1 - Phi(z_{1 - alpha/2} / sqrt(t))). Pocock: alpha ln(1 + (e - 1) t).

    Args:
        fraction: t, above 0; 1 and more is the end.
        alpha: one-sided, in (0, 1).
        spending: of what kind.
    """
    t = min(fraction, 1.0)
    if spending == "pocock":
        return float(alpha * np.log1p((np.e - 1.0) * t))
    return float(2.0 * special().ndtr(special().ndtri(alpha / 2.0) / np.sqrt(t)))


def boundaries(
    fractions: Sequence[float], alpha: float = 0.05, spending: Spending = "obrien_fleming"
) -> tuple[float, ...]:
    """Two-sided symmetric boundaries of |z|, one per look.

    Args:
        fractions: information fractions of the looks, increasing, above 0, the last at most 1.
        alpha: two-sided, in (0, 1): half of it is spent on each side.
        spending: of what kind.

    Returns:
        c_k: reject at look k where |z_k| >= c_k; infinite where nothing may be spent yet.

    Raises:
        ValueError: fractions that do not increase from above 0 to at most 1, more than 200 of them, or an alpha outside
            (0, 1).
    """
    looks = tuple(float(fraction) for fraction in fractions)
    if not looks or len(looks) > MOST_LOOKS:
        raise ValueError(f"fractions must be 1 to {MOST_LOOKS} numbers; found {len(looks)}")
    if min(looks) <= 0 or max(looks) > 1 + 1e-12 or any(b <= a for a, b in pairwise(looks)):
        raise ValueError(f"fractions must increase, from above 0 to at most 1; found {', '.join(map(str, looks))}")
    return _boundaries(looks, probability(alpha, "alpha"), spending)


def crossing_chances(
    fractions: Sequence[float], limits: Sequence[float], drift: float = 0.0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Chance that each look is the first to cross, upwards and downwards, when E z at the end is `drift`.

    Args:
        fractions: information fractions of the looks, as of `boundaries`.
        limits: of |z|, one per look.
        drift: expectation of z at information fraction 1.
    """
    upward, downward = [], []
    nodes, density, before = np.zeros(1), np.ones(1), 0.0
    for fraction, limit in zip(fractions, limits, strict=True):
        step, moved = fraction - before, drift * (fraction - before)
        edge = limit * np.sqrt(fraction)
        upward.append(_beyond(nodes + moved, density, edge, step))
        downward.append(_beyond(-(nodes + moved), density, edge, step))
        nodes, density = _carried(nodes, density, min(limit, WIDEST_BOUNDARY) * np.sqrt(fraction), step, moved)
        before = fraction
    return tuple(upward), tuple(downward)


@lru_cache(maxsize=256)
def _boundaries(looks: tuple[float, ...], alpha: float, spending: Spending) -> tuple[float, ...]:
    from scipy.optimize import brentq

    found: list[float] = []
    nodes, density = np.zeros(1), np.ones(1)
    before, used = 0.0, 0.0
    for fraction in looks:
        step = fraction - before
        allowed = spent(fraction, alpha / 2.0, spending)
        more = allowed - used
        root = np.sqrt(fraction)

        def excess(
            limit: float, nodes: Floats = nodes, density: Floats = density, root: float = root, step: float = step,
            more: float = more,
        ) -> float:  # fmt: skip
            return _beyond(nodes, density, limit * root, step) - more

        if more <= 0 or excess(WIDEST_BOUNDARY) >= 0:
            limit = float("inf")
        else:
            limit = float(brentq(excess, -1.0, WIDEST_BOUNDARY, xtol=1e-10))
            used = allowed
        found.append(limit)
        nodes, density = _carried(nodes, density, min(limit, WIDEST_BOUNDARY) * root, step, 0.0)
        before = fraction
    return tuple(found)


def _beyond(nodes: Floats, density: Floats, edge: float, step: float) -> float:
    """Chance of lying above `edge` after a step, from weighted places."""
    return float(np.sum(density * special().ndtr((nodes - edge) / np.sqrt(step))))


def _carried(nodes: Floats, density: Floats, edge: float, step: float, moved: float) -> tuple[Floats, Floats]:
    """Places within +-edge after a step with the chance of each, by Gauss-Legendre quadrature."""
    # Few different rules, as making one costs more than using it.
    count = int(np.clip(np.ceil(_NODES_PER_STEP * edge / np.sqrt(step) / 128) * 128, 128, _MOST_NODES))
    place, weight = _legendre(count)
    places = edge * place
    distance = (places[:, None] - nodes[None, :] - moved) / np.sqrt(step)
    heights = np.exp(-0.5 * distance * distance) @ density / np.sqrt(2 * np.pi * step)
    return places, heights * weight * edge


@lru_cache(maxsize=32)
def _legendre(count: int) -> tuple[Floats, Floats]:
    place, weight = np.polynomial.legendre.leggauss(count)
    return np.asarray(place), np.asarray(weight)
