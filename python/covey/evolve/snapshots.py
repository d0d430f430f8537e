"""Traits and cohorts of all learners at many instants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from covey.agreement import common_positions
from covey.engine import Progress
from covey.errors import InputError
from covey.evolve.alignment import Alignment, align
from covey.identifiers import LearnerIds
from covey.instants import instant_to_datetime, instant_to_us
from covey.parameters import TraitParameters
from covey.traits import Traits
from covey.traits_over_time import traits_at

if TYPE_CHECKING:
    from covey.cohort_model import CohortModel
    from covey.cohorts import Cohorts
    from covey.events import Events

NOT_YET = -2
"""State of a learner without an event so far."""
AWAY = -1
"""State of a learner without an event in the last days."""

DEFAULT_AWAY_AFTER_DAYS = 28
_MOST_SNAPSHOTS = 1_000


class Model(StrEnum):
    """Which cohorts a snapshot is told by."""

    fixed = "fixed"
    """Those found at the first snapshot at which most of the learners are there, for all snapshots."""
    refit = "refit"
    """Cohorts of its own, aligned with those before."""


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """One instant.

    Attributes:
        as_of_us: microseconds since the epoch, UTC.
        traits: of the learners with an event so far.
        places: int64, shape (len(traits),): position of each of them in `Snapshots.learner_ids`.
        cohorts: found among the learners who are not away; None with a fixed model.
        states: int64, shape (n,): of every learner: a lane, `AWAY` or `NOT_YET`.
    """

    as_of_us: int
    traits: Traits
    places: NDArray[np.int64]
    cohorts: Cohorts | None
    states: NDArray[np.int64]

    @property
    def name(self) -> str:
        """The date, with the time where it is not midnight."""
        moment = instant_to_datetime(self.as_of_us)
        return moment.strftime("%Y-%m-%d" if moment.time() == datetime.min.time() else "%Y-%m-%d %H:%M")


@dataclass(frozen=True, eq=False, slots=True)
class Snapshots:
    """All instants, ascending.

    Attributes:
        learner_ids: n learners with an event by the last instant, ascending.
        items: the snapshots.
        lane_names: the archetype of each lane, numbered where several lanes share one.
        alignment: how the cohorts were matched; None with a fixed model.
        away_after_days: days without an event after which a learner is away; None: never.
        model: which cohorts the states are.
        fixed_model: that model; None for `Model.refit`.
    """

    learner_ids: LearnerIds
    items: tuple[Snapshot, ...]
    lane_names: tuple[str, ...]
    alignment: Alignment | None
    away_after_days: int | None
    model: Model
    fixed_model: CohortModel | None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def states(self) -> NDArray[np.int64]:
        """Shape (snapshots, n)."""
        return np.stack([item.states for item in self.items])

    @property
    def state_names(self) -> tuple[str, ...]:
        """Of the states 0, 1, ... and, where learners can be away, of `AWAY` as the last."""
        return self.lane_names if self.away_after_days is None else (*self.lane_names, "away")

    @property
    def problems(self) -> tuple[str, ...]:
        """What did not match between snapshots, in words."""
        return () if self.alignment is None else self.alignment.problems


def instants_between(first_us: int, last_us: int, every_days: int) -> list[int]:
    """Instants `every_days` days apart that end at `last_us`, none before `first_us`.

    Raises:
        InputError: for fewer than two, or more than 1,000.
    """
    if every_days < 1:
        raise InputError(f"snapshots every {every_days} days", expected="1 or more")
    step = timedelta(days=every_days) // timedelta(microseconds=1)
    found = list(range(last_us, first_us - 1, -step))[::-1]
    if not 2 <= len(found) <= _MOST_SNAPSHOTS:
        span = (last_us - first_us) / step * every_days
        raise InputError(
            f"a snapshot every {every_days} days gives {len(found)} in {span:.0f} days",
            expected=f"2 to {_MOST_SNAPSHOTS}",
        )
    return found


def snapshots(
    events: Events,
    as_of: Sequence[datetime | np.datetime64 | int],
    *,
    k: int | Literal["auto"] = "auto",
    model: Model = Model.fixed,
    fixed_model: CohortModel | None = None,
    seed: int = 0,
    away_after_days: int | None = DEFAULT_AWAY_AFTER_DAYS,
    parameters: TraitParameters | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Snapshots:
    """Traits and cohorts at every instant.

    Traits are those of `traits_at`: events read again at each instant, or one `TraitState` that advances from each to
    the next, whichever costs less.

    With `Model.fixed` the cohorts are those of the first snapshot at which at least half of all learners are there and
    not away, so that a change of label is a change of behaviour. With `Model.refit` each snapshot has its own cohorts,
    and lanes match them (`align`).

    Args:
        events: in any order of rows.
        as_of: two instants or more.
        k: number of cohorts; "auto" is chosen once with a fixed model, and once per snapshot with `Model.refit`.
        model: which cohorts.
        fixed_model: cohorts to tell every snapshot by, in place of `k` and `seed`.
        seed: of k-means.
        away_after_days: learners without an event for so many days are away, and no part of the cohorts; None: never.
        parameters: constants of the traits; those of `fixed_model` where one is given.
        threads: one per processor by default.
        progress: called with (what, done, total).

    Raises:
        InputError: for instants before every event or fewer than two, parameters other than the model's, or snapshots
            with too few learners for k.
    """
    instants = sorted({instant_to_us(moment) for moment in as_of})
    model = Model(model)
    _check(instants, events, away_after_days, fixed_model, parameters)
    parameters = parameters or (fixed_model.parameters if fixed_model is not None else TraitParameters())
    taken = list(traits_at(events, instants, parameters, progress, threads))
    learner_ids = taken[-1].learner_ids
    places = [common_positions(learner_ids, traits.learner_ids)[0] for traits in taken]
    present = [_present(traits, away_after_days) for traits in taken]
    if model is Model.fixed:
        chosen = fixed_model or _first_model(taken, present, len(learner_ids), k, seed, threads)
        items = tuple(
            Snapshot(instant, traits, place, None, _states(len(learner_ids), place, here, chosen.assign(
                traits.matrix[:, here], threads=threads)))
            for instant, traits, place, here in zip(instants, taken, places, present, strict=True)
        )  # fmt: skip
        names = _distinct([row.archetype for row in chosen.cohorts])
        return Snapshots(learner_ids, items, names, None, away_after_days, model, chosen)
    found = [
        _cohorts(traits, here, k, seed, threads, instant)
        for instant, traits, here in zip(instants, taken, present, strict=True)
    ]
    labels = [instant_to_datetime(instant).strftime("%Y-%m-%d") for instant in instants]
    lanes = align([cohorts.centroids for cohorts in found], labels)
    items = tuple(
        Snapshot(instant, traits, place, cohorts, _states(len(learner_ids), place, here, own[cohorts.labels]))
        for instant, traits, place, here, cohorts, own in zip(
            instants, taken, places, present, found, lanes.lanes, strict=True
        )
    )
    return Snapshots(learner_ids, items, _lane_names(found, lanes), lanes, away_after_days, model, None)


def _present(traits: Traits, away_after_days: int | None) -> NDArray[np.bool_]:
    if away_after_days is None:
        return np.ones(len(traits), dtype=bool)
    return np.asarray(traits["recency_days"] < away_after_days)


def _cohorts(
    traits: Traits, here: NDArray[np.bool_], k: int | Literal["auto"], seed: int, threads: int | None, instant: int
) -> Cohorts:
    if not here.any():
        raise InputError(f"at {instant_to_datetime(instant).isoformat()} every learner is away")
    here_only = replace(
        traits,
        learner_ids=traits.learner_ids.take(np.flatnonzero(here)),
        matrix=np.ascontiguousarray(traits.matrix[:, here]),
        further={name: values[here] for name, values in traits.further.items()},
    )
    try:
        return here_only.discover(k=k, seed=seed, threads=threads)
    except InputError as error:
        raise InputError(
            f"at {instant_to_datetime(instant).isoformat()}: {error.problem}", remedy=error.remedy
        ) from None


def _first_model(
    taken: Sequence[Traits],
    present: Sequence[NDArray[np.bool_]],
    learner_count: int,
    k: int | Literal["auto"],
    seed: int,
    threads: int | None,
) -> CohortModel:
    counts = [int(here.sum()) for here in present]
    enough = [number for number, count in enumerate(counts) if 2 * count >= learner_count]
    chosen = enough[0] if enough else int(np.argmax(counts))
    return _cohorts(taken[chosen], present[chosen], k, seed, threads, taken[chosen].as_of_us).model


def _states(
    learner_count: int, places: NDArray[np.int64], here: NDArray[np.bool_], lanes: NDArray[np.integer]
) -> NDArray[np.int64]:
    states = np.full(learner_count, NOT_YET, dtype=np.int64)
    states[places] = AWAY
    states[places[here]] = lanes
    return states


def _lane_names(found: Sequence[Cohorts], lanes: Alignment) -> tuple[str, ...]:
    """The archetype that a lane held most often, by learners."""
    votes: list[dict[str, int]] = [{} for _ in range(lanes.lane_count)]
    for cohorts, own in zip(found, lanes.lanes, strict=True):
        for lane, name, size in zip(own.tolist(), cohorts.archetypes, cohorts.sizes, strict=True):
            votes[lane][name] = votes[lane].get(name, 0) + size
    return _distinct([max(vote, key=lambda name: vote[name]) for vote in votes])


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        name if names.count(name) == 1 else f"{name} {names[: position + 1].count(name)}"
        for position, name in enumerate(names)
    )


def _check(
    instants: Sequence[int],
    events: Events,
    away_after_days: int | None,
    fixed_model: CohortModel | None,
    parameters: TraitParameters | None,
) -> None:
    if len(instants) < 2:
        raise InputError(f"{len(instants)} instant to look at", expected="two or more: evolution is between them")
    oldest_us = int(events.time_us.min())
    if instants[0] < oldest_us:
        raise InputError(
            f"as_of {instant_to_datetime(instants[0]).isoformat()} is before every event: the first is at "
            f"{instant_to_datetime(oldest_us).isoformat()}",
            remedy="choose instants from then on",
        )
    if away_after_days is not None and away_after_days < 1:
        raise InputError(f"away after {away_after_days} days", expected="1 or more")
    if fixed_model is not None and parameters is not None and parameters != fixed_model.parameters:
        raise InputError("the cohort model was made with other trait parameters", remedy="leave the parameters out")
