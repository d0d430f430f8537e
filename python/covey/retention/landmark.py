"""Archetypes from the first days of each learner alone, so that what came later cannot have made them.

Archetypes of whole histories know the future: whoever stayed is a Power User because they stayed. Learners are told
apart by their first days (the landmark), and only what happens afterwards is compared (Anderson, Cain and Gelber 1983).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from covey.errors import InputError
from covey.retention.activity import DAY_US, Activity
from covey.retention.groups import Groups

if TYPE_CHECKING:
    from covey.cohorts import Cohorts
    from covey.events import Events


def first_days_cohorts(
    events: Events, activity: Activity, landmark_days: int, k: int | Literal["auto"], seed: int, threads: int | None
) -> Cohorts:
    """Cohorts by the traits of each learner's first `landmark_days` days, as of the end of the last of them.

    Only learners who have completed these days. Every learner's days are moved onto the same ones: age is the time
    before the learner's own landmark.

    Raises:
        InputError: when no learner has completed them, or for a k that does not fit.
    """
    from covey.events import Events
    from covey.traits import compute

    if landmark_days < 1:
        raise InputError(f"landmark is {landmark_days} days", expected="1 or more")
    complete = activity.first_day + np.int64(landmark_days - 1) <= activity.last_complete_day
    if not complete.any():
        raise InputError(
            f"no learner has completed {landmark_days} days",
            remedy=f"choose a landmark of at most {activity.observed_days + 1} days",
        )
    rows = events.learner_index_of_rows()
    places = np.full(len(events.learner_ids), -1, dtype=np.int64)
    places[_positions(events, activity)] = np.arange(len(activity))
    begins_us = np.where(complete, activity.first_day, 0).astype(np.int64) * DAY_US
    begins_us += activity.day_start_seconds * 1_000_000
    place = places[rows]
    since_us = events.time_us - begins_us[place]
    kept = np.flatnonzero((place >= 0) & complete[place] & (since_us < landmark_days * DAY_US))

    def taken(column: np.ndarray | None) -> np.ndarray | None:
        return None if column is None else column[kept]

    early = Events(
        learner_ids=events.learner_ids,
        learner_index=rows[kept],
        time=since_us[kept],
        domain_index=events.domain_index[kept],
        domains=events.domains,
        capability_index=events.capability_index[kept],
        capabilities=events.capabilities,
        kind=taken(events.kind),
        action_taken=taken(events.action_taken),
        weight=taken(events.weight),
    )
    traits = compute(early, landmark_days * DAY_US - 1, None, "native", threads)
    return traits.discover(k=k, seed=seed, threads=threads)


def archetype_groups(activity: Activity, cohorts: Cohorts) -> Groups:
    """Learners by the archetype of their cohort, the largest first; cohorts of one archetype are one group."""
    from covey.agreement import common_positions

    names = tuple(dict.fromkeys(cohorts.archetypes))
    code_of = np.array([names.index(name) for name in cohorts.archetypes], dtype=np.int32)
    mine, theirs = common_positions(activity.learner_ids, cohorts.traits.learner_ids)
    codes = np.full(len(activity), -1, dtype=np.int32)
    codes[mine] = code_of[cohorts.labels[theirs]]
    sizes = np.bincount(codes[mine], minlength=len(names))
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty(len(names), dtype=np.int32)
    rank[order] = np.arange(len(names), dtype=np.int32)
    codes[mine] = rank[codes[mine]]
    return Groups(codes, tuple(names[position] for position in order))


def _positions(events: Events, activity: Activity) -> np.ndarray:
    from covey.agreement import common_positions

    if len(events.learner_ids) == len(activity):
        return np.arange(len(activity))
    return common_positions(events.learner_ids, activity.learner_ids)[0]
