"""The tables' common ground: one MetaData for all rooms, how times are stored, the version of the whole.

Each room declares its own tables on `metadata` in its own file; `Store.create_all` makes what is missing, and `steps`
change what is there. Times are integer microseconds since 1970 in UTC: exact, sortable and the same in every database.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

RowNumber = BigInteger().with_variant(Integer, "sqlite")
"""Type of a primary key that the database counts up."""

schema_version = Table(
    "schema_version",
    metadata,
    Column("only_row", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("written_by", String(64), nullable=False),
)
"""version: of all tables; this code writes `migrations.NEWEST_VERSION`. written_by: the covey that opened them last."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("method", String(128), primary_key=True),
    Column("request_id", String(128), primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("time_us", BigInteger, nullable=False, index=True),
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(time: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The aware UTC time of `to_microseconds`."""
    return _EPOCH + timedelta(microseconds=microseconds)
