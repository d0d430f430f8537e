"""Study groups under constraints, how good they are, and why constraints cannot be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.about_learners import Attribute
from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.together.composing import Numbers, Units, compose, group_counts, linked
from covey.together.quality import Quality, judged
from covey.together.space import ARCHETYPE, Space

MOST_IN_A_GROUP = 1_000
"""Learners of a group; exchanges keep a table of units by units."""
_MOST_MIXED = 100  # values, each a column of a table of everybody
_CATEGORY_SCALE = np.sqrt(10.0)  # the shares of categories come first, the traits among equal shares


class Compose(StrEnum):
    """Who makes a good group."""

    alike = "alike"
    mixed = "mixed"


class Friends(StrEnum):
    """What friendships are: a wish, weighed against the rest, or a must."""

    prefer = "prefer"
    keep = "keep"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What groups must be.

    Attributes:
        smallest, largest: learners of a group, both included.
        compose: people alike in a group, or every group a mixture.
        same: attributes in which all of a group are the same.
        mix_by: the attribute whose shares every mixed group should have; "archetype" where it is known.
        most_groups: capacity; None: as many as it takes.
        is_partial: whether learners may be left without a group.
        friends: what friendships are.
        friend_weight: of a wish: what all friendships in groups are worth, in units of the whole spread.
        seed: of what is drawn.
    """

    smallest: int = 15
    largest: int = 30
    compose: Compose = Compose.alike
    same: tuple[str, ...] = ()
    mix_by: str | None = None
    most_groups: int | None = None
    is_partial: bool = False
    friends: Friends = Friends.prefer
    friend_weight: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.smallest <= self.largest <= MOST_IN_A_GROUP:
            raise InputError(
                f"groups of {self.smallest} to {self.largest}",
                expected=f"2 to {MOST_IN_A_GROUP:,} learners, the smallest not above the largest",
            )
        if self.most_groups is not None and self.most_groups < 1:
            raise InputError(f"at most {self.most_groups} groups", expected="1 or more")
        if not (np.isfinite(self.friend_weight) and self.friend_weight >= 0):
            raise InputError(f"a weight of friendships of {self.friend_weight:g}", expected="0 or more")
        if self.compose != Compose.mixed and self.mix_by is not None:
            raise InputError(f"groups alike cannot be mixed by {self.mix_by}", remedy="ask for mixed groups")
        if self.mix_by is not None and self.mix_by in self.same:
            raise InputError(f"groups cannot be the same in {self.mix_by} and mixed by it", remedy="leave out one")


@dataclass(frozen=True, eq=False, slots=True)
class Groups:
    """Who learns with whom.

    Attributes:
        space: of the learners.
        wanted: what was asked for.
        labels: int64, shape (n,): the group of each learner, numbered from 0; -1 without one.
        pools: of each group, what its learners share; "" where nothing was asked for.
        left_out: why learners have no group, with their number.
        quality: how good the groups are, against groups by chance.
    """

    space: Space
    wanted: Wanted
    labels: Numbers
    pools: tuple[str, ...]
    left_out: tuple[tuple[str, int], ...]
    quality: Quality

    def __len__(self) -> int:
        return len(self.pools)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Learners of each group."""
        return tuple(np.bincount(self.labels[self.labels >= 0], minlength=len(self.pools)).tolist())

    def to_arrow(self) -> Any:
        """A pyarrow table: learner_id, group (null without one), then the attributes."""
        import pyarrow as pa

        columns = {
            "learner_id": self.space.learner_ids.to_arrow(),
            "group": pa.array(self.labels, pa.int32(), mask=self.labels < 0, safe=True),
        }
        for name, own in self.space.attributes.items():
            codes = pa.array(own.codes, pa.int32(), mask=own.codes < 0)
            columns[name] = pa.DictionaryArray.from_arrays(codes, pa.array(own.names, pa.string()))
        return pa.table(columns)


def form_groups(
    space: Space, wanted: Wanted | None = None, friendships: Numbers | None = None, threads: int | None = None
) -> Groups:
    """Put learners into groups: sizes as equal as they can be, then exchanges while they help.

    A heuristic (see `composing`): learners are exchanged as long as any exchange helps, at most 50 rounds. Where these
    suffice, no exchange of two within a pool of at most 1,024 makes groups better. The quality says how far a bound is
    away.

    Args:
        space: of the learners.
        wanted: what groups must be.
        friendships: positions of friends, shape (m, 2), each once.
        threads: of the bound; one per processor by default.

    Raises:
        InputError: names every constraint that cannot be kept, and why.
    """
    wanted = wanted or Wanted()
    pairs = np.zeros((0, 2), np.int64) if friendships is None else friendships
    pool_of, names = _pools(space, wanted.same)
    mix = _mix(space, wanted)
    is_kept = wanted.friends == Friends.keep
    component = linked(len(space), pairs) if is_kept else np.arange(len(space))
    if is_kept:
        _check_components(space, wanted, pairs, component, pool_of)
    order = np.argsort(_drawn(space.learner_ids, wanted.seed), kind="stable")
    sizes = np.bincount(pool_of[pool_of >= 0], minlength=len(names)).tolist()
    plans = group_counts(sizes, wanted.smallest, wanted.largest, wanted.most_groups)
    left_out = _left_out(sizes, plans, names, wanted, int((pool_of < 0).sum()))
    features = _features(space, mix, wanted)
    rank = np.argsort(order)  # of a permutation, its inverse: the place of each learner
    labels = np.full(len(space), -1)
    pools: list[str] = []
    for pool, (count, room) in enumerate(plans):
        if not count:
            continue
        members = np.flatnonzero(pool_of == pool)
        members = _chosen(members, component, order, room) if room < len(members) else members
        units, unit_of = _units(features, members, component, np.zeros((0, 2), np.int64) if is_kept else pairs)
        first = np.full(len(units.sizes), len(space))
        np.minimum.at(first, unit_of, rank[members])
        found = compose(
            units, count, wanted.largest, is_alike=wanted.compose == Compose.alike,
            friend_weight=wanted.friend_weight, place=first,
        )  # fmt: skip
        if found is None or np.bincount(found, units.sizes, count).min() < wanted.smallest:
            raise InputError(
                f"friends who must stay together do not pack into {count} groups of {wanted.smallest} to "
                f"{wanted.largest}{names[pool] and f' ({names[pool]})'}: the largest circle has {units.sizes.max()}",
                remedy="prefer friendships instead of keeping them, or allow larger groups",
            )
        labels[members] = len(pools) + found[unit_of]
        pools += [names[pool]] * count
    is_alike = wanted.compose == Compose.alike
    quality = judged(space, labels, pool_of, mix, pairs, wanted.seed, threads, is_alike=is_alike)
    return Groups(space, wanted, labels, tuple(pools), left_out, quality)


def _pools(space: Space, same: Sequence[str]) -> tuple[Numbers, list[str]]:
    """The pool of each learner, -1 where an attribute is not known of them, and what each pool shares."""
    if not same:
        return np.zeros(len(space), np.int64), [""]
    attributes = [space.attribute(name) for name in same]
    codes = np.stack([own.codes for own in attributes])
    is_known = (codes >= 0).all(axis=0)
    if not is_known.any():
        raise InputError(f"of no learner {' and '.join(same)} is known")
    distinct, inverse = np.unique(codes[:, is_known], axis=1, return_inverse=True)
    pool_of = np.full(len(space), -1)
    pool_of[is_known] = inverse.ravel()
    names = [
        ", ".join(f"{name} {own.names[code]}" for name, own, code in zip(same, attributes, column, strict=True))
        for column in distinct.T
    ]
    return pool_of, names


def _mix(space: Space, wanted: Wanted) -> Attribute | None:
    if wanted.compose != Compose.mixed:
        return None
    if wanted.mix_by is not None:
        own = space.attribute(wanted.mix_by)
        if len(own.names) > _MOST_MIXED:
            raise InputError(
                f"{wanted.mix_by} has {len(own.names):,} values, too many to mix groups by",
                expected=f"at most {_MOST_MIXED}",
                remedy="mix by something coarser",
            )
        return own
    return None if ARCHETYPE in wanted.same else space.attributes.get(ARCHETYPE)


def _features(space: Space, mix: Attribute | None, wanted: Wanted) -> NDArray[np.float64]:
    points = space.points.T.astype(np.float64)
    if mix is None:
        return points
    categories = (mix.codes[:, None] == np.arange(-1, len(mix.names))) * _CATEGORY_SCALE
    return np.hstack([points, categories])


def _units(
    features: NDArray[np.float64], members: Numbers, component: Numbers, pairs: Numbers
) -> tuple[Units, Numbers]:
    """Components of some learners as units, and the unit of each of the learners."""
    _, unit_of = np.unique(component[members], return_inverse=True)
    own = features[members]
    sums = np.stack([np.bincount(unit_of, column) for column in own.T], axis=1).astype(np.float64)
    at = np.full(len(features), -1)
    at[members] = unit_of
    links = at[pairs]
    return Units(sums, np.bincount(unit_of), links[(links >= 0).all(axis=1)]), unit_of


def _chosen(members: Numbers, component: Numbers, order: Numbers, room: int) -> Numbers:
    """Who has a place where not all have: whole components, drawn by lot."""
    is_member = np.zeros(len(component), bool)
    is_member[members] = True
    ordered = order[is_member[order]]
    sizes = np.bincount(component[members], minlength=int(component.max()) + 1)
    taken: set[int] = set()
    free = room
    for own in dict.fromkeys(component[ordered].tolist()):
        if sizes[own] <= free:
            taken.add(own)
            free -= int(sizes[own])
    return members[np.isin(component[members], np.array(sorted(taken)))]


def _drawn(ids: LearnerIds, seed: int) -> NDArray[np.uint32]:
    """A number per learner that depends on nothing but the id and the seed."""
    return ids.buckets(f"groups:{seed}")


def _check_components(space: Space, wanted: Wanted, pairs: Numbers, component: Numbers, pool_of: Numbers) -> None:
    problems = []
    sizes = np.bincount(component)
    if sizes.max() > wanted.largest:
        example = space.learner_ids.text(int(np.argmax(component == np.argmax(sizes))))
        problems.append(
            f"{sizes.max()} learners are linked by friendships that must be kept (the circle of '{example}'), and a "
            f"group holds at most {wanted.largest}"
        )
    apart = pairs[pool_of[pairs[:, 0]] != pool_of[pairs[:, 1]]] if len(pairs) else pairs
    if len(apart):
        one, other = (space.learner_ids.text(int(end)) for end in apart[0])
        name = next(own for own in wanted.same if space.attribute(own).codes[apart[0, 0]]
                    != space.attribute(own).codes[apart[0, 1]])  # fmt: skip
        values = [space.attribute(name).name_of(int(end)) for end in apart[0]]
        problems.append(
            f"{len(apart)} friendships that must be kept are between learners who differ in what groups must share, "
            f"such as '{one}' ({name} {values[0]}) and '{other}' ({name} {values[1]})"
        )
    if problems:
        raise InputError("; ".join(problems), remedy="prefer friendships instead of keeping them")


def _left_out(
    sizes: list[int], plans: list[tuple[int, int]], names: list[str], wanted: Wanted, unknown: int
) -> tuple[tuple[str, int], ...]:
    """Why learners have no group.

    Raises:
        InputError: there are some and none may be, or nobody has a group.
    """
    reasons = []
    if unknown:
        reasons.append((f"{' or '.join(wanted.same)} is not known of them", unknown))
    for size, (_, room), name in zip(sizes, plans, names, strict=True):
        if room == size:
            continue
        who = f"the {size:,} learners{name and f' of {name}'}"
        low, high = -(-size // wanted.largest), size // wanted.smallest
        if high == 0:
            why = f"{who} are fewer than a group of {wanted.smallest}"
        elif low > high:
            why = (
                f"{who} fill {high} group{'s' if high > 1 else ''} of at most {wanted.largest} "
                f"and are too few for {low} of at least {wanted.smallest}"
            )
        else:
            need = sum(-(-own // wanted.largest) for own in sizes if own // wanted.smallest)
            why = f"{who} do not all fit: at most {wanted.most_groups} groups are allowed, and {need} would be needed"
        reasons.append((why, size - room))
    if not sum(room for _, room in plans):
        raise InputError(
            "no group can be formed: " + "; ".join(why for why, _ in reasons),
            remedy="allow smaller groups, or ask for less in common",
        )
    if reasons and not wanted.is_partial:
        shown = "; ".join(f"{why} ({count:,} without a group)" for why, count in reasons[:5])
        more = f"; and {len(reasons) - 5} more reasons" if len(reasons) > 5 else ""
        raise InputError(
            f"not everybody can be in a group: {shown}{more}",
            remedy="allow other sizes, more groups, less in common, or learners without a group (partial)",
        )
    return tuple(reasons)
