"""The traits of all learners at many instants, in the way that costs less."""

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

# In readings of one event by the batch kernels (about 15 ns), as `benchmarks/bench_evolution.py` finds them.
_UPDATE_READINGS = 24
"""To advance a learner's state by one event."""
_QUESTION_READINGS = 100
"""To ask a learner's state for its traits: what it holds of every capability is looked at."""


def traits_at(
    events: Events,
    instants: Sequence[int],
    parameters: TraitParameters,
    progress: Progress | None = None,
    threads: int | None = 1,
) -> Iterator[Traits]:
    """The traits at each instant: all events read again for each, or one state that meets every event once.

    Both say the same to 1e-6 in every column (`TraitState`). Reading again costs by events and instants, the state by
    events once and by learners and instants: it is for long histories and many instants (`is_read_again`).

    Args:
        events: in any order of rows.
        instants: ascending, microseconds since the epoch; the first not before every event.
        parameters: constants of the traits.
        progress: called with (what, done, total).
        threads: of the reading; None for one per processor. The state has one.
    """
    is_again = is_read_again(len(events.time), len(events.learner_ids), len(instants))
    found = read_again(events, instants, parameters, threads) if is_again else advanced(events, instants, parameters)
    for number in range(len(instants)):
        if progress is not None:
            progress("snapshots", number, len(instants))
        yield next(found)


def is_read_again(event_count: int, learner_count: int, instant_count: int) -> bool:
    """Whether reading all events again at each instant costs less than one state that meets each once.

    With up to 100 events a learner it always does; with a thousand, up to 26 instants.
    """
    state = _UPDATE_READINGS * event_count + _QUESTION_READINGS * learner_count * instant_count
    return event_count * instant_count <= state


def read_again(
    events: Events, instants: Sequence[int], parameters: TraitParameters, threads: int | None
) -> Iterator[Traits]:
    """`traits_at` by reading all events at each instant."""
    for instant in instants:
        yield events.traits(instant, parameters, threads=threads)


def advanced(events: Events, instants: Sequence[int], parameters: TraitParameters) -> Iterator[Traits]:
    """`traits_at` by one state that meets every event once, on one thread."""
    # The first instant that sees each event. Of so few different values a stable sort is a radix sort, which leaves the
    # rows of an instant in the order of the columns, so that their memory is read forwards.
    first_seen = np.searchsorted(instants, events.time_us).astype(np.min_scalar_type(len(instants)))
    order = np.argsort(first_seen, kind="stable")
    ends = np.cumsum(np.bincount(first_seen, minlength=len(instants) + 1)).tolist()
    rows_learner = events.learner_index_of_rows()
    state = TraitState(parameters)
    begin = 0
    for instant, end in zip(instants, ends, strict=False):
        if end > begin:
            state.update(_rows(events, rows_learner, order[begin:end]))
            begin = end
        yield replace(state.traits(instant), ignored_event_count=len(order) - end)


def _rows(events: Events, rows_learner: NDArray[np.int32], rows: NDArray[np.int64]) -> Events:
    def taken(column: Any) -> Any:
        return None if column is None else column[rows]

    own = rows_learner[rows]
    is_there = np.zeros(len(events.learner_ids), dtype=bool)
    is_there[own] = True
    place = np.cumsum(is_there, dtype=np.int32) - 1
    return replace(
        events,
        learner_ids=events.learner_ids.take(np.flatnonzero(is_there)),
        learner_index=place[own].astype(np.int32),
        learner_offsets=None,
        time=events.time[rows],
        domain_index=events.domain_index[rows],
        capability_index=events.capability_index[rows],
        kind=taken(events.kind),
        action_taken=taken(events.action_taken),
        weight=taken(events.weight),
    )
