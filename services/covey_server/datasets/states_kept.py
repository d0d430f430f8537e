"""One trait state of one dataset: which segments are in it, and its way to the disk and back."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING

from covey.errors import InputError
from covey.trait_state import TraitState
from covey_server.datasets.segments import DamagedSegmentError
from covey_server.datasets.states_files import SavedState, StateFile, list_state, saved_state
from covey_server.datasets.view import events_of
from covey_server.errors import CallError
from covey_server.store import StoreError

if TYPE_CHECKING:
    from covey.parameters import TraitParameters
    from covey_server.datasets.datasets import Datasets
    from covey_server.datasets.segments import SegmentFile
    from covey_server.datasets.view import DatasetView
    from covey_server.store import Store

_log = logging.getLogger("covey_server.datasets")

FAILURES = (OSError, StoreError, CallError, DamagedSegmentError, ValueError, MemoryError)
"""What may go wrong with a state; none of it concerns the events."""


class KeptState:
    """A state and what is in it. Read and changed under its lock, but for `save`, which takes it.

    Args:
        store: where saved states are listed.
        datasets: where its events are.
        view: of its dataset.
        shape: what its parameters make of it, as text.
        parameters: constants of the definitions.

    Attributes:
        lock: held for everything; nobody who holds it writes to the store.
        state: None where it is not in memory.
        covered: numbers of the segments whose events are in it.
        unsaved_rows: events that came since it was saved.
        byte_count: of memory.
        used: the higher the later.
        is_too_large: for the memory there is.
        is_gone: its dataset was deleted.
    """

    def __init__(
        self, store: Store, datasets: Datasets, view: DatasetView, shape: str, parameters: TraitParameters
    ) -> None:
        self._store = store
        self._datasets = datasets
        self.number = view.number
        self.name = view.name
        self.shape = shape
        self._parameters = parameters
        self.lock = Lock()
        self.state: TraitState | None = None
        self.covered: set[int] = set()
        self.unsaved_rows = 0
        self.byte_count = 0
        self.used = 0
        self.is_too_large = False
        self.is_gone = False

    def drop(self) -> None:
        """Take it out of memory."""
        self.state = None
        self.covered = set()
        self.unsaved_rows = self.byte_count = 0

    def missing(self, view: DatasetView) -> list[SegmentFile]:
        """The files of a dataset that are not in it yet."""
        return [segment for segment in view.segments if segment.row.number not in self.covered]

    def begin(self, view: DatasetView, most_bytes: int | None = None, most_rows: int | None = None) -> bool:
        """Load what was saved, or begin an empty state; False, and nothing is done, where that would take long.

        Args:
            view: of the dataset.
            most_bytes: that a saved state may have.
            most_rows: that a dataset may have whose state begins empty.
        """
        with self._store.read() as connection:
            saved = saved_state(connection, self.number, self.shape)
        if saved is not None and most_bytes is not None and saved.byte_count > most_bytes:
            return False
        self.drop()
        if saved is not None and saved.covers <= {segment.row.number for segment in view.segments}:
            self._load(saved)
        if self.state is None:
            if most_rows is not None and view.event_count > most_rows:
                return False
            self.state = TraitState(self._parameters)
        return True

    def _load(self, saved: SavedState) -> None:
        try:
            self.state = TraitState.load(self._datasets.folder(self.name) / saved.file)
        except (OSError, InputError) as error:
            _log.warning(
                "a saved trait state cannot be used and is built again from the events",
                extra={"dataset": self.name, "file": saved.file, "problem": str(error)},
            )
            return
        self.covered = set(saved.covers)
        self.byte_count = self.state.byte_count

    def apply(self, segment: SegmentFile) -> None:
        """Add the events of a file."""
        assert self.state is not None
        self.state.update(events_of(self.name, [segment]))
        self.covered.add(segment.row.number)
        self.unsaved_rows += segment.row.row_count
        self.byte_count = self.state.byte_count

    def replace(self, old: set[int], new: set[int], forgotten: str | None) -> None:
        """Files took the place of others; `forgotten` is the learner whose events went with that, or None."""
        known = old & self.covered
        if self.state is None or not known:
            return
        if known != old:
            self.drop()
            return
        self.covered = self.covered - old | new
        if forgotten is not None:
            self._forget(forgotten)

    def _forget(self, learner_id: str) -> None:
        assert self.state is not None
        try:
            self.state.forget(learner_id)
            self.unsaved_rows += 1
            # Events that came while the learner was being deleted stay in the dataset.
            for segment in self._datasets.view(self.name).segments:
                rows = segment.rows_of(learner_id) if segment.row.number in self.covered else slice(0, 0)
                if rows.stop > rows.start:
                    self.state.update(events_of(self.name, [segment], rows))
        except FAILURES:
            _log.exception("a trait state cannot be kept up", extra={"dataset": self.name})
            self.drop()

    def save(self) -> None:
        """Write it to its dataset's folder; a failure is logged and leaves what was saved before."""
        try:
            file = StateFile(self._datasets.folder(self.name))
        except OSError:
            _log.exception("a trait state cannot be saved", extra={"dataset": self.name})
            return
        try:
            with self.lock:
                if self.state is None or not self.unsaved_rows or self.is_gone:
                    file.discard()
                    return
                file.fill(self.state)
                covers, rows = frozenset(self.covered), self.unsaved_rows
            saved = SavedState(file.path.name, file.finish(), covers)
            before = self._store.group_commit(lambda connection: list_state(connection, self.number, self.shape, saved))
        except (OSError, StoreError):
            _log.exception("a trait state cannot be saved", extra={"dataset": self.name})
            file.discard()
            return
        if before is None:
            file.discard()
            return
        if before:
            (file.path.parent / before).unlink(missing_ok=True)
        with self.lock:
            self.unsaved_rows = max(0, self.unsaved_rows - rows)
