"""FormGroups: the request as arguments of the library, its answer as a message."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from covey.errors import InputError
from covey.together import Compose, Friends, Space, Wanted, form_groups
from covey.together.files import edges_of
from covey.together.space import ARCHETYPE, COHORT
from covey.v1 import together_pb2
from covey_server.errors import invalid
from covey_server.studies.fields import instant_of, k_of, or_default, seed_of

if TYPE_CHECKING:
    from covey.events import Events
    from covey.together import Groups
    from covey.together.quality import Against

MOST_LEARNERS = 100_000
_Request = together_pb2.FormGroupsRequest
_COMPOSITIONS = {
    _Request.COMPOSITION_UNSPECIFIED: Compose.alike,
    _Request.COMPOSITION_ALIKE: Compose.alike,
    _Request.COMPOSITION_MIXED: Compose.mixed,
}


def form(
    request: together_pb2.FormGroupsRequest, events: Callable[[], Events], threads: int
) -> together_pb2.FormGroupsResponse:
    """Form groups and answer.

    Args:
        request: what is asked.
        events: loads them, once the request is known to be sound.
        threads: at most so many.

    Raises:
        CallError: INVALID_ARGUMENT for a field out of range.
        InputError: the request does not fit the events, or constraints cannot be kept.
    """
    if request.composition not in _COMPOSITIONS:
        raise invalid("composition", f"{request.composition} is no composition")
    weight = request.friend_weight if request.HasField("friend_weight") else 1.0
    if not (math.isfinite(weight) and weight >= 0):
        raise invalid("friend_weight", f"{weight:g} is not 0 or more")
    k, seed = k_of(request), seed_of(request.seed)
    as_of_us = instant_of(request.as_of, "as_of", request.HasField("as_of"))
    compose = _COMPOSITIONS[request.composition]
    wanted = Wanted(
        smallest=or_default(request.smallest_count, 15, "smallest_count"),
        largest=or_default(request.largest_count, 30, "largest_count"),
        compose=compose,
        same=tuple(request.same),
        mix_by=request.mix_by or None,
        most_groups=or_default(request.group_limit, 0, "group_limit") or None,
        is_partial=request.partial,
        friends=Friends.keep if request.keep_friends else Friends.prefer,
        friend_weight=weight,
        seed=seed,
    )
    names = [*wanted.same, *([wanted.mix_by or ARCHETYPE] if compose is Compose.mixed else [])]
    traits = events().traits(as_of_us, threads=threads)
    if len(traits) > MOST_LEARNERS:
        raise InputError(
            f"{len(traits):,} learners are too many for one answer",
            expected=f"at most {MOST_LEARNERS:,}",
            remedy="form the groups with `covey groups` or covey.together",
        )
    is_cohort = {COHORT, ARCHETYPE} & set(names)
    space = Space.of(traits.discover(k, seed, threads=threads)) if is_cohort else Space.of(traits)
    foreign = [name for name in dict.fromkeys(names) if name not in (COHORT, ARCHETYPE)]
    if foreign:
        space = space.with_attributes(_attributes(request, foreign), "learner_id", foreign, "attributes")
    pairs = edges_of(space, _friendships(request), ("one", "other"), "friendships") if request.friendships else None
    return _message(form_groups(space, wanted, pairs, threads))


def _attributes(request: together_pb2.FormGroupsRequest, names: list[str]) -> Any:
    import pyarrow as pa

    columns = {"learner_id": pa.array([own.learner_id for own in request.attributes], pa.large_string())}
    for name in names:
        if not any(name in own.values for own in request.attributes):
            raise InputError(f"no learner of `attributes` has a value of '{name}'")
        columns[name] = pa.array([own.values.get(name) for own in request.attributes], pa.string())
    return pa.table(columns)


def _friendships(request: together_pb2.FormGroupsRequest) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            "one": pa.array([own.learner_id for own in request.friendships], pa.large_string()),
            "other": pa.array([own.other_learner_id for own in request.friendships], pa.large_string()),
        }
    )


def _message(found: Groups) -> together_pb2.FormGroupsResponse:
    quality = found.quality
    message = together_pb2.FormGroupsResponse(
        groups=[together_pb2.StudyGroup(shares=pool) for pool in found.pools],
        learner_count=quality.learner_count,
        placed_count=quality.placed_count,
        left_out=[together_pb2.LeftOut(reason=why, learner_count=count) for why, count in found.left_out],
        spread=_figure(quality.spread),
        between=_figure(quality.between),
    )
    for text, label in zip(found.space.learner_ids.texts(), found.labels.tolist(), strict=True):
        if label >= 0:
            message.groups[label].learner_ids.append(text)
    if quality.mixture is not None:
        message.mixture.CopyFrom(_figure(quality.mixture))
    if quality.friendships is not None:
        message.friendships.CopyFrom(_figure(quality.friendships))
    return message


def _figure(own: Against) -> together_pb2.GroupFigure:
    return together_pb2.GroupFigure(
        value=own.value, chance=own.chance, chance_low=own.chance_low, chance_high=own.chance_high, bound=own.bound
    )
