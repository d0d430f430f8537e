"""Traits that keep up with their events: each new event advances its learner, none is read again."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.instants import instant_to_datetime, instant_to_us
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES, TraitParameters
from covey.traits import Traits

if TYPE_CHECKING:
    from datetime import datetime

    from covey.events import Events

_Texts = tuple[NDArray[np.int64], NDArray[np.uint8]]
_IdArgument = NDArray[np.int64] | NDArray[np.uint64] | _Texts


class TraitState:
    """What is known of every learner's past, advanced in O(1) by each new event, in whatever order they come.

    Its traits are those of all events so far (`Events.traits`) to 1e-6 in every column, at any instant from the newest
    event on. Integer ids and their decimal text are one learner. Not for several threads at once; every call releases
    the GIL.

    Args:
        parameters: constants of the definitions. `retention_decay_per_day` and `day_start_seconds` shape the state;
            the others may be chosen anew at every question.
    """

    def __init__(self, parameters: TraitParameters | None = None) -> None:
        self._parameters = parameters or TraitParameters()
        self._core = _core.TraitState(_core_parameters(self._parameters))

    @property
    def parameters(self) -> TraitParameters:
        """Constants of the definitions."""
        return self._parameters

    @property
    def learner_count(self) -> int:
        """Learners with at least one event."""
        return self._core.learner_count

    @property
    def event_count(self) -> int:
        """Events so far."""
        return self._core.event_count

    @property
    def newest_us(self) -> int | None:
        """Time of the newest event, microseconds since the epoch; None without events."""
        return self._core.newest_us if self._core.event_count else None

    @property
    def byte_count(self) -> int:
        """Bytes of memory in use."""
        return self._core.byte_count

    def update(self, events: Events, cancellation: _core.Cancellation | None = None) -> None:
        """Add events, older than known ones or not; equal events count each.

        Args:
            events: of new and known learners, domains and capabilities.
            cancellation: ends the work early.

        Raises:
            ValueError: for a value out of range, naming column and row; nothing is changed then.
            Cancelled: the state then holds a part of the events and refuses further work: load or build it again.
        """
        self._core.update(
            _ids_argument(events.learner_ids),
            events.learner_index,
            events.time,
            events.domain_index,
            _names_argument(events.domains),
            events.capability_index,
            _names_argument(events.capabilities),
            events.kind,
            events.action_taken,
            events.weight,
            learner_offsets=events.learner_offsets,
            time_origin_us=events.time_origin_us,
            cancellation=cancellation,
        )

    def traits(
        self,
        as_of: datetime | np.datetime64 | int | None = None,
        learner_ids: LearnerIds | Sequence[str | int] | None = None,
        parameters: TraitParameters | None = None,
        cancellation: _core.Cancellation | None = None,
    ) -> Traits:
        """The traits of all learners, or of some, at one instant.

        Args:
            as_of: as for `Events.traits`, at or after the newest event; that by default.
            learner_ids: learners without events are left out of the answer, which is in ascending order of ids.
            parameters: other constants than the state's; those that shape the state must be the same.
            cancellation: ends the work early.

        Raises:
            InputError: for an instant before the newest event, or where no learner has an event.
            ValueError: for parameters that would have shaped another state.
            Cancelled: the state is as it was.
        """
        newest_us = self.newest_us
        if newest_us is None:
            raise InputError("there are no events yet", remedy="update the state with some")
        as_of_us = newest_us if as_of is None else instant_to_us(as_of)
        if as_of_us < newest_us:
            raise InputError(
                f"as_of ({instant_to_datetime(as_of_us).isoformat()}) is before the newest event"
                f" ({instant_to_datetime(newest_us).isoformat()}), and a trait state holds no single events",
                expected="an instant at or after the newest event",
                remedy="analyse the events themselves: Events.traits answers at any instant",
            )
        numbers = self._core.learners() if learner_ids is None else self._numbers(learner_ids)
        if not len(numbers):
            raise InputError("no learner that was asked for has events")
        numbers, ids = self._ascending(numbers)
        wanted = parameters or self._parameters
        columns = self._core.traits(numbers, as_of_us, _core_parameters(wanted), cancellation=cancellation)
        return Traits(
            learner_ids=ids,
            matrix=np.stack([columns[name] for name in TRAIT_NAMES]),
            further={name: columns[name] for name in FURTHER_NAMES},
            as_of_us=as_of_us,
            ignored_event_count=0,
            parameters=wanted,
            engine="native",
        )

    def forget(self, learner_id: str | int) -> int:
        """Remove all that is known of a learner, with names that no one else used; returns the events forgotten."""
        return self._core.forget(_ids_argument(_ids_of([learner_id])))

    def save(self, target: str | Path | BinaryIO) -> None:
        """Write versioned, checksummed bytes to a file (under a temporary name, synced, renamed) or to an open one.

        Raises:
            OSError: a file of that name is then as it was.
        """
        if not isinstance(target, (str, Path)):
            self._core.save(target.write)
            return
        path = Path(target)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("wb") as file:
                self._core.save(file.write)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @classmethod
    def load(
        cls, source: str | Path | bytes | memoryview, cancellation: _core.Cancellation | None = None
    ) -> TraitState:
        """The state that `save` wrote, from a file or from its bytes.

        Raises:
            InputError: the bytes are damaged, of another version, or no trait state.
            OSError: the file cannot be read.
        """
        if not isinstance(source, (str, Path)):
            return cls._of_bytes(source, "bytes", cancellation)
        with Path(source).open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise _not_a_state("the file is empty", str(source))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                return cls._of_bytes(mapped, str(source), cancellation)

    @classmethod
    def _of_bytes(cls, data: Any, source: str, cancellation: _core.Cancellation | None) -> TraitState:
        view = memoryview(data)
        try:
            core = _core.TraitState.load(view, cancellation=cancellation)
        except ValueError as error:
            raise _not_a_state(str(error), source) from None
        finally:
            view.release()
        given = core.parameters
        state = cls.__new__(cls)
        state._parameters = TraitParameters(**{name: getattr(given, name) for name in TraitParameters.__slots__})
        state._core = core
        return state

    def _numbers(self, learner_ids: LearnerIds | Sequence[str | int]) -> NDArray[np.int64]:
        ids = learner_ids if isinstance(learner_ids, LearnerIds) else _ids_of(learner_ids)
        numbers = np.unique(self._core.find(_ids_argument(ids)))
        return numbers[numbers >= 0]

    def _ascending(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], LearnerIds]:
        ids = self._core.ids(numbers)
        if isinstance(ids, np.ndarray):
            order = np.argsort(ids)
            return numbers[order], LearnerIds(integers=ids[order])
        offsets, data = ids
        if len(numbers) == 1:
            return numbers, LearnerIds(offsets=offsets, data=data)
        import pyarrow.compute as pc

        texts = LearnerIds(offsets=offsets, data=data).to_arrow()
        by_bytes = pc.sort_indices(texts)
        return numbers[by_bytes.to_numpy()], LearnerIds.from_arrow(texts.take(by_bytes))


def _core_parameters(parameters: TraitParameters) -> _core.TraitParameters:
    return _core.TraitParameters(**parameters.to_keywords())


def _ids_of(learner_ids: Iterable[str | int]) -> LearnerIds:
    return LearnerIds.from_texts(str(learner_id) for learner_id in learner_ids)


def _ids_argument(ids: LearnerIds) -> _IdArgument:
    if ids.integers is not None:
        return ids.integers if ids.integers.flags.c_contiguous else ids.integers.copy()
    assert ids.offsets is not None and ids.data is not None
    return ids.offsets, ids.data


def _names_argument(names: Sequence[str | None]) -> _Texts:
    """Names as the core takes them: one byte before each tells an empty name from none."""
    encoded = [b"" if name is None else b"=" + name.encode() for name in names]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(name) for name in encoded], out=offsets[1:])
    return offsets, np.frombuffer(b"".join(encoded), dtype=np.uint8)


def _not_a_state(problem: str, source: str) -> InputError:
    return InputError(problem, source=source, remedy="build the state again from the events")
