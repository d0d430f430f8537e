"""Dates of outcomes from a Parquet table: who was seen to leave, and when."""

from __future__ import annotations

from pathlib import Path

from covey.errors import InputError, suggestion


def read_outcomes(text: str) -> dict[str, int]:
    """Learners, as text, and microseconds since the epoch; rows without a date are learners who have not left.

    Args:
        text: PATH:LEARNER:DATE, a Parquet file and two of its columns.

    Raises:
        InputError: another form, no such column, no dates, or a learner twice.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path, _, names = text.partition(".parquet:")
    learner, colon, date = names.partition(":")
    if not (path and colon and learner and date):
        raise InputError(f"outcomes '{text}'", expected="PATH.parquet:LEARNER:DATE")
    source = f"{path}.parquet"
    if not Path(source).is_file():
        raise InputError("no such file", source=source)
    table = pq.read_table(source)
    for name in (learner, date):
        if name not in table.column_names:
            raise InputError(f"no column '{name}'", source=source, remedy=suggestion(name, table.column_names))
    table = table.filter(pc.is_valid(table[date]))
    kind = table[date].type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise InputError(f"of type {kind}", source=source, column=date, expected="timestamps or dates")
    texts = pc.cast(table[learner], pa.string()).to_pylist()
    if None in texts or len(set(texts)) < len(texts):
        raise InputError("a learner is missing or stands twice", source=source, column=learner)
    time_us = pc.cast(pc.cast(table[date], pa.timestamp("us")), pa.int64()).to_pylist()
    return dict(zip(texts, time_us, strict=True))
