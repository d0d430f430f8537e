"""Learners at many instants with what became of them: what a model is trained on and judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.churn.definition import Definition, check_instants, instants_to_learn_from
from covey.churn.features import FEATURE_NAMES, Floats, History, feature_rows
from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.instants import instant_to_us
from covey.parameters import TraitParameters

if TYPE_CHECKING:
    from covey.engine import Progress
    from covey.events import Events

DEFAULT_EVERY_DAYS = 7


@dataclass(frozen=True, eq=False, slots=True)
class Panel:
    """One row per instant and learner who was active in the days before it.

    Attributes:
        definition: what counts as having left.
        parameters: of the traits.
        learner_ids: n learners, ascending.
        learner: int64, shape (rows,): positions in `learner_ids`.
        as_of_us: int64, shape (rows,), ascending.
        features: float64, shape (rows, len(FEATURE_NAMES)).
        churned: bool, shape (rows,).
        last_us: int64, shape (n,): the newest event of each learner.
        observed_until_us: silence before it was seen.
    """

    definition: Definition
    parameters: TraitParameters
    learner_ids: LearnerIds
    learner: NDArray[np.int64]
    as_of_us: NDArray[np.int64]
    features: Floats
    churned: NDArray[np.bool_]
    last_us: NDArray[np.int64]
    observed_until_us: int

    def __len__(self) -> int:
        return len(self.learner)

    @property
    def instants(self) -> list[int]:
        """Distinct, ascending."""
        return [int(instant) for instant in np.unique(self.as_of_us)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what is learned from: features and outcomes, in hexadecimal."""
        digest = hashlib.sha256(np.ascontiguousarray(self.features).tobytes())
        digest.update(np.packbits(self.churned).tobytes())
        return digest.hexdigest()

    def rows(self, chosen: NDArray[np.bool_]) -> Panel:
        """The same with some rows."""
        return replace(
            self,
            learner=self.learner[chosen],
            as_of_us=self.as_of_us[chosen],
            features=self.features[chosen],
            churned=self.churned[chosen],
        )

    def check_both_classes(self, what: str) -> None:
        """Whether there is anything to tell apart.

        Raises:
            InputError: there are no rows, nobody left, or everybody did.
        """
        count, left = len(self), int(self.churned.sum())
        if 0 < left < count:
            return
        days = self.definition.horizon_days
        if not count:
            problem = f"{what} has no learner who was active in the {self.definition.active_days} days before"
        elif not left:
            problem = f"nobody left: in all {count:,} rows of {what} the learner came back within {days} days"
        else:
            problem = f"everybody left: in all {count:,} rows of {what} the learner stayed away for {days} days"
        raise InputError(
            f"{problem}; with one kind of outcome there is nothing to tell apart",
            remedy="choose other instants, another horizon, or more learners",
        )


def panel(
    events: Events,
    definition: Definition | None = None,
    *,
    as_of: Sequence[datetime | np.datetime64 | int] | None = None,
    every_days: int = DEFAULT_EVERY_DAYS,
    first: datetime | np.datetime64 | int | None = None,
    observed_until: datetime | np.datetime64 | int | None = None,
    outcomes: Mapping[str, int] | None = None,
    parameters: TraitParameters | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Panel:
    """Features before each instant, and who left after it.

    Instants whose horizon is not over by the end of the data are left out: whoever is silent there may yet come back.

    Args:
        events: in any order of rows.
        definition: what counts as having left; 28 days without an event by default.
        as_of: instants; every `every_days` back from the last with a complete horizon by default.
        every_days: days between instants, where they are not given.
        first: no instant before it; by default when half of the learners have had their first event, or the last
            possible instant where half come later.
        observed_until: until when silence would have been seen; the newest event by default.
        outcomes: with `Definition.by_outcome`: when each learner's outcome came, microseconds, by the text of the id.
        parameters: constants of the traits.
        threads: one per processor by default.
        progress: called with (what, done, total).

    Raises:
        InputError: a horizon longer than the data, only censored outcomes, `first` after the last possible instant,
            instants before every event, outcomes that are missing or not asked for.
    """
    definition = definition or Definition()
    parameters = parameters or TraitParameters()
    if definition.by_outcome != (outcomes is not None):
        raise InputError(
            "outcomes are given, but silence says who left"
            if outcomes is not None
            else "the definition asks for dates of outcomes, and none are given"
        )
    until = events.newest_us if observed_until is None else instant_to_us(observed_until)
    if as_of is None:
        begin = None if first is None else instant_to_us(first)
        instants = instants_to_learn_from(events, definition, every_days, until, begin)
    else:
        instants = check_instants([instant_to_us(moment) for moment in as_of], definition, until)
    oldest_us = int(events.time_us.min())
    if instants[0] <= oldest_us:
        raise InputError("an instant to learn from is before every event", remedy="choose later instants")
    history = History.of(events, threads)
    outcome_us = None if outcomes is None else _outcomes(events, outcomes)
    parts = []
    for rows in feature_rows(events, history, instants, definition.active_days, parameters, threads, progress):
        when = rows.next_us if outcome_us is None else outcome_us[rows.learners]
        end = rows.as_of_us + definition.horizon_us
        churned = when >= end if outcome_us is None else when < end
        # Whoever left before is no longer asked about.
        kept = np.ones(len(when), dtype=bool) if outcome_us is None else when >= rows.as_of_us
        stamp = np.full(int(kept.sum()), rows.as_of_us)
        parts.append((rows.learners[kept], stamp, rows.values[kept], churned[kept]))
    learner, as_of_us, features, churned = (np.concatenate(column) for column in zip(*parts, strict=True))
    assert features.shape[1] == len(FEATURE_NAMES)
    return Panel(
        definition, parameters, events.learner_ids, learner, as_of_us, features, churned, history.last_us, until
    )


def _outcomes(events: Events, outcomes: Mapping[str, int]) -> NDArray[np.int64]:
    never = np.iinfo(np.int64).max
    found = np.array([outcomes.get(text, never) for text in events.learner_ids.texts()], dtype=np.int64)
    if (found == never).all():
        raise InputError("no outcome is of a learner with events", remedy="name learners as the events do")
    return found
