"""Events of a few learners as columns, and calls of the compiled core on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey import _core

from .trait_oracle import Event, Parameters

FLOAT_TRAITS = (
    "learning_velocity",
    "domain_affinity",
    "interaction_frequency",
    "feedback_responsiveness",
    "retention_strength",
    "domain_entropy",
    "momentum",
)
OTHER_COLUMNS = ("event_count", "active_days", "tenure_days", "recency_days")

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Events:
    learner_index: NDArray[np.int32]
    time_us: NDArray[Any]
    domain_index: NDArray[Any]
    capability_index: NDArray[Any]
    kind: NDArray[np.uint8] | None
    action_taken: NDArray[np.uint8] | None
    weight: NDArray[Any] | None
    learner_count: int
    domain_count: int
    capability_count: int
    learner_offsets: NDArray[np.int64] | None = None
    time_origin_us: int = 0

    def take(self, rows: NDArray[np.intp]) -> Events:
        def rows_of(column: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if column is None else column[rows]

        return replace(
            self,
            learner_index=self.learner_index[rows],
            time_us=self.time_us[rows],
            domain_index=self.domain_index[rows],
            capability_index=self.capability_index[rows],
            kind=rows_of(self.kind),
            action_taken=rows_of(self.action_taken),
            weight=rows_of(self.weight),
        )

    def traits(
        self,
        as_of_us: int,
        parameters: Parameters | None = None,
        threads: int = 1,
        isa: str | None = None,
        cancellation: _core.Cancellation | None = None,
    ) -> Columns:
        return _core.compute_traits(
            None if self.learner_offsets is not None else self.learner_index,
            self.learner_count,
            self.time_us,
            self.domain_index,
            self.domain_count,
            self.capability_index,
            self.capability_count,
            self.kind,
            self.action_taken,
            self.weight,
            as_of_us,
            _core.TraitParameters(**asdict(parameters or Parameters())),
            threads=threads,
            isa=isa,
            learner_offsets=self.learner_offsets,
            time_origin_us=self.time_origin_us,
            cancellation=cancellation,
        )

    def with_offsets(self) -> Events:
        """The same rows, which must be grouped by learner, with offsets in place of the index."""
        learners = np.arange(self.learner_count + 1)
        return replace(self, learner_offsets=np.searchsorted(self.learner_index, learners).astype(np.int64))

    def with_seconds(self, origin_us: int) -> Events:
        """Whole seconds since an origin in place of microseconds; the times must be such."""
        seconds, rest = np.divmod(self.time_us - origin_us, 1_000_000)
        assert not rest.any()
        assert seconds.min(initial=0) >= 0
        assert seconds.max(initial=0) < 2**32
        return replace(self, time_us=seconds.astype(np.uint32), time_origin_us=origin_us)


def columns_of(histories: list[list[Event]], *, weight_type: type = np.float64) -> Events:
    rows = [(learner, event) for learner, history in enumerate(histories) for event in history]
    events = [event for _, event in rows]
    return Events(
        learner_index=np.array([learner for learner, _ in rows], np.int32),
        time_us=np.array([event.time_us for event in events], np.int64),
        domain_index=np.array([event.domain for event in events], np.int32),
        capability_index=np.array([event.capability for event in events], np.int32),
        kind=np.array([event.kind for event in events], np.uint8),
        action_taken=np.array([event.action_taken for event in events], np.uint8),
        weight=np.array([event.weight for event in events], weight_type),
        learner_count=len(histories),
        domain_count=1 + max((event.domain for event in events), default=0),
        capability_count=1 + max((event.capability for event in events), default=0),
    )


def every_way(largest_threads: int = 3) -> Iterator[dict[str, Any]]:
    """Every instruction set of this machine by 1, 2, 3 threads."""
    for isa in _core.available_isas():
        for threads in range(1, largest_threads + 1):
            yield {"isa": isa, "threads": threads}


def assert_same_bits(one: Columns, other: Columns) -> None:
    assert one.keys() == other.keys()
    for name, column in one.items():
        assert column.dtype == other[name].dtype
        assert column.tobytes() == other[name].tobytes(), name
