"""What other servers of a shared store have added to the exposures of a phase since the last look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from sqlalchemy import Connection, Table, select

from covey_server.outcomes.exposures_store import exposure_batches, exposure_covariates, segment_names, signed
from covey_server.outcomes.exposures_table import RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

Records: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What is new in a phase, own exposures included.

    Attributes:
        segments: names by the store's number.
        exposures: of `RECORD`, with the store's numbers of segments.
        covariates: of `RECORD`, by trait and variant number.
    """

    segments: Sequence[str]
    exposures: Records
    covariates: dict[tuple[str, int], Records]


@dataclass(slots=True)
class Place:
    """How far the batches of one phase have been read: records by number of the batch."""

    exposures: dict[int, int] = field(default_factory=dict)
    covariates: dict[int, int] = field(default_factory=dict)


def arrivals(connection: Connection, phase_key: int, place: Place) -> Arrivals | None:
    """What was added to a phase behind `place`, which is moved on.

    Returns:
        None where something was taken away: a learner was deleted, and the phase is to be loaded anew.
    """
    exposures = _added(connection, exposure_batches, phase_key, place.exposures)
    covariates = _added(connection, exposure_covariates, phase_key, place.covariates)
    if exposures is None or covariates is None:
        return None
    by_place: dict[tuple[str, int], list[Records]] = {}
    if covariates:
        columns = exposure_covariates.c
        where = columns.batch.in_(list(covariates))
        for batch, trait, variant in connection.execute(
            select(columns.batch, columns.trait, columns.variant).where(where)
        ):
            by_place.setdefault((trait, variant), []).append(covariates[batch])
    return Arrivals(
        segment_names(connection, phase_key) if exposures else (),
        _joined(list(exposures.values())),
        {key: _joined(parts) for key, parts in by_place.items()},
    )


def _added(connection: Connection, table: Table, phase_key: int, seen: dict[int, int]) -> dict[int, Records] | None:
    """The records of every batch behind those that were seen; None where there are fewer."""
    counted = select(table.c.batch, table.c.record_count).where(table.c.phase_key == signed(phase_key))
    counts = {row.batch: row.record_count for row in connection.execute(counted.order_by(table.c.batch))}
    if any(counts.get(batch, 0) < count for batch, count in seen.items()):
        return None
    grown = [batch for batch, count in counts.items() if count > seen.get(batch, 0)]
    added: dict[int, Records] = {}
    for batch in grown:
        payload = connection.execute(select(table.c.records).where(table.c.batch == batch)).scalar_one()
        added[batch] = np.frombuffer(payload, RECORD)[seen.get(batch, 0) :]
    seen.update(counts)
    return added


def _joined(parts: Sequence[Records]) -> Records:
    return np.concatenate(parts) if parts else np.empty(0, RECORD)
