"""The one writer: transactions of their own, and shared ones in which concurrent mutations pay for one sync together.

A caller of `share` queues its mutation and waits for the writer's lock. Whoever gets the lock runs everything that is
queued, each mutation under its own savepoint, commits once and tells the others: no thread of its own is needed, and
the slower the disk, the more mutations share a commit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from covey import failpoints
from covey_server.store.failures import StoreError
from covey_server.store.write_health import WriteHealth

if TYPE_CHECKING:
    from covey_server.store.ballast import Ballast

T = TypeVar("T")
_LARGEST_BATCH = 256


@dataclass
class _Open:
    """What belongs to the transaction in progress."""

    connection: Connection
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    pending: dict[Hashable, Any] = field(default_factory=dict)


class _Job(Generic[T]):
    """A mutation on its way into a shared commit."""

    def __init__(self, mutation: Callable[[Connection], T], is_reserved: bool) -> None:
        self.mutation = mutation
        self.is_reserved = is_reserved
        self.settled = False
        self.error: BaseException | None = None
        self.value: T | None = None

    def fail(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error


class Writer:
    """Serialises every write of this process; see the module's text.

    Attributes:
        ballast: as given.
        health: for how long writes have failed or hung.

    Args:
        engine: one connection, whose transactions take the write lock when they begin.
        explained: what a database error means for people.
        place: of the database, for people.
        ballast: space for writes that must not fail because the disk is full.
    """

    def __init__(
        self, engine: Engine, explained: Callable[[DBAPIError], StoreError], place: str, ballast: Ballast
    ) -> None:
        self.ballast = ballast
        self.health = WriteHealth()
        self._engine = engine
        self._explained = explained
        self._place = place
        self._lock = threading.Lock()
        self._holder: int | None = None
        self._queue: deque[_Job[Any]] = deque()
        self._open: _Open | None = None
        self._commit_count = 0
        self._closed = False

    @property
    def commit_count(self) -> int:
        """Transactions committed since the store was opened."""
        return self._commit_count

    @contextmanager
    def transaction(self, is_reserved: bool = False) -> Iterator[Connection]:
        """A transaction of its own, committed and synced when the block ends, rolled back when it raises."""
        with self._turn():
            if not self.ballast.keep() and not is_reserved:
                raise self._full()
            with self._transaction() as connection:
                yield connection

    def share(self, mutation: Callable[[Connection], T], is_reserved: bool = False) -> T:
        """Run a mutation in a commit shared with concurrent ones; returns its result once that is synced.

        Args:
            mutation: called once, or twice where the disk was full and it may use the space that is set aside.
            is_reserved: whether it may.
        """
        job = _Job(mutation, is_reserved)
        self._refuse_nesting()
        self._queue.append(job)
        with self._turn():
            while not job.settled:
                self._commit_batch()
        if job.error is not None:
            raise job.error
        return job.value  # type: ignore[return-value]

    def after_commit(self, connection: Connection, callback: Callable[[], None]) -> None:
        """Call back once this transaction is synced, before its caller returns and before any later commit."""
        self._opened(connection).callbacks.append(callback)

    def pending(self, connection: Connection) -> dict[Hashable, Any]:
        """What mutations of this transaction tell later ones of it; forgotten at its end."""
        return self._opened(connection).pending

    def owns(self, connection: Connection) -> bool:
        """Whether this is the connection of the transaction in progress."""
        return self._open is not None and self._open.connection is connection

    def close(self) -> None:
        """Let the transaction in progress finish, refuse later ones and close the connection."""
        with self._lock:
            self._closed = True
            self._engine.dispose()

    def _opened(self, connection: Connection) -> _Open:
        if self._open is None or self._open.connection is not connection:
            raise RuntimeError("this connection is not that of the write transaction in progress")
        return self._open

    def _refuse_nesting(self) -> None:
        if self._holder == threading.get_ident():
            raise RuntimeError("a write transaction inside a write transaction: pass the connection on instead")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._refuse_nesting()
        with self._lock:
            self._holder = threading.get_ident()
            self.health.begin()
            try:
                yield
            finally:
                self.health.end()
                self._holder = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._closed:
            raise StoreError("the store is closed", place=self._place, remedy="the server is stopping; try again later")
        try:
            with self._engine.connect() as connection:
                opened = self._open = _Open(connection)
                try:
                    with connection.begin():
                        failpoints.reach("store.begun")
                        yield connection
                        failpoints.reach("store.before_commit")
                except DBAPIError as error:
                    # After a failed sync or a full disk the connection's idea of the file is not to be trusted.
                    if not isinstance(error, IntegrityError):
                        connection.invalidate()
                    raise
                self._commit_count += 1
                if self.ballast.is_kept:  # else there was space for a rollback only
                    self.health.succeeded()
                failpoints.reach("store.committed")
                _call_all(opened.callbacks)
                failpoints.reach("store.told")
        except IntegrityError:
            raise
        except DBAPIError as error:
            self.health.failed()
            raise self._explained(error) from error
        finally:
            self._open = None

    def _commit_batch(self) -> None:
        batch: list[_Job[Any]] = []
        while self._queue and len(batch) < _LARGEST_BATCH:
            batch.append(self._queue.popleft())
        try:
            self._commit(batch)
        except BaseException as error:
            for job in batch:
                job.fail(error)
            raise
        finally:
            for job in batch:
                job.settled = True

    def _commit(self, batch: list[_Job[Any]]) -> None:
        """Commit a batch; what is reserved goes on alone, on the ballast, where there is no space for all."""
        reserved = [job for job in batch if job.is_reserved]
        if self.ballast.keep():
            error = self._attempt(batch)
            if error is None or not reserved or not _is_full(error) or not self.ballast.give_up():
                return
        else:
            for job in batch:
                if not job.is_reserved:
                    job.fail(self._full())
        for job in reserved:
            job.error = None
        self._attempt(reserved)

    def _attempt(self, batch: list[_Job[Any]]) -> Exception | None:
        """One transaction of a batch; its error, which is then every job's, where it failed as a whole."""
        if not batch:
            return None
        try:
            with self._transaction() as connection:
                for job in batch:
                    self._run(connection, job)
        except Exception as error:
            for job in batch:
                job.fail(error)
            return error
        return None

    def _full(self) -> StoreError:
        self.health.failed()
        return StoreError(
            "the disk is full; only rollbacks are recorded",
            place=self._place,
            remedy="free some space on its file system; nothing that was acknowledged is lost",
            is_full=True,
        )

    def _run(self, connection: Connection, job: _Job[Any]) -> None:
        opened = self._opened(connection)
        callback_count, pending = len(opened.callbacks), dict(opened.pending)
        savepoint = connection.begin_nested()
        try:
            job.value = job.mutation(connection)
            savepoint.commit()
        except Exception as error:
            try:
                savepoint.rollback()
            except DBAPIError:
                # A full disk ends the whole transaction, savepoints and all: then the batch fails together.
                raise error from None
            del opened.callbacks[callback_count:]
            opened.pending.clear()
            opened.pending.update(pending)
            wrapped = isinstance(error, DBAPIError) and not isinstance(error, IntegrityError)
            job.fail(self._explained(error) if wrapped else error)  # type: ignore[arg-type]


def _is_full(error: Exception) -> bool:
    return isinstance(error, StoreError) and error.is_full


def _call_all(callbacks: list[Callable[[], None]]) -> None:
    errors: list[Exception] = []
    for callback in callbacks:
        try:
            callback()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
