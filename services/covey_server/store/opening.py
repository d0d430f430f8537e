"""Stores that are opened: of a data directory, of several servers, at rest, for tools."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from covey import failpoints
from covey_server.store.address import database_url, is_shared
from covey_server.store.directory import RESTORING_NAME, DirectoryLock
from covey_server.store.failures import StoreError
from covey_server.store.store import Store

_log = logging.getLogger("covey_server.store")


def open_store(data_directory: str | os.PathLike[str], url: str | None = None, *, ballast_bytes: int = 0) -> Store:
    """Open, or begin, the store of a data directory and lock the directory for this process.

    Tables of rooms that are imported by now exist afterwards; call `create_all` again after importing more.

    Args:
        data_directory: made if absent.
        url: an SQLAlchemy URL of an SQLite file or a PostgreSQL database; default `covey.db` in the data directory.
        ballast_bytes: space to set aside for rollbacks on a full disk; 0: none.

    Raises:
        StoreError: no permission, no space, a file in the way, another live server, or a newer covey's tables.
    """
    directory = Path(data_directory)
    lock = DirectoryLock(directory)
    try:
        return _opened(directory, url, lock, ballast_bytes)
    except BaseException:
        lock.release()
        raise


def open_stores(
    data_directory: str | os.PathLike[str], url: str | None = None, *, ballast_bytes: int = 0
) -> tuple[Store, Store]:
    """The store of an URL and that of the data directory: the same one, unless other servers share the URL's.

    Raises:
        StoreError: as `open_store`.
    """
    if url is None or not is_shared(database_url(Path(data_directory), url)):
        store = open_store(data_directory, url, ballast_bytes=ballast_bytes)
        return store, store
    directory = Path(data_directory)
    lock = DirectoryLock(directory)
    try:
        shared = _opened(directory, url, None, ends=False)
    except BaseException:
        lock.release()
        raise
    try:
        # Older code that comes back to the shared store comes back to this directory, too, and nobody asks it then.
        return shared, _opened(directory, None, lock, ballast_bytes, ends=False)
    except BaseException:
        shared.close()
        lock.release()
        raise


def _opened(
    directory: Path, url: str | None, lock: DirectoryLock | None, ballast_bytes: int = 0, *, ends: bool = True
) -> Store:
    failpoints.reach("store.opening")
    if (directory / RESTORING_NAME).exists():
        raise StoreError(
            "a restore into it has not ended",
            place=str(directory),
            remedy="run `covey state restore` with the same backup again",
        )
    store = Store(directory, url, lock, ballast_bytes)
    try:
        migrated = store.make_ready(ends=ends and not store.is_shared)
        store.create_all()
    except BaseException:
        store.close()
        raise
    if migrated.waiting and store.is_shared:
        _log.warning(
            "the tables are ready for a newer version; `covey state migrate --store-url` ends the upgrade once every"
            " server is of it",
            extra={"version": migrated.version, "waiting": list(migrated.waiting)},
        )
    if migrated.steps:
        _log.warning(
            "the tables were brought to a newer version",
            extra={"found": migrated.found, "version": migrated.version, "copy": str(migrated.copy)},
        )
    return store


@contextmanager
def shared_store(url: str) -> Iterator[Store]:
    """The store that servers share, beside them, for tools: nothing made, nothing migrated.

    Raises:
        StoreError: it is an SQLite file, which has one server, or it cannot be read.
    """
    if not is_shared(database_url(Path(), url)):
        raise StoreError(
            "an SQLite file is no store that servers share", place=url, remedy="name its --data-directory instead"
        )
    store = Store(Path(), url, None)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def store_at_rest(data_directory: str | os.PathLike[str], url: str | None = None) -> Iterator[Store]:
    """The store of a data directory as it is, for tools: locked, nothing made, nothing migrated.

    Raises:
        StoreError: no store is there, or it is in use.
    """
    directory = Path(data_directory)
    address = database_url(directory, url)
    if not is_shared(address) and not Path(str(address.database)).is_file():
        raise StoreError("there is no store", place=str(directory), remedy="name the --data-directory of a server")
    lock = DirectoryLock(directory)
    try:
        store = Store(directory, url, lock)
        yield store
        store.close()
    finally:
        lock.release()
