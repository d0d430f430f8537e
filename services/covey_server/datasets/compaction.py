"""Many small segment files become one: a caller who waits for every answer would leave a file per chunk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from covey_server.datasets.segments import DamagedSegmentError, write_segment
from covey_server.datasets.segments_columns import merged
from covey_server.datasets.tables import delete_segment
from covey_server.errors import CallError
from covey_server.store import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.datasets.datasets import Datasets
    from covey_server.datasets.segments import SegmentFile
    from covey_server.datasets.view import DatasetView
    from covey_server.store import Store

_log = logging.getLogger("covey_server.datasets")

SMALL_BYTES = 256 << 10
MOST_SMALL_FILES = 64


def compact(store: Store, datasets: Datasets, name: str) -> bool:
    """Merge the small files of a dataset once there are many; returns whether that was done.

    What is stored stays the same; a failure, which is logged, leaves everything as it was.
    """
    if len(_small(datasets.view(name))) < MOST_SMALL_FILES or not datasets.rewriting.acquire(blocking=False):
        return False
    try:
        # Looked at again: another rewriting may have ended between the look and the lock.
        view = datasets.view(name)
        small = _small(view)
        return len(small) >= MOST_SMALL_FILES and _merge(store, datasets, view, small)
    except (OSError, StoreError, CallError, DamagedSegmentError):
        _log.exception("small files were not merged", extra={"dataset": name})
        return False
    finally:
        datasets.rewriting.release()


def put_in_order(store: Store, datasets: Datasets, name: str, may_go_on: Callable[[], bool]) -> None:
    """Replace the files in the order of arrival by files in order; a failure, which is logged, leaves the rest.

    Args:
        store: of the server.
        datasets: of the server.
        name: of the dataset.
        may_go_on: asked before each file.
    """
    while may_go_on():
        with datasets.rewriting:
            arrived = next((it for it in datasets.segments_of(name) if it.is_of_arrivals), None)
            if arrived is None:
                return
            try:
                _merge(store, datasets, datasets.view(name), (arrived,))
            except (OSError, StoreError, CallError, DamagedSegmentError):
                if arrived in datasets.segments_of(name):  # otherwise the dataset was deleted meanwhile
                    _log.exception("events were not put in order", extra={"dataset": name})
                    return


def _small(view: DatasetView) -> tuple[SegmentFile, ...]:
    return tuple(segment for segment in view.segments if segment.row.byte_count < SMALL_BYTES)


def _merge(store: Store, datasets: Datasets, view: DatasetView, small: tuple[SegmentFile, ...]) -> bool:
    columns = merged([segment.events(slice(0, segment.row.row_count), with_learners=True) for segment in small])
    written = write_segment(datasets.folder(view.name), columns)

    def replace(connection: Connection) -> None:
        datasets.require(connection, view)
        for segment in small:
            if not delete_segment(connection, segment.row.number):
                raise CallError(grpc.StatusCode.ABORTED, f"{segment.path.name} is no longer in the manifest")
        datasets.replace_segments(connection, view, small, (written.row("", 0, 0),))

    try:
        store.group_commit(replace)
    except CallError:
        written.path.unlink(missing_ok=True)
        raise
    datasets.remove_files([segment.path for segment in small])
    return True
