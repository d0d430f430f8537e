"""Exposures on their way into the store: in memory at once, synced in batches by a background thread."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, TypeAlias

from covey import failpoints
from covey_server.outcomes.exposures_phase import OUTSIDE
from covey_server.outcomes.exposures_store import save, save_covariates
from covey_server.outcomes.exposures_table import float_bits, pack_detail, renumbered, time_ms_of, variant_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from covey_server.outcomes.exposures_phase import ExposedPhase
    from covey_server.outcomes.exposures_sharing import Arrivals
    from covey_server.store import Store

_log = logging.getLogger("covey_server.exposures")

_GATHER_SECONDS = 0.1
_RETRY_SECONDS = 0.5
_STOP_SECONDS = 5.0
_MOST_PER_COMMIT = 16_384
_LOG_EVERY = 1000
_TAKEN_AT_ONCE = 1024

Covariates: TypeAlias = Mapping[str, float]
"""Value by trait at a first exposure."""

_NO_COVARIATES: Covariates = {}


class ExposureWriter:
    """Enters exposures and stores them within about 0.1 s; never drops one silently.

    Args:
        store: an open store whose tables exist.
        pending_limit: exposures that may wait for the store; beyond it `enter` waits, then refuses and counts.
        wait_seconds: how long it waits.
    """

    def __init__(self, store: Store, pending_limit: int, wait_seconds: float) -> None:
        self._store = store
        self._pending_limit = pending_limit
        self._wait_seconds = wait_seconds
        self._changed = Condition()
        self._pending: list[tuple[ExposedPhase, int, int, Covariates]] = []
        self._entered_count = 0
        self._settled_count = 0
        self._refused_count = 0
        self._hurry = False
        self._stopping = False
        # Held while exposures go to the store, and by whoever needs the store and the memory to agree.
        self._write_lock = Lock()
        self._thread = Thread(target=self._write_until_stopped, name="exposures", daemon=True)
        self._thread.start()

    @property
    def refused_count(self) -> int:
        """Exposures refused because the store did not keep up."""
        return self._refused_count

    @property
    def pending_count(self) -> int:
        """Exposures that wait for the store."""
        return len(self._pending)

    def enter(
        self,
        phase: ExposedPhase,
        variant: int,
        learner: int,
        segment: str,
        now_ms: int,
        covariates: Covariates = _NO_COVARIATES,
    ) -> bool:
        """Note a learner's exposure, the first only, with its traits; False where the store did not keep up.

        Those of variant OUTSIDE are no exposures: they keep a segment, and nothing counts them.
        """
        with self._changed:
            if not self._changed.wait_for(self._has_room, self._wait_seconds) or self._stopping:
                self._refused_count += 1
                if self._refused_count % _LOG_EVERY == 1:
                    _log.error("exposures refused: the store does not keep up", extra={"count": self._refused_count})
                return False
            detail = pack_detail(max(now_ms, 0), variant, phase.segment_number(segment))
            if phase.table(variant).add(learner, detail):
                for trait, value in covariates.items():
                    phase.covariate_tables(trait)[variant].add(learner, float_bits(value))
                if variant != OUTSIDE:
                    phase.count(variant, detail, 1)
                    phase.newest_ms = max(phase.newest_ms, now_ms)
                self._pending.append((phase, learner, detail, covariates))
                self._entered_count += 1
                if len(self._pending) == 1:
                    self._changed.notify_all()
        return True

    def counts(self, phase: ExposedPhase) -> dict[tuple[int, int], int]:
        """Distinct learners by (variant number, segment number), at one instant."""
        with self._changed:
            return dict(phase.counts)

    def take_over(self, phase: ExposedPhase, arrivals: Arrivals) -> None:
        """Enter exposures that other servers have stored; those that are known already stay as they are."""
        with self._changed:
            numbers = [phase.segment_number(name) for name in arrivals.segments]
        for start in range(0, len(arrivals.exposures), _TAKEN_AT_ONCE):
            block = arrivals.exposures[start : start + _TAKEN_AT_ONCE]
            details = renumbered(block["detail"], numbers).tolist()
            with self._changed:
                for learner, detail in zip(block["learner"].tolist(), details, strict=True):
                    variant = variant_of(detail)
                    if phase.table(variant).add(learner, detail) and variant != OUTSIDE:
                        phase.count(variant, detail, 1)
                        phase.newest_ms = max(phase.newest_ms, time_ms_of(detail))
        for (trait, variant), records in arrivals.covariates.items():
            table = phase.covariate_tables(trait)[variant]
            for learner, bits in zip(records["learner"].tolist(), records["detail"].tolist(), strict=True):
                table.add(learner, bits)

    def flush(self, timeout_seconds: float = _STOP_SECONDS) -> bool:
        """Wait until everything entered before this call is synced; False where that took too long."""
        with self._changed:
            target = self._entered_count
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._settled_count >= target, timeout_seconds)

    def stop(self) -> None:
        """Store what is pending and end the thread; what is entered afterwards is refused."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(_STOP_SECONDS)
        if self._pending:
            _log.error("exposures lost at the stop", extra={"count": len(self._pending)})

    @contextmanager
    def settled(self) -> Iterator[None]:
        """While the block runs, the store has every exposure entered before it and gets no new ones."""
        self.flush()
        with self._write_lock:
            yield

    def forget(self, phases: Iterable[ExposedPhase], learner: int) -> None:
        """Remove a learner from memory, inside `settled`."""
        with self._changed:
            kept = [entry for entry in self._pending if entry[1] != learner]
            self._settled_count += len(self._pending) - len(kept)
            self._pending = kept
            for phase in phases:
                for number, table in enumerate(phase.tables):
                    detail = table.get(learner)
                    if detail is not None and table.remove(learner):
                        phase.count(number, detail, -1)
                    for tables in phase.covariates.values():
                        tables[number].remove(learner)
                phase.outside.remove(learner)

    def _has_room(self) -> bool:
        return len(self._pending) < self._pending_limit or self._stopping

    def _is_due(self) -> bool:
        return self._stopping or self._hurry or len(self._pending) >= _MOST_PER_COMMIT

    def _write_until_stopped(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._pending) or self._stopping)
                self._changed.wait_for(self._is_due, _GATHER_SECONDS)
                if not self._pending and self._stopping:
                    return
            try:
                self._write_some()
            except Exception:
                _log.exception("exposures are not stored; trying again")
                with self._changed:
                    if self._stopping:
                        return
                    self._changed.wait_for(lambda: self._stopping, _RETRY_SECONDS)

    def _write_some(self) -> None:
        with self._write_lock:
            with self._changed:
                taken = self._pending[:_MOST_PER_COMMIT]
            by_phase: dict[int, tuple[ExposedPhase, list[tuple[int, int]]]] = {}
            traits: dict[int, list[tuple[str, int, int, float]]] = {}
            for phase, learner, detail, covariates in taken:
                by_phase.setdefault(phase.key, (phase, []))[1].append((learner, detail))
                for trait, value in covariates.items():
                    traits.setdefault(phase.key, []).append((trait, variant_of(detail), learner, value))

            def run(connection: Connection) -> list[tuple[ExposedPhase, list[int]]]:
                for key, values in traits.items():
                    save_covariates(connection, key, values)
                saved = [(phase, save(connection, phase, entries)) for phase, entries in by_phase.values()]
                failpoints.reach("exposures.written")
                return saved

            for phase, stored_numbers in self._store.group_commit(run):
                phase.is_stored = True
                phase.stored_numbers = stored_numbers
                for table in (
                    *phase.tables,
                    phase.outside,
                    *(table for pair in phase.covariates.values() for table in pair),
                ):
                    table.merge_if_large()
            with self._changed:
                del self._pending[: len(taken)]
                self._settled_count += len(taken)
                self._hurry = False
                self._changed.notify_all()
