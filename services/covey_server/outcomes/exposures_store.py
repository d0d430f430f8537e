"""Exposures in the store: batches of 16-byte records, so that a million learners are 16 MB and a few hundred rows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, Text, delete, insert, select, update

from covey_server.outcomes.exposures_phase import OUTSIDE, ExposedPhase
from covey_server.outcomes.exposures_table import RECORD, float_bits, renumbered, segments, times_ms, variants
from covey_server.outcomes.exposures_tokens import KEY_BYTES
from covey_server.store.schema import RowNumber, metadata

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

RECORDS_PER_BATCH = 4096

exposure_phases = Table(
    "exposure_phases",
    metadata,
    Column("phase_key", BigInteger, primary_key=True, autoincrement=False),
    Column("rollout", String(80), nullable=False, index=True),
    Column("uid", String(80), nullable=False),
    Column("phase", String(80), nullable=False),
    Column("baseline", String(80), nullable=False),
    Column("candidate", String(80), nullable=False),
    Column("window_ms", BigInteger, nullable=False),
    Column("caps", Text, nullable=False),
    Column("newest_ms", BigInteger, nullable=False),
)

exposure_segments = Table(
    "exposure_segments",
    metadata,
    Column("phase_key", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False),
)

exposure_batches = Table(
    "exposure_batches",
    metadata,
    Column("batch", RowNumber, primary_key=True, autoincrement=True),
    Column("phase_key", BigInteger, nullable=False, index=True),
    Column("record_count", Integer, nullable=False),
    Column("records", LargeBinary, nullable=False),
)

# Only where a spec names covariates; a phase of an older version has none.
exposure_covariates = Table(
    "exposure_covariates",
    metadata,
    Column("batch", RowNumber, primary_key=True, autoincrement=True),
    Column("phase_key", BigInteger, nullable=False, index=True),
    Column("trait", String(64), nullable=False),
    Column("variant", Integer, nullable=False),
    Column("record_count", Integer, nullable=False),
    # The hash of the learner and the bits of a float64.
    Column("records", LargeBinary, nullable=False),
)

exposure_token_key = Table(
    "exposure_token_key",
    metadata,
    Column("only_row", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
)


def signed(number: int) -> int:
    """64 unsigned bits as databases hold them."""
    return number - (1 << 64) if number >= 1 << 63 else number


def unsigned(number: int) -> int:
    """The inverse of `signed`."""
    return number & ((1 << 64) - 1)


def token_key(connection: Connection) -> bytes:
    """The store's own key for exposure tokens, made at first use."""
    key: bytes | None = connection.execute(select(exposure_token_key.c.key)).scalar()
    if key is None:
        key = secrets.token_bytes(KEY_BYTES)
        connection.execute(insert(exposure_token_key).values(only_row=1, key=key))
    return key


def save(connection: Connection, phase: ExposedPhase, exposures: Sequence[tuple[int, int]]) -> list[int]:
    """Add (learner hash, detail) pairs to a phase; returns the store's number of each of its segments.

    Servers that share a store meet segments in different orders: the store has numbers of its own.
    """
    key = signed(phase.key)
    columns = exposure_phases.c
    if not phase.is_stored and connection.scalar(select(columns.phase_key).where(columns.phase_key == key)) is None:
        _save_phase(connection, phase)
    else:
        older = (columns.phase_key == key) & (columns.newest_ms < phase.newest_ms)
        connection.execute(update(exposure_phases).where(older).values(newest_ms=phase.newest_ms))
    numbers = _stored_numbers(connection, phase)
    records = np.array(exposures, dtype=RECORD)
    if numbers != list(range(len(numbers))):
        records["detail"] = renumbered(records["detail"], numbers)
    append_records(connection, exposure_batches, {"phase_key": key}, records)
    return numbers


def open_phases(connection: Connection, now_ms: int) -> set[int]:
    """Keys of the phases that have exposures whose windows are open."""
    columns = exposure_phases.c
    is_open = columns.newest_ms + columns.window_ms >= now_ms
    return {unsigned(key) for key in connection.scalars(select(columns.phase_key).where(is_open))}


def segment_names(connection: Connection, phase_key: int) -> list[str]:
    """The segments of a phase by the store's number."""
    columns = exposure_segments.c
    where = columns.phase_key == signed(phase_key)
    return list(connection.scalars(select(columns.name).where(where).order_by(columns.number)).all())


def save_covariates(connection: Connection, phase_key: int, values: Iterable[tuple[str, int, int, float]]) -> None:
    """Add (trait, variant number, learner hash, value) to a phase."""
    places: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for trait, variant, learner, value in values:
        places.setdefault((trait, variant), []).append((learner, float_bits(value)))
    for (trait, variant), records in places.items():
        place = {"phase_key": signed(phase_key), "trait": trait, "variant": variant}
        append_records(connection, exposure_covariates, place, np.array(records, dtype=RECORD))


def load_covariates(connection: Connection, phase: ExposedPhase) -> None:
    """Enter the stored values of every trait into a phase."""
    columns = exposure_covariates.c
    query = select(columns.trait, columns.variant, columns.records).where(columns.phase_key == signed(phase.key))
    found: dict[tuple[str, int], list[bytes]] = {}
    for trait, variant, payload in connection.execute(query.order_by(columns.batch)):
        found.setdefault((trait, variant), []).append(payload)
    for (trait, variant), payloads in found.items():
        records = np.frombuffer(b"".join(payloads), RECORD)
        learners, bits = records["learner"].astype(np.uint64), records["detail"].astype(np.uint64)
        phase.covariate_tables(trait)[variant].load(learners, bits)


def load(connection: Connection, *conditions: ColumnElement[bool]) -> list[ExposedPhase]:
    """The phases that meet all conditions (on `exposure_phases`), with their exposures."""
    rows = connection.execute(select(exposure_phases).where(*conditions).order_by(exposure_phases.c.newest_ms)).all()
    return [_loaded(connection, row) for row in rows]


def forget(connection: Connection, learner: int) -> int:
    """Remove a learner's exposures from every phase; returns how many there were."""
    forget_records(connection, exposure_covariates, learner)
    return forget_records(connection, exposure_batches, learner)


def forget_records(connection: Connection, table: Table, learner: int) -> int:
    """Remove a learner's records from a table of batches; returns how many there were."""
    removed = 0
    for batch in connection.scalars(select(table.c.batch)).all():
        where = table.c.batch == batch
        records = np.frombuffer(connection.execute(select(table.c.records).where(where)).scalar_one(), RECORD)
        keep = records[records["learner"] != np.uint64(learner)]
        if len(keep) == len(records):
            continue
        removed += len(records) - len(keep)
        if len(keep):
            values = {"records": keep.tobytes(), "record_count": len(keep)}
            connection.execute(update(table).where(where).values(values))
        else:
            connection.execute(delete(table).where(where))
    return removed


def _stored_numbers(connection: Connection, phase: ExposedPhase) -> list[int]:
    names = list(phase.segments)
    if len(phase.stored_numbers) == len(names):
        return phase.stored_numbers
    known = {name: number for number, name in enumerate(segment_names(connection, phase.key))}
    for name in names:
        if name not in known:
            known[name] = len(known)
            values = {"phase_key": signed(phase.key), "number": known[name], "name": name}
            connection.execute(insert(exposure_segments).values(**values))
    return [known[name] for name in names]


def _save_phase(connection: Connection, phase: ExposedPhase) -> None:
    connection.execute(
        insert(exposure_phases).values(
            phase_key=signed(phase.key),
            rollout=phase.rollout,
            uid=phase.uid,
            phase=phase.phase,
            baseline=phase.variants[0],
            candidate=phase.variants[1],
            window_ms=phase.window_ms,
            caps=json.dumps(_plain(phase.caps)),
            newest_ms=phase.newest_ms,
        )
    )


def append_records(
    connection: Connection, table: Table, place: Mapping[str, Any], records: np.ndarray[Any, Any]
) -> None:
    """Fill the last batch before a new one is begun: slow traffic must not make a row per learner.

    Args:
        connection: of a write transaction.
        table: of batches.
        place: the columns that say whose batches they are.
        records: of `RECORD`.
    """
    last = connection.execute(
        select(table.c.batch, table.c.record_count, table.c.records)
        .where(*(table.c[name] == value for name, value in place.items()))
        .order_by(table.c.batch.desc())
        .limit(1)
    ).first()
    room = RECORDS_PER_BATCH - last.record_count if last else 0
    if last and room > 0:
        added = records[:room]
        values = {"records": last.records + added.tobytes(), "record_count": last.record_count + len(added)}
        connection.execute(update(table).where(table.c.batch == last.batch).values(values))
        records = records[room:]
    for start in range(0, len(records), RECORDS_PER_BATCH):
        block = records[start : start + RECORDS_PER_BATCH]
        connection.execute(insert(table).values(**place, record_count=len(block), records=block.tobytes()))


def _loaded(connection: Connection, row: Any) -> ExposedPhase:
    phase = ExposedPhase(
        key=unsigned(row.phase_key),
        rollout=row.rollout,
        uid=row.uid,
        phase=row.phase,
        variants=(row.baseline, row.candidate),
        window_ms=row.window_ms,
        caps={metric: (low, high) for metric, (low, high) in json.loads(row.caps).items()},
        newest_ms=row.newest_ms,
        is_stored=True,
    )
    names = segment_names(connection, phase.key)
    phase.set_segments(names)
    phase.stored_numbers = list(range(len(names)))
    payloads = connection.scalars(
        select(exposure_batches.c.records)
        .where(exposure_batches.c.phase_key == row.phase_key)
        .order_by(exposure_batches.c.batch)
    ).all()
    records = np.frombuffer(b"".join(payloads), RECORD)
    numbers = variants(records["detail"])
    for number, table in enumerate(phase.tables):
        mine = records[numbers == number]
        table.load(mine["learner"].astype(np.uint64), mine["detail"].astype(np.uint64))
        _, details = table.columns()
        found, counts = np.unique(segments(details), return_counts=True)
        phase.counts |= {(number, int(s)): int(n) for s, n in zip(found, counts, strict=True)}
        if len(details):
            phase.newest_ms = max(phase.newest_ms, int(times_ms(details).max()))
    outside = records[numbers == OUTSIDE]
    phase.outside.load(outside["learner"].astype(np.uint64), outside["detail"].astype(np.uint64))
    load_covariates(connection, phase)
    return phase


def _plain(caps: Mapping[str, tuple[float, float]]) -> dict[str, list[float]]:
    return {metric: list(pair) for metric, pair in caps.items()}
