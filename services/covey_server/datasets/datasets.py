"""Datasets: events in segment files of the data directory, listed by the store's manifest."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import grpc
from sqlalchemy import delete, insert, select

from covey.v1 import analyzer_pb2, datasets_pb2
from covey_server.catalogue.names import checked_id, checked_name, page_of
from covey_server.datasets.segments import DamagedSegmentError, SegmentFile
from covey_server.datasets.states_files import carry_states, delete_states, state_files
from covey_server.datasets.tables import appends, datasets, insert_segment, segment_rows, segments
from covey_server.datasets.view import DatasetView, data_loss
from covey_server.errors import CallError, invalid, not_found
from covey_server.store import check_request_id, commit_once
from covey_server.store.directory import sync_directory
from covey_server.store.schema import to_microseconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey.events import Events
    from covey_server.datasets.states import TraitStates
    from covey_server.datasets.tables import SegmentRow
    from covey_server.decoding import EventColumns
    from covey_server.store import Store

_log = logging.getLogger("covey_server.datasets")

_LONGEST_DESCRIPTION = 1000
_FOLDER = "datasets"


class Datasets:
    """The datasets of a data directory. Reading takes no lock; files are checked when they are first read.

    Args:
        store: an open store whose tables exist; its data directory gets a folder `datasets`.
        clock: the time, aware, for create times.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock
        self._root = store.directory / _FOLDER
        self._root.mkdir(exist_ok=True)
        # Folders are made and removed under it: one must not vanish below the dataset that follows it.
        self._folders_lock = Lock()
        # Held by whoever puts other files in the place of some: two rewritings must not meet in one file.
        self.rewriting = Lock()
        self._pins_lock = Lock()
        self._pin_count = 0
        self._doomed: list[Path] = []
        # What keeps the traits of learners up with their events, where somebody does.
        self.states: TraitStates | None = None
        # Replaced under the store's writer lock (after_commit), never changed: readers take no lock.
        self._views: dict[str, DatasetView] = {}
        with store.read() as connection:
            for row in connection.execute(select(datasets).order_by(datasets.c.name)):
                files = tuple(SegmentFile(self.folder(row.name), it) for it in segment_rows(connection, row.dataset))
                self._views[row.name] = DatasetView(row.dataset, row.name, row.description, row.create_time_us, files)
            states = {name: state_files(connection, view.number) for name, view in self._views.items()}
        self._remove_orphans(states)

    def folder(self, name: str) -> Path:
        """Where the files of a dataset are."""
        return self._root / name.removeprefix("datasets/")

    def view(self, name: str, field: str = "name") -> DatasetView:
        """The dataset as it is now.

        Raises:
            CallError: INVALID_ARGUMENT for a name of another form, NOT_FOUND where there is none.
        """
        found = self._views.get(name)
        if found is None:
            checked_name(field, name, "datasets")
            raise no_dataset(name)
        return found

    def views(self) -> list[DatasetView]:
        """All datasets, by name."""
        return [view for _, view in sorted(self._views.items())]

    def has(self, view: DatasetView) -> bool:
        """Whether a dataset is still there, be it with other files; another of the same name is not it."""
        current = self._views.get(view.name)
        return current is not None and current.number == view.number

    def segments_of(self, name: str) -> tuple[SegmentFile, ...]:
        """The files of a dataset as it is now; none where there is no such dataset."""
        found = self._views.get(name)
        return () if found is None else found.segments

    def events(self, name: str) -> Events:
        """All events of a dataset; see `DatasetView.events` for errors."""
        return self.view(name).events()

    def learner_events(self, name: str, learner_id: str) -> EventColumns:
        """The events of one learner of a dataset; see `learner_history`."""
        return self.learner_history(name, learner_id)[0]

    def learner_history(self, name: str, learner_id: str) -> tuple[EventColumns, int]:
        """The events of one learner and the time of the dataset's newest event, microseconds since the epoch.

        Raises:
            CallError: NOT_FOUND for the dataset or the learner, DATA_LOSS for a damaged file.
        """
        view = self.view(name, "dataset")
        try:
            found, newest_us = view.learner_events(learner_id), view.newest_us
        except CallError:
            # A file may be gone because another has taken its place since the view was taken.
            if self.view(name, "dataset") is view:
                raise
            return self.learner_history(name, learner_id)
        if found is None or newest_us is None:
            raise CallError(
                grpc.StatusCode.NOT_FOUND,
                f"{name} holds no events of learner {learner_id[:80]!r}; append some, or send the history inline",
                reason="LEARNER_NOT_FOUND",
                metadata={"resource": name},
            )
        return found, newest_us

    def check_files(self) -> int:
        """Read every file once, so that no caller waits for that; returns how many are damaged, each of them logged."""
        damaged = 0
        for view in self.views():
            for segment in view.segments:
                try:
                    segment.table()
                except DamagedSegmentError as error:
                    # Not damage where another file has taken its place meanwhile.
                    if segment in getattr(self._views.get(view.name), "segments", ()):
                        damaged += 1
                        _log.error("%s", data_loss(view.name, error).message)
        return damaged

    def create(self, request: analyzer_pb2.CreateDatasetRequest) -> datasets_pb2.Dataset:
        """Begin an empty dataset; a retry with the same request id returns the first result.

        Raises:
            CallError: INVALID_ARGUMENT, ALREADY_EXISTS.
        """
        name = f"datasets/{checked_id('dataset_id', request.dataset_id)}"
        check_request_id(request.request_id)
        if len(request.description) > _LONGEST_DESCRIPTION:
            raise invalid("description", f"longer than {_LONGEST_DESCRIPTION} characters")

        def run(connection: Connection) -> bytes:
            if connection.execute(select(datasets.c.dataset).where(datasets.c.name == name)).first():
                raise CallError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"{name} exists; append to it, or choose another dataset_id",
                    reason="ALREADY_EXISTS",
                    metadata={"resource": name},
                )
            time_us = to_microseconds(self._clock())
            values = {"name": name, "description": request.description, "create_time_us": time_us}
            key = connection.execute(insert(datasets).values(**values)).inserted_primary_key
            assert key is not None
            view = DatasetView(int(key[0]), name, request.description, time_us, ())
            self._store.after_commit(connection, lambda: self._show(view))
            return resource(view).SerializeToString()

        with self._folders_lock:
            self.folder(name).mkdir(exist_ok=True)
            sync_directory(self._root)
            payload = commit_once(self._store, request, run, self._clock())
        return datasets_pb2.Dataset.FromString(payload)

    def list(self, request: analyzer_pb2.ListDatasetsRequest) -> analyzer_pb2.ListDatasetsResponse:
        """A page of datasets, by name."""
        page, token = page_of(request, self.views(), lambda view: view.name)
        return analyzer_pb2.ListDatasetsResponse(datasets=map(resource, page), next_page_token=token)

    def delete(self, request: analyzer_pb2.DeleteDatasetRequest) -> None:
        """Remove a dataset and then its files.

        Raises:
            CallError: INVALID_ARGUMENT, NOT_FOUND.
        """
        name = checked_name("name", request.name, "datasets")
        check_request_id(request.request_id)

        def run(connection: Connection) -> bytes:
            number = connection.execute(select(datasets.c.dataset).where(datasets.c.name == name)).scalar()
            if number is None:
                raise no_dataset(name)
            connection.execute(delete(datasets).where(datasets.c.dataset == number))
            connection.execute(delete(segments).where(segments.c.dataset == number))
            connection.execute(delete(appends).where(appends.c.dataset == number))
            delete_states(connection, number)
            self._store.after_commit(connection, lambda: self._hide(name))
            return b""

        with self._folders_lock:
            commit_once(self._store, request, run, self._clock())
            # A retry finds the row gone: the files go unless a dataset of that name was made anew.
            if name not in self._views:
                shutil.rmtree(self.folder(name), ignore_errors=True)

    def add_segment(self, connection: Connection, view: DatasetView, row: SegmentRow) -> None:
        """List a synced file in the manifest when the transaction of `connection` commits.

        Raises:
            CallError: NOT_FOUND where the dataset was deleted meanwhile.
        """
        self.require(connection, view)
        segment = SegmentFile(self.folder(view.name), replace(row, number=insert_segment(connection, view.number, row)))
        self._store.after_commit(connection, lambda: self._change(view, (), (segment,)))

    def replace_segments(
        self,
        connection: Connection,
        view: DatasetView,
        old: tuple[SegmentFile, ...],
        new: tuple[SegmentRow, ...],
        forgotten: str | None = None,
    ) -> None:
        """Put other synced files in the place of some, whose rows the caller has taken out of the manifest.

        Args:
            connection: of the transaction.
            view: of the dataset.
            old: the files that go.
            new: those that come.
            forgotten: the learner whose events the new ones lack; None where they hold the same events.
        """
        folder = self.folder(view.name)
        added = tuple(SegmentFile(folder, replace(r, number=insert_segment(connection, view.number, r))) for r in new)
        stale = carry_states(
            connection,
            view.number,
            [segment.row.number for segment in old],
            [segment.row.number for segment in added],
            is_same=forgotten is None,
        )

        def publish() -> None:
            self._change(view, old, added)

        def publish_with_states() -> None:
            if self.states is None:
                publish()
            else:
                self.states.replace(view, old, added, forgotten, publish)
            for name in stale:
                (folder / name).unlink(missing_ok=True)

        self._store.after_commit(connection, publish_with_states)

    def remove_files(self, paths: Sequence[Path]) -> None:
        """Remove files that no manifest row names any more, as soon as nobody in another process reads them."""
        with self._pins_lock:
            self._doomed += paths
            self._remove_doomed()

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """While the block runs, files that are replaced stay where they are, for a reader in another process."""
        with self._pins_lock:
            self._pin_count += 1
        try:
            yield
        finally:
            with self._pins_lock:
                self._pin_count -= 1
                self._remove_doomed()

    def _remove_doomed(self) -> None:
        if not self._pin_count:
            for path in self._doomed:
                path.unlink(missing_ok=True)
            self._doomed = []

    def require(self, connection: Connection, view: DatasetView) -> None:
        """Refuse to go on with a dataset that was deleted, in the eyes of a transaction.

        Raises:
            CallError: NOT_FOUND.
        """
        if not connection.execute(select(datasets.c.name).where(datasets.c.dataset == view.number)).first():
            raise no_dataset(view.name)

    def _show(self, view: DatasetView) -> None:
        self._views = {**self._views, view.name: view}

    def _hide(self, name: str) -> None:
        view = self._views[name]
        self._views = {known: view for known, view in self._views.items() if known != name}
        if self.states is not None:
            self.states.drop(view.number)

    def _change(self, view: DatasetView, old: tuple[SegmentFile, ...], new: tuple[SegmentFile, ...]) -> None:
        current = self._views.get(view.name)
        if current is not None and current.number == view.number:
            gone = {segment.path for segment in old}
            kept = tuple(segment for segment in current.segments if segment.path not in gone)
            self._show(replace(current, segments=kept + new))

    def _remove_orphans(self, states: Mapping[str, set[str]]) -> None:
        """Files that no manifest row names: a crash came between their writing and the commit, or after a deletion."""
        for folder in self._root.iterdir():
            view = self._views.get(f"datasets/{folder.name}")
            if not folder.is_dir():
                continue
            listed = {segment.path.name for segment in view.segments} | states[view.name] if view else set()
            orphans = [path for path in folder.iterdir() if path.name not in listed]
            for path in orphans:
                path.unlink(missing_ok=True)
            if orphans:
                _log.info("files of no dataset removed", extra={"folder": folder.name, "count": len(orphans)})
            if view is None:
                folder.rmdir()


def no_dataset(name: str) -> CallError:
    """NOT_FOUND of a dataset."""
    return not_found(name, "ListDatasets shows what exists, CreateDataset makes one")


def resource(view: DatasetView) -> datasets_pb2.Dataset:
    """The dataset as callers see it."""
    message = datasets_pb2.Dataset(
        name=view.name,
        description=view.description,
        event_count=view.event_count,
        byte_count=view.byte_count,
    )
    message.create_time.FromMicroseconds(view.create_time_us)
    return message
