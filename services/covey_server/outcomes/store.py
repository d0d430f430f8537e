"""Outcomes in the store, one row each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table, delete, func, insert, select

from covey_server.outcomes.exposures_store import signed, unsigned
from covey_server.store.schema import RowNumber, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

outcomes = Table(
    "outcomes",
    metadata,
    Column("outcome", RowNumber, primary_key=True, autoincrement=True),
    Column("learner", BigInteger, nullable=False, index=True),
    Column("metric", String(63), nullable=False),
    Column("value", Float(53), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    # Null where no exposure is credited.
    Column("phase_key", BigInteger, nullable=True, index=True),
    Column("variant", Integer, nullable=True),
)


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One outcome as it is stored; `phase_key` and `variant` are None where no exposure is credited."""

    learner: int
    metric: str
    value: float
    time_us: int
    phase_key: int | None
    variant: int | None


def save(connection: Connection, rows: Sequence[OutcomeRow]) -> None:
    """Add outcomes."""
    values = [
        {
            "learner": signed(row.learner),
            "metric": row.metric,
            "value": row.value,
            "time_us": row.time_us,
            "phase_key": None if row.phase_key is None else signed(row.phase_key),
            "variant": row.variant,
        }
        for row in rows
    ]
    if values:
        connection.execute(insert(outcomes), values)


def sums(connection: Connection, phase_key: int) -> Iterable[tuple[str, int, int, float]]:
    """(metric, variant, learner, sum) of the outcomes credited to a phase."""
    columns = outcomes.c
    query = (
        select(columns.metric, columns.variant, columns.learner, func.sum(columns.value))
        .where(columns.phase_key == signed(phase_key))
        .group_by(columns.metric, columns.variant, columns.learner)
    )
    for metric, variant, learner, total in connection.execute(query):
        yield metric, variant, unsigned(learner), total


def newest(connection: Connection) -> int:
    """Number of the outcome stored last; 0 where there is none."""
    return connection.scalar(select(func.max(outcomes.c.outcome))) or 0


def credited_after(connection: Connection, number: int) -> Iterable[tuple[int, OutcomeRow]]:
    """The outcomes behind one that are credited to a phase, each with its number, in the order of their commits."""
    query = select(outcomes).where(outcomes.c.outcome > number, outcomes.c.phase_key.is_not(None))
    for row in connection.execute(query.order_by(outcomes.c.outcome)):
        key, learner = unsigned(row.phase_key), unsigned(row.learner)
        yield row.outcome, OutcomeRow(learner, row.metric, row.value, row.time_us, key, row.variant)


def forget(connection: Connection, learner: int) -> int:
    """Remove a learner's outcomes; returns how many there were."""
    return connection.execute(delete(outcomes).where(outcomes.c.learner == signed(learner))).rowcount
