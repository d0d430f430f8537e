"""The behavioural numbers of every learner at one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from covey.engine import EngineName, Progress, engine_named, thread_count
from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.instants import instant_to_datetime
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES, TraitParameters

if TYPE_CHECKING:
    from datetime import datetime

    from covey.cohorts import Cohorts
    from covey.events import Events


@dataclass(frozen=True, eq=False, slots=True)
class Traits:
    """One row per learner with at least one event at or before `as_of`.

    Attributes:
        learner_ids: n distinct ids, ascending.
        matrix: float32, shape (5, n): one row per trait in the order of `TRAIT_NAMES`, each value in [0, 1].
        further: domain_entropy (float32, bits), momentum (float32), event_count (int64), active_days (int32),
            tenure_days and recency_days (float64): age of the oldest and newest event.
        as_of_us: the instant that ages refer to, microseconds since the epoch, UTC.
        ignored_event_count: events later than that.
        parameters: constants of the definitions.
        engine: which engine computed them.
    """

    learner_ids: LearnerIds
    matrix: NDArray[np.float32]
    further: Mapping[str, NDArray[Any]]
    as_of_us: int
    ignored_event_count: int
    parameters: TraitParameters
    engine: EngineName

    def __len__(self) -> int:
        return len(self.learner_ids)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column by name, shape (n,)."""
        if name in TRAIT_NAMES:
            column: NDArray[Any] = self.matrix[TRAIT_NAMES.index(name)]
            return column
        return self.further[name]

    @property
    def as_of(self) -> datetime:
        """The instant that ages refer to, in UTC."""
        return instant_to_datetime(self.as_of_us)

    def to_arrow(self) -> Any:
        """A pyarrow table: learner_id, the five traits, then what else is known per learner."""
        import pyarrow as pa

        columns = {"learner_id": self.learner_ids.to_arrow()}
        columns |= {name: pa.array(self[name]) for name in TRAIT_NAMES + FURTHER_NAMES}
        return pa.table(columns)

    def to_pandas(self) -> Any:
        """`to_arrow` as a pandas.DataFrame; numbers share memory with the traits and are read-only.

        Raises:
            InputError: without pandas.
        """
        from covey.notebook.frames import to_pandas

        return to_pandas(self.to_arrow())

    def to_polars(self) -> Any:
        """`to_arrow` as a polars.DataFrame; numbers share memory with the traits.

        Raises:
            InputError: without polars.
        """
        from covey.notebook.frames import to_polars

        return to_polars(self.to_arrow())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """`to_arrow` through the Arrow C data interface: for polars, DuckDB, pandas and pyarrow."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        from covey.notebook.text import of_traits

        return of_traits(self)

    def _repr_html_(self) -> str:
        from covey.notebook.html import of_traits

        return of_traits(self)

    def discover(
        self,
        k: int | Literal["auto"] = "auto",
        seed: int = 0,
        trait_weights: Mapping[str, float] | Sequence[float] | None = None,
        engine: EngineName | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Cohorts:
        """Find the cohorts: weighted k-means with k-means++ seeding, run to convergence.

        Args:
            k: number of cohorts, or "auto": 2 to 12 by the silhouette of a sample.
            seed: the same learners and seed give the same bits, in any order and on any number of threads.
            trait_weights: five numbers or a mapping from trait names; see `trait_weight_tuple`.
            engine: "native" or "reference"; the one that computed the traits by default.
            threads: one per processor by default.
            progress: called with (what, done, total).

        Raises:
            InputError: when k is not "auto" or a number from 1 to the number of distinct trait vectors.
        """
        from covey.cohorts import discover

        return discover(self, k, seed, trait_weights, engine or self.engine, threads, progress)


def compute(
    events: Events,
    as_of_us: int,
    parameters: TraitParameters | None,
    engine: EngineName,
    threads: int | None,
) -> Traits:
    """The traits of all learners of `events`; learners whose every event is later than `as_of_us` have no row.

    Raises:
        InputError: when every event is later.
    """
    traits = compute_piece(events, as_of_us, parameters, engine, threads)
    if len(traits) == 0:
        raise all_later(as_of_us)
    return traits


def all_later(as_of_us: int) -> InputError:
    """What to say when every event is later than the instant that ages refer to."""
    return InputError(
        f"every event is later than as_of ({instant_to_datetime(as_of_us).isoformat()})",
        remedy="choose an as_of at or after the first event, or leave it out to use the newest event",
    )


def compute_piece(
    events: Events,
    as_of_us: int,
    parameters: TraitParameters | None,
    engine: EngineName,
    threads: int | None,
) -> Traits:
    """As `compute`, for a part of the learners: the answer may hold none."""
    parameters = parameters or TraitParameters()
    columns = {
        "learner_index": events.learner_index,
        "learner_offsets": events.learner_offsets,
        "learner_count": len(events.learner_ids),
        "time": events.time,
        "time_origin_us": events.time_origin_us,
        "domain_index": events.domain_index,
        "domain_count": len(events.domains),
        "capability_index": events.capability_index,
        "capability_count": len(events.capabilities),
        "kind": events.kind,
        "action_taken": events.action_taken,
        "weight": events.weight,
        "as_of_us": as_of_us,
    }
    result = engine_named(engine).compute_traits(columns, parameters, thread_count(threads))
    present = result["event_count"] > 0
    matrix = np.empty((len(TRAIT_NAMES), len(present)), dtype=np.float32)
    for trait, name in enumerate(TRAIT_NAMES):
        matrix[trait] = result.pop(name)  # freed at once: no two copies of the whole table
    further = {name: result[name] for name in FURTHER_NAMES}
    learner_ids = events.learner_ids
    if not present.all():
        learner_ids = learner_ids.take(np.flatnonzero(present))
        matrix = np.ascontiguousarray(matrix[:, present])
        further = {name: values[present] for name, values in further.items()}
    return Traits(
        learner_ids=learner_ids,
        matrix=matrix,
        further=further,
        as_of_us=as_of_us,
        ignored_event_count=int(result["ignored_event_count"]),
        parameters=parameters,
        engine=engine,
    )
