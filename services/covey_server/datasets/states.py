"""Trait states of datasets: what answers for a learner after an append without reading the dataset again.

A state is only ever a shortcut: whoever gets none from here (it is being built, or larger than the memory allows) reads
the learner's events, with the same answer. States are made when they are first asked for, follow every append, are
saved as they grow and at a clean end, and catch up after a restart with the segments that came after the last save.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from covey.errors import InputError
from covey_server.datasets.states_kept import FAILURES, KeptState
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey.parameters import TraitParameters
    from covey.traits import Traits
    from covey_server.datasets.datasets import Datasets
    from covey_server.datasets.segments import SegmentFile
    from covey_server.datasets.view import DatasetView
    from covey_server.store import Store

_log = logging.getLogger("covey_server.datasets")

DEFAULT_STATE_BYTES = 1 << 30
# What a caller waits for; the rest is done in the background while callers read events.
_PATIENCE_SECONDS = 0.05
_INLINE_ROWS = 200_000
_INLINE_BYTES = 8 << 20
# What an append waits for before it is acknowledged.
_APPEND_ROWS = 1_000_000
_ROWS_BETWEEN_SAVES = 200_000
_MOST_SHAPES = 4


class TraitStates:
    """The trait states of all datasets, one for each pair of constants that shape a state.

    Lock order: the store's writer before a state's lock.

    Args:
        store: an open store whose tables exist.
        datasets: whose events are in the states.
        byte_budget: for all states in memory; the longest unused are saved and dropped beyond it.
    """

    def __init__(self, store: Store, datasets: Datasets, byte_budget: int = DEFAULT_STATE_BYTES) -> None:
        self._store = store
        self._datasets = datasets
        self._byte_budget = byte_budget
        self._lock = Lock()
        self._kept: dict[tuple[int, str], KeptState] = {}
        self._uses = itertools.count(1)
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._queued: set[tuple[str, int, str]] = set()
        self._worker = Thread(target=self._do_work, name="trait-states", daemon=True)
        self._worker.start()
        datasets.states = self

    @property
    def byte_count(self) -> int:
        """Bytes of the states in memory."""
        return sum(kept.byte_count for kept in self._all())

    def learner_traits(
        self, name: str, learner_id: str, as_of_us: int | None, parameters: TraitParameters
    ) -> Traits | None:
        """The traits of one learner, of all events that are acknowledged; None where the events must be read for that.

        Args:
            name: of the dataset.
            learner_id: without events, the answer is None.
            as_of_us: not before the newest event; that by default.
            parameters: constants of the definitions.
        """
        kept = self._kept_for(self._datasets.view(name, "dataset"), parameters)
        if kept is None or not kept.lock.acquire(timeout=_PATIENCE_SECONDS):
            return None
        try:
            view = self._datasets.view(name, "dataset")
            if view.number != kept.number or kept.is_too_large or not self._catch_up(kept, view, _INLINE_ROWS):
                return None
            assert kept.state is not None
            kept.used = next(self._uses)
            return kept.state.traits(as_of_us, [learner_id], parameters)
        except (InputError, CallError):
            return None  # no such learner, or no such dataset any more: whoever reads the events says so
        finally:
            kept.lock.release()
            self._look_after(kept)

    def all_traits(self, name: str, parameters: TraitParameters) -> tuple[Traits, frozenset[int]] | None:
        """The traits of all learners at the newest event, and the numbers of the files that hold their events.

        None while the state is being built, or where it is larger than the memory allows.

        Args:
            name: of the dataset.
            parameters: constants of the definitions.
        """
        kept = self._kept_for(self._datasets.view(name, "dataset"), parameters)
        if kept is None or not kept.lock.acquire(timeout=_PATIENCE_SECONDS):
            return None
        try:
            view = self._datasets.view(name, "dataset")
            if view.number != kept.number or kept.is_too_large or not self._catch_up(kept, view, _INLINE_ROWS):
                return None
            assert kept.state is not None
            kept.used = next(self._uses)
            return kept.state.traits(parameters=parameters), frozenset(kept.covered)
        finally:
            kept.lock.release()
            self._look_after(kept)

    def follow(self, name: str) -> None:
        """Bring the states in memory up to the dataset; call it after a commit. A failure is logged, never raised."""
        for kept in self._all():
            if kept.name != name:
                continue
            with kept.lock:
                try:
                    if kept.state is not None:
                        self._catch_up(kept, self._datasets.view(name), _APPEND_ROWS)
                except CallError:
                    return  # deleted meanwhile
            self._look_after(kept)

    def replace(
        self,
        view: DatasetView,
        old: Sequence[SegmentFile],
        new: Sequence[SegmentFile],
        forgotten: str | None,
        publish: Callable[[], None],
    ) -> None:
        """Publish that files took the place of others, in the same moment for states and readers.

        Args:
            view: of the dataset.
            old: the files that go.
            new: those that come.
            forgotten: the learner whose events the new ones lack; None where they hold the same events.
            publish: shows the new files to readers.
        """
        gone = {segment.row.number for segment in old}
        come = {segment.row.number for segment in new}
        followers = [kept for kept in self._all() if kept.number == view.number]
        with ExitStack() as locks:
            for kept in followers:
                locks.enter_context(kept.lock)
            publish()
            for kept in followers:
                kept.replace(gone, come, forgotten)
        if forgotten is not None:
            for kept in followers:
                self._submit("save", kept, kept.save)

    def drop(self, number: int) -> None:
        """Forget the states of a dataset that was deleted; its files go with its folder."""
        with self._lock:
            gone = [self._kept.pop(key) for key in list(self._kept) if key[0] == number]
        for kept in gone:
            with kept.lock:
                kept.is_gone = True
                kept.drop()

    def settle(self) -> None:
        """Wait until the background work asked for so far is done."""
        done = Event()
        self._work.put(done.set)
        done.wait()

    def stop(self) -> None:
        """Save what is not saved yet; nothing is done in the background any more."""
        if self._worker.is_alive():
            self._work.put(None)
            self._worker.join()
            for kept in self._all():
                if kept.unsaved_rows:
                    kept.save()

    def _all(self) -> list[KeptState]:
        with self._lock:
            return list(self._kept.values())

    def _kept_for(self, view: DatasetView, parameters: TraitParameters) -> KeptState | None:
        shape = f"{parameters.retention_decay_per_day!r} {parameters.day_start_seconds}"
        key = (view.number, shape)
        with self._lock:
            shapes = sum(number == view.number for number, _ in self._kept)
            if key not in self._kept and shapes < _MOST_SHAPES:
                self._kept[key] = KeptState(self._store, self._datasets, view, shape, parameters)
            return self._kept.get(key)

    def _catch_up(self, kept: KeptState, view: DatasetView, most_rows: int) -> bool:
        """Make the state hold exactly the events of the view, under its lock; False where it does not yet.

        Args:
            kept: the state.
            view: taken under the lock.
            most_rows: that may be read now; more is left to the background.
        """
        try:
            if not kept.covered <= {segment.row.number for segment in view.segments}:
                _log.error("a trait state holds events of files that are gone", extra={"dataset": kept.name})
                kept.drop()
            begun = kept.state is not None or kept.begin(view, _INLINE_BYTES, most_rows)
            missing = kept.missing(view)
            if not begun or sum(segment.row.row_count for segment in missing) > most_rows:
                self._submit("build", kept, partial(self._build, kept))
                return False
            for segment in missing:
                kept.apply(segment)
        except FAILURES:
            _log.exception("a trait state cannot be kept up", extra={"dataset": kept.name})
            kept.drop()
            return False
        return bool(view.segments)

    def _look_after(self, kept: KeptState) -> None:
        """Let a state be saved that has grown, and room be made where there is too little."""
        state = kept.state
        if state is not None and kept.unsaved_rows >= max(_ROWS_BETWEEN_SAVES, state.event_count // 4):
            self._submit("save", kept, kept.save)
        if self.byte_count > self._byte_budget:
            self._submit("room", kept, self._make_room)

    # ---- in the background ----

    def _submit(self, what: str, kept: KeptState, work: Callable[[], None]) -> None:
        key = (what, kept.number, kept.shape)

        def run() -> None:
            with self._lock:
                self._queued.discard(key)
            work()

        with self._lock:
            if key in self._queued:
                return
            self._queued.add(key)
        self._work.put(run)

    def _do_work(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                _log.exception("work on a trait state failed")

    def _build(self, kept: KeptState) -> None:
        """Catch up file by file, so that nobody waits for the lock longer than one file takes."""
        missing_count = 2
        while missing_count > 1:
            with kept.lock:
                if kept.is_gone or kept.is_too_large:
                    return
                try:
                    view = self._datasets.view(kept.name)
                    if kept.state is None:
                        kept.begin(view)
                    missing = kept.missing(view)
                    missing_count = len(missing)
                    for segment in missing[:1]:
                        kept.apply(segment)
                except FAILURES:
                    _log.exception("a trait state cannot be built", extra={"dataset": kept.name})
                    kept.drop()
                    return
                if kept.byte_count > self._byte_budget:
                    self._give_up(kept)
                    return
        self._look_after(kept)

    def _make_room(self) -> None:
        loaded = [kept for kept in self._all() if kept.state is not None]
        for kept in sorted(loaded, key=lambda kept: kept.used):
            if self.byte_count <= self._byte_budget:
                return
            if kept.byte_count <= self._byte_budget:
                kept.save()
            with kept.lock:
                if kept.byte_count > self._byte_budget:
                    self._give_up(kept)
                kept.drop()

    def _give_up(self, kept: KeptState) -> None:
        _log.warning(
            "a trait state is larger than all states may be; its learners are answered from their events",
            extra={"dataset": kept.name, "bytes": kept.byte_count, "budget": self._byte_budget},
        )
        kept.drop()
        kept.is_too_large = True
