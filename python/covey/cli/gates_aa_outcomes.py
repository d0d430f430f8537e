"""Outcomes of real learners for `covey gates aa`: made from events, or columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError, suggestion

if TYPE_CHECKING:
    from covey.events_mapping import EventMapping
    from covey.identifiers import LearnerIds

WEIGHT = "weight"
FEWEST_LEARNERS = 100
MOST_METRICS = 8
KEY = "learner_id"


@dataclass(frozen=True)
class Outcomes:
    """One number per learner and metric.

    Attributes:
        learner_ids: distinct.
        metrics: float64 by name, each of shape (learners,).
    """

    learner_ids: LearnerIds
    metrics: dict[str, NDArray[np.float64]]


def outcomes_of_events(path: Path, mapping: EventMapping, names: Sequence[str]) -> Outcomes:
    """Metrics made from events: traits, what else is known per learner, and the sum of weights.

    Raises:
        InputError: events that cannot be used, or no such metric.
    """
    from covey.events import Events
    from covey.parameters import FURTHER_NAMES, TRAIT_NAMES

    known = (*FURTHER_NAMES, WEIGHT, *TRAIT_NAMES)
    for name in names:
        if name not in known:
            remedy = suggestion(name, known).replace("the columns are", "the metrics of events are")
            raise InputError(f"there is no metric '{name}' of events", remedy=remedy)
    events = Events.from_parquet(path, mapping)
    traits = events.traits()
    metrics = {
        name: _weight_sums(events) if name == WEIGHT else traits[name].astype(np.float64, copy=False) for name in names
    }
    return _checked(Outcomes(traits.learner_ids, metrics), str(path))


def _weight_sums(events: Any) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.bincount(
        events.learner_index_of_rows(), weights=events.weight, minlength=len(events.learner_ids)
    ).astype(np.float64)
    return sums


def outcomes_of_file(path: Path, names: Sequence[str], key: str = KEY) -> Outcomes:
    """Numeric columns of a Parquet table with one row per learner; all of them where none is named.

    Raises:
        InputError: no such column, one that holds no numbers, missing values, or learners that are there twice.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from covey.events_parquet import open_parquet, parquet_files
    from covey.identifiers import LearnerIds

    source = str(path)
    (file,) = parquet_files(path)
    parquet = open_parquet(file)
    schema = parquet.schema_arrow
    numeric = [field.name for field in schema if field.name != key and _is_number(field.type)]
    chosen = list(names) or numeric
    for name in (key, *chosen):
        if name not in schema.names:
            remedy = suggestion(name, schema.names)
            raise InputError("there is no such column", source=source, column=name, remedy=remedy)
        if name != key and name not in numeric:
            raise InputError(f"it holds {schema.field(name).type}", source=source, column=name, expected="numbers")
    if not chosen:
        raise InputError("there is no column of numbers", source=source, remedy=f"give one beside '{key}'")
    table = parquet.read(columns=[key, *chosen])
    for name in (key, *chosen):
        if table[name].null_count:
            row = int(np.flatnonzero(table[name].is_null().to_numpy())[0])
            raise InputError("a value is missing", source=source, column=name, row=row, remedy="leave the learner out")
    ids = table[key].combine_chunks()
    if not pa.types.is_integer(ids.type):
        ids = ids.cast(pa.large_string())
    order = pc.sort_indices(ids)
    ids, table = ids.take(order), table.take(order)
    if len(ids) > 1 and pc.any(pc.equal(ids[1:], ids[:-1])).as_py():
        twice = ids[int(np.flatnonzero(pc.equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False))[0])]
        remedy = "give one row per learner: rows of one learner are drawn alike and are not independent"
        raise InputError(f"learner '{twice}' is there twice", source=source, column=key, remedy=remedy)
    metrics = {name: table[name].to_numpy().astype(np.float64) for name in chosen}
    return _checked(Outcomes(LearnerIds.from_arrow(ids), metrics), source)


def _is_number(type_: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_))


def _checked(outcomes: Outcomes, source: str) -> Outcomes:
    """The outcomes, if a test of them can mean something."""
    learners = len(outcomes.learner_ids)
    if learners < FEWEST_LEARNERS:
        problem = f"there are {learners} learners; splits of fewer than {FEWEST_LEARNERS} say nothing"
        raise InputError(problem, source=source)
    if len(outcomes.metrics) > MOST_METRICS:
        problem = f"there are {len(outcomes.metrics)} metrics, at most {MOST_METRICS} at a time"
        raise InputError(problem, source=source, remedy="choose some with --metric")
    for name, values in outcomes.metrics.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            learner = outcomes.learner_ids.text(int(bad[0]))
            raise InputError(f"it is {values[bad[0]]} for learner '{learner}'", source=source, column=name)
        if values.min() == values.max():
            problem = f"it is {values[0]:g} for all {learners:,} learners: there is nothing to test"
            raise InputError(problem, source=source, column=name)
    return outcomes
