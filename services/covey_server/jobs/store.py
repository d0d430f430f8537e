"""Jobs in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Boolean, Column, LargeBinary, Table, delete, insert, select, update

from covey.v1 import datasets_pb2
from covey_server.store.schema import RowNumber, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

FINISHED = frozenset(
    {datasets_pb2.Job.STATE_SUCCEEDED, datasets_pb2.Job.STATE_FAILED, datasets_pb2.Job.STATE_CANCELLED}
)
_FINISHED_KEPT = 1000
_PREFIX = "jobs/job-"

jobs = Table(
    "jobs",
    metadata,
    Column("job", RowNumber, primary_key=True, autoincrement=True),
    Column("is_finished", Boolean, nullable=False, index=True),
    Column("payload", LargeBinary, nullable=False),
    # A number is never given twice: cohort models are named after it.
    sqlite_autoincrement=True,
)
"""payload: covey.v1.Job without its name, which is made of the number."""


def number_of(name: str) -> int | None:
    """The number in a name such as "jobs/job-7"; None for any other text."""
    digits = name.removeprefix(_PREFIX)
    return int(digits) if name.startswith(_PREFIX) and digits.isascii() and digits.isdecimal() else None


def add(connection: Connection, job: datasets_pb2.Job) -> None:
    """Store a new job and give it its name."""
    key = connection.execute(
        insert(jobs).values(is_finished=False, payload=job.SerializeToString())
    ).inserted_primary_key
    assert key is not None
    job.name = f"{_PREFIX}{key[0]}"


def save(connection: Connection, job: datasets_pb2.Job) -> bool:
    """Store what became of an unfinished job; False where it is finished already."""
    number = number_of(job.name)
    values = {"is_finished": job.state in FINISHED, "payload": job.SerializeToString()}
    where = (jobs.c.job == number) & jobs.c.is_finished.is_(False)
    if connection.execute(update(jobs).where(where).values(**values)).rowcount != 1:
        return False
    if job.state in FINISHED:
        oldest_kept = select(jobs.c.job).where(jobs.c.is_finished).order_by(jobs.c.job.desc()).offset(_FINISHED_KEPT)
        limit = connection.execute(oldest_kept.limit(1)).scalar()
        if limit is not None:
            connection.execute(delete(jobs).where(jobs.c.is_finished, jobs.c.job <= limit))
    return True


def load(connection: Connection, number: int) -> datasets_pb2.Job | None:
    """The job with a number."""
    payload = connection.execute(select(jobs.c.payload).where(jobs.c.job == number)).scalar()
    return None if payload is None else _job(number, payload)


def unfinished(connection: Connection) -> list[datasets_pb2.Job]:
    """The jobs that wait or run, oldest first."""
    query = select(jobs.c.job, jobs.c.payload).where(jobs.c.is_finished.is_(False)).order_by(jobs.c.job)
    return [_job(row.job, row.payload) for row in connection.execute(query)]


def page(connection: Connection, before: int | None, size: int) -> list[datasets_pb2.Job]:
    """Jobs, newest first, beginning below the number `before`."""
    query = select(jobs.c.job, jobs.c.payload).order_by(jobs.c.job.desc()).limit(size)
    if before is not None:
        query = query.where(jobs.c.job < before)
    return [_job(row.job, row.payload) for row in connection.execute(query)]


def _job(number: int, payload: bytes) -> datasets_pb2.Job:
    job = datasets_pb2.Job.FromString(payload)
    job.name = f"{_PREFIX}{number}"
    return job
