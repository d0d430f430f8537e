"""How good groups are: against groups by chance, and against bounds that no groups of these sizes can pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.about_learners import Attribute
from covey.engine import thread_count
from covey.together.composing import Numbers
from covey.together.space import Space

_MOST_DRAWS, _FEWEST_DRAWS, _DRAWN_LEARNERS = 200, 20, 4_000_000
_MOST_BOUNDED = 200_000


@dataclass(frozen=True, slots=True)
class Against:
    """A figure of the groups and the same of groups by chance, of the same sizes from the same pools.

    Attributes:
        value: of the groups.
        chance: mean by chance.
        chance_low, chance_high: 2.5 % and 97.5 % of the draws.
        bound: that no groups of these sizes can pass; None where it is not known.
    """

    value: float
    chance: float
    chance_low: float
    chance_high: float
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """How good groups are.

    Attributes:
        learner_count, placed_count: learners, and those in a group.
        smallest, largest: sizes of groups.
        spread: root mean square distance of learners to their group's mean; small: people alike. Where that was
            sought, the bound is the least, from each learner's nearest others.
        between: root mean square distance of groups' means to their pool's, by learner; small: groups like each other.
        mixture: mean share of a group that would have to be others for it to have its pool's shares of the mixed
            attribute; the bound is what whole learners allow. None where nothing is mixed.
        friendships: share of the friendships that are within groups, of those whose both learners have one; None
            without.
        draw_count: partitions by chance.
    """

    learner_count: int
    placed_count: int
    smallest: int
    largest: int
    spread: Against
    between: Against
    mixture: Against | None
    friendships: Against | None
    draw_count: int


def judged(
    space: Space,
    labels: Numbers,
    pool_of: Numbers,
    mix: Attribute | None,
    pairs: Numbers,
    seed: int,
    threads: int | None,
    *,
    is_alike: bool,
) -> Quality:
    """Judge groups.

    Args:
        space: of the learners.
        labels: of each learner; -1 without a group.
        pool_of: of each learner; groups hold learners of one pool.
        mix: what was mixed.
        pairs: friends.
        seed: of the draws.
        threads: of the bound.
        is_alike: whether a small spread was sought, or else small differences between groups.
    """
    placed = np.flatnonzero(labels >= 0)
    own, pools = labels[placed], pool_of[placed]
    points = space.points[:, placed].astype(np.float64)
    codes = None if mix is None else mix.codes[placed] + 1
    at = np.full(len(labels), -1)
    at[placed] = np.arange(len(placed))
    links = at[pairs]
    links = links[(links >= 0).all(axis=1)]
    judge = _Judge(points, pools, codes, links)
    count = max(_FEWEST_DRAWS, min(_MOST_DRAWS, _DRAWN_LEARNERS // max(1, len(placed))))
    chance = np.random.default_rng(seed)
    drawn = np.array([judge.figures(_shuffled(own, pools, chance)) for _ in range(count)])
    found = judge.figures(own)
    sizes = np.bincount(own)
    bounds = (
        _least_spread(points, pools, own, thread_count(threads)) if is_alike else None,
        None if is_alike else 0.0,
        None if codes is None else _least_mixture(pools, own, codes),
        None,
    )
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    rows = [
        Against(float(found[at]), float(drawn[:, at].mean()), float(low[at]), float(high[at]), bound)
        for at, bound in enumerate(bounds)
    ]
    return Quality(
        len(labels), len(placed), int(sizes.min()), int(sizes.max()), rows[0], rows[1],
        None if codes is None else rows[2], rows[3] if len(links) else None, count,
    )  # fmt: skip


class _Judge:
    """Figures of partitions of the same learners."""

    def __init__(
        self, points: NDArray[np.float64], pools: Numbers, codes: NDArray[np.int32] | None, links: Numbers
    ) -> None:
        self._points, self._pools, self._codes, self._links = points, pools, codes, links
        sizes = np.bincount(pools)
        means = np.stack([np.bincount(pools, row) for row in points]) / np.maximum(sizes, 1)
        self._pool_means = means
        self._total = float(((points - means[:, pools]) ** 2).sum())
        if codes is not None:
            self._width = int(codes.max()) + 1
            table = np.bincount(pools * self._width + codes, minlength=len(sizes) * self._width)
            self._shares = table.reshape(-1, self._width) / np.maximum(sizes, 1)[:, None]

    def figures(self, labels: Numbers) -> tuple[float, float, float, float]:
        """Spread, between, mixture, friendships; 0 where there are none."""
        n = len(labels)
        sizes = np.bincount(labels)
        pool = np.zeros(len(sizes), np.int64)
        pool[labels] = self._pools
        means = np.stack([np.bincount(labels, row) for row in self._points]) / sizes
        between = float((sizes * (means - self._pool_means[:, pool]) ** 2).sum())
        mixture = friendships = 0.0
        if self._codes is not None:
            table = np.bincount(labels * self._width + self._codes, minlength=len(sizes) * self._width)
            gap = np.abs(table.reshape(-1, self._width) / sizes[:, None] - self._shares[pool])
            mixture = float(gap.sum(axis=1).mean() / 2)
        if len(self._links):
            friendships = float((labels[self._links[:, 0]] == labels[self._links[:, 1]]).mean())
        within = max(0.0, self._total - between)
        return np.sqrt(within / n), np.sqrt(between / n), mixture, friendships


def _shuffled(labels: Numbers, pools: Numbers, chance: np.random.Generator) -> Numbers:
    """The same sizes from the same pools, by chance."""
    shuffled = np.empty_like(labels)
    by_pool = np.argsort(pools, kind="stable")
    mixed = np.lexsort((chance.random(len(labels)), pools))
    shuffled[mixed] = labels[by_pool]
    return shuffled


def _least_spread(points: NDArray[np.float64], pools: Numbers, labels: Numbers, threads: int) -> float | None:
    """A spread that no groups of these sizes from these pools can be below.

    The squared distances to a group's mean sum to half of all squared distances within it over its size m: for each
    learner half of the mean over m learners, themselves among them, and that mean is least over the m nearest. It grows
    with m, so the smallest group of the pool bounds all of them.
    """
    if len(labels) > _MOST_BOUNDED:
        return None
    total = 0.0
    for pool in np.unique(pools):
        members = np.flatnonzero(pools == pool)
        size = int(np.bincount(labels[members])[np.unique(labels[members])].min())
        own = np.ascontiguousarray(points[:, members], np.float32)
        squared = _core.nearest_points(own, np.ascontiguousarray(own.T), size, threads=threads)[1]
        total += float(squared.astype(np.float64).sum() / size / 2)
    return float(np.sqrt(total / len(labels)))


def _least_mixture(pools: Numbers, labels: Numbers, codes: NDArray[np.int32]) -> float:
    """What whole learners allow, group by group: the largest remainders are rounded up."""
    width = int(codes.max()) + 1
    own = {pool: codes[pools == pool] for pool in np.unique(pools).tolist()}
    shares = {pool: np.bincount(of_pool, minlength=width) / len(of_pool) for pool, of_pool in own.items()}
    groups, first = np.unique(labels, return_index=True)
    gaps = []
    for pool, size in zip(pools[first].tolist(), np.bincount(labels)[groups], strict=True):
        wanted = shares[pool] * size
        whole = np.floor(wanted)
        rest = round(size - whole.sum())
        whole[np.argsort(whole - wanted, kind="stable")[:rest]] += 1
        gaps.append(np.abs(whole - wanted).sum() / size / 2)
    return float(np.mean(gaps))
