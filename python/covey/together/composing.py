"""Learners into groups of given sizes: a start, and exchanges while they help (Späth's exchange method).

Alike: the sum of squared distances to the groups' means W is made small (balanced k-means). Mixed: W is made large, so
that every group is like all of its learners together (anticlustering: Späth 1986; Papenberg and Klau, Psychological
Methods 26, 2021). The two are one: W + B is the same for every partition, with B the spread of the groups' means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_EXCHANGED = 1024
"""Units that exchange places with each other; more of them are cut into parts first."""
_MOST_PASSES = 50
_LEAST_GAIN = 1e-12

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Units:
    """What is placed whole: single learners, or friends who stay together.

    Attributes:
        sums: float64, shape (u, d): of the points of its learners.
        sizes: int64, shape (u,): learners.
        links: int64, shape (m, 2): friendships between units that one group would do well to hold.
    """

    sums: NDArray[np.float64]
    sizes: Numbers
    links: Numbers

    def take(self, chosen: Numbers) -> Units:
        """Some units; links among them."""
        place = np.full(len(self.sizes), -1)
        place[chosen] = np.arange(len(chosen))
        links = place[self.links]
        return Units(self.sums[chosen], self.sizes[chosen], links[(links >= 0).all(axis=1)])


def compose(
    units: Units, group_count: int, largest: int, *, is_alike: bool, friend_weight: float, place: Numbers
) -> Numbers | None:
    """A group for every unit; None where friends who stay together do not pack.

    Args:
        units: of one pool.
        group_count: groups to make, as equal in size as the units allow.
        largest: learners of a group.
        is_alike: whether groups are of people alike, or mixed.
        friend_weight: what all friendships in groups are worth, in units of the whole spread.
        place: of each unit in an order by chance, each another.
    """
    labels = np.zeros(len(units.sizes), np.int64)
    first = 0
    for part, count in _cut(units, np.arange(len(units.sizes)), group_count, place, is_alike=is_alike):
        own = units.take(part)
        sequence = _along(own, np.arange(len(part))) if is_alike else np.argsort(place[part])
        start = _packed(own, count, largest, sequence, is_alike=is_alike)
        if start is None:
            return None
        labels[part] = first + _exchanged(own, start, count, is_alike=is_alike, friend_weight=friend_weight)
        first += count
    return labels


def _cut(
    units: Units, chosen: Numbers, group_count: int, place: Numbers, *, is_alike: bool
) -> list[tuple[Numbers, int]]:
    """Parts of at most `MOST_EXCHANGED` units with their numbers of groups: across the longest axis, or by chance."""
    if len(chosen) <= MOST_EXCHANGED or group_count == 1:
        return [(chosen, group_count)]
    ordered = chosen[_along(units, chosen)] if is_alike else chosen[np.argsort(place[chosen])]
    left = group_count // 2
    reached = np.cumsum(units.sizes[ordered])
    cut = int(np.searchsorted(reached, reached[-1] * left / group_count, side="right"))
    parts = ((ordered[:cut], left), (ordered[cut:], group_count - left))
    return [part for own, count in parts for part in _cut(units, np.sort(own), count, place, is_alike=is_alike)]


def _along(units: Units, chosen: Numbers) -> Numbers:
    """Units in their order along the axis on which they differ most."""
    means = units.sums[chosen] / units.sizes[chosen, None]
    centred = means - means.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    axis = axis * (1 if axis[np.argmax(np.abs(axis))] > 0 else -1)
    return np.argsort(centred @ axis, kind="stable")


def _packed(units: Units, group_count: int, largest: int, sequence: Numbers, *, is_alike: bool) -> Numbers | None:
    """A first group for every unit: friends where most places are free, then everybody else so that sizes are equal."""
    labels = np.full(len(units.sizes), -1)
    filled = np.zeros(group_count, np.int64)
    many = np.flatnonzero(units.sizes > 1)
    for unit in many[np.argsort(-units.sizes[many], kind="stable")]:
        group = int(np.argmin(filled))
        if filled[group] + units.sizes[unit] > largest:
            return None
        labels[unit] = group
        filled[group] += units.sizes[unit]
    singles = sequence[units.sizes[sequence] == 1]
    wanted = _levelled(filled, len(singles)) - filled
    slots = np.repeat(np.arange(group_count), wanted)
    if not is_alike:
        # One to each in turn, as cards are dealt.
        slots = slots[np.argsort(np.concatenate([np.arange(count) for count in wanted]), kind="stable")]
    labels[singles] = slots
    return labels


def _levelled(filled: Numbers, more: int) -> Numbers:
    """Sizes after `more` learners joined, each the smallest group, the first of equals."""
    low, high = int(filled.min()), int(filled.max()) + more
    while low < high:
        level = (low + high + 1) // 2
        if int(np.maximum(level - filled, 0).sum()) <= more:
            low = level
        else:
            high = level - 1
    sizes: Numbers = np.maximum(filled, low)
    rest = more - int((sizes - filled).sum())
    sizes[np.flatnonzero(sizes == low)[:rest]] += 1
    return sizes


def _exchanged(units: Units, labels: Numbers, group_count: int, *, is_alike: bool, friend_weight: float) -> Numbers:
    """Exchange places of units of equal size while that helps, the best partner for each unit in turn."""
    if group_count == 1:
        return labels  # and no table of units by units, of which one group may hold any number
    labels = labels.copy()
    sizes = units.sizes
    # About their mean: equal units then differ by nothing, and exchanges of equal sizes are what they were.
    sums = units.sums - np.outer(sizes, units.sums.sum(axis=0) / sizes.sum())
    heads = np.bincount(labels, sizes, group_count)  # these stay, since equal sizes change places
    means = np.stack([np.bincount(labels, column, group_count) for column in sums.T], axis=1) / heads[:, None]
    squares = np.einsum("ij,ij->i", sums, sums)
    whole = float((squares / sizes).sum())
    sign = (1.0 if is_alike else -1.0) / (whole or 1.0)
    # W falls by 2 step (mean of own group - mean of theirs) + step^2 (1 / own size + 1 / theirs), where step is from a
    # unit to its partner: what both are drawn to the groups they go to, less what to those they leave, and how far
    # apart they are.
    apart = sign * (squares[:, None] + squares - 2 * (sums @ sums.T))
    drawn = 2 * sign * (means @ sums.T)
    home = drawn[labels, np.arange(len(labels))]
    share = 1 / heads[labels]
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=group_count))[:-1])
    ties = _Ties(units, labels, group_count, friend_weight) if len(units.links) and friend_weight else None
    is_other_size = sizes != sizes[:, None] if sizes.min() < sizes.max() else None
    idle = 0
    for look in range(_MOST_PASSES * len(labels)):
        unit = look % len(labels)
        own = labels[unit]
        value = share + share[unit]
        value *= apart[unit]
        value += drawn[own]
        value -= home
        value += (drawn[:, unit] - home[unit]).take(labels)
        if ties is not None:
            value += ties.gained(unit, labels)
        value[members[own]] = -np.inf
        if is_other_size is not None:
            value[is_other_size[unit]] = -np.inf
        other = int(value.argmax())
        if value[other] <= _LEAST_GAIN:
            idle += 1
            if idle == len(labels):
                break
            continue
        idle = 0
        theirs = labels[other]
        if ties is not None:
            ties.exchange(unit, other, labels)
        labels[unit], labels[other] = theirs, own
        share[unit], share[other] = share[other], share[unit]
        step = sums[other] - sums[unit]
        for group, leaves, comes, sense in ((own, unit, other, 1), (theirs, other, unit, -1)):
            means[group] += sense / heads[group] * step
            drawn[group] = sums @ (2 * sign * means[group])
            members[group][members[group] == leaves] = comes
            home[members[group]] = drawn[group, members[group]]
    return labels


class _Ties:
    """Friendships between units, and how many each has with every group."""

    def __init__(self, units: Units, labels: Numbers, group_count: int, friend_weight: float) -> None:
        self._friends = np.zeros((len(labels), len(labels)))
        np.add.at(self._friends, (units.links[:, 0], units.links[:, 1]), 1.0)
        self._friends += self._friends.T
        self._worth = friend_weight / len(units.links)
        self._near = np.stack([self._friends[:, labels == group].sum(axis=1) for group in range(group_count)], axis=1)
        self._every = np.arange(len(labels))

    def gained(self, unit: int, labels: Numbers) -> NDArray[np.float64]:
        """What friendships within groups would be worth more if this unit and each other one changed places."""
        near, own = self._near, labels[unit]
        kept = near[unit, labels] - near[unit, own] + near[:, own] - near[self._every, labels] - 2 * self._friends[unit]
        worth: NDArray[np.float64] = self._worth * kept
        return worth

    def exchange(self, unit: int, other: int, labels: Numbers) -> None:
        """These two are about to change places."""
        moved = self._friends[:, other] - self._friends[:, unit]
        self._near[:, labels[unit]] += moved
        self._near[:, labels[other]] -= moved


def linked(count: int, pairs: Numbers) -> Numbers:
    """The component of each of `count` learners, numbered by their first members; friends are in one component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    component: Numbers = connected_components(graph, directed=False)[1].astype(np.int64)
    return component


def group_counts(sizes: Sequence[int], smallest: int, largest: int, most: int | None) -> list[tuple[int, int]]:
    """For every pool the number of groups and how many of its learners have a place.

    Sizes aim at the middle of what is allowed; `most` groups of all pools together are shared out so that as many
    learners as possible are placed.
    """
    target = (smallest + largest) / 2
    plans = []
    for size in sizes:
        low, high = -(-size // largest), size // smallest
        wanted = min(max(round(size / target), low), high) if low <= high else high
        plans.append([min(low, high), wanted])
    if most is None:
        counts = [wanted for _, wanted in plans]
    else:
        counts = [0] * len(plans)
        for _ in range(most):
            # The group that gives most learners a place; then the one that makes large groups smaller.
            gain = [
                (min(size, (count + 1) * largest) - min(size, count * largest), size / (count + 1))
                if count < wanted
                else (-1, 0.0)
                for size, count, (_, wanted) in zip(sizes, counts, plans, strict=True)
            ]
            best = max(range(len(gain)), key=gain.__getitem__)
            if gain[best][0] < 0:
                break
            counts[best] += 1
    return [(count, min(size, count * largest)) for size, count in zip(sizes, counts, strict=True)]
