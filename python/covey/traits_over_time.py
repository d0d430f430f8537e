"""The traits of all learners at many instants, each event met once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from covey.engine import Progress
from covey.parameters import TraitParameters
from covey.trait_state import TraitState
from covey.traits import Traits

if TYPE_CHECKING:
    from covey.events import Events


def traits_at(
    events: Events, instants: Sequence[int], parameters: TraitParameters, progress: Progress | None = None
) -> Iterator[Traits]:
    """The traits at each instant, from one state that meets every event once.

    Args:
        events: in any order of rows.
        instants: ascending, microseconds since the epoch; the first not before every event.
        parameters: constants of the traits.
        progress: called with (what, done, total).
    """
    time_us = events.time_us
    order = np.argsort(time_us, kind="stable")
    bounds = np.searchsorted(time_us, instants, side="right", sorter=order)
    rows_learner = events.learner_index_of_rows()
    state = TraitState(parameters)
    begin = 0
    for number, (instant, end) in enumerate(zip(instants, bounds.tolist(), strict=True)):
        if progress is not None:
            progress("snapshots", number, len(instants))
        if end > begin:
            state.update(_rows(events, rows_learner, order[begin:end]))
            begin = end
        yield state.traits(instant)


def _rows(events: Events, rows_learner: NDArray[np.int32], rows: NDArray[np.int64]) -> Events:
    rows = np.sort(rows)  # in the order of the columns: their memory is read forwards

    def taken(column: Any) -> Any:
        return None if column is None else column[rows]

    learners, index = np.unique(rows_learner[rows], return_inverse=True)
    return replace(
        events,
        learner_ids=events.learner_ids.take(learners.astype(np.int64)),
        learner_index=index.astype(np.int32),
        learner_offsets=None,
        time=events.time[rows],
        domain_index=events.domain_index[rows],
        capability_index=events.capability_index[rows],
        kind=taken(events.kind),
        action_taken=taken(events.action_taken),
        weight=taken(events.weight),
    )
