"""Who was first answered by which variant in each phase: the units of every comparison between variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from math import isfinite, nan
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from covey_server.outcomes import exposures_store as stored
from covey_server.outcomes.exposures_phase import OUTSIDE, ExposedPhase, phase_key
from covey_server.outcomes.exposures_sharing import Place, arrivals
from covey_server.outcomes.exposures_table import learner_hash, segment_of, time_ms_of
from covey_server.outcomes.exposures_tokens import TokenContent, make_token, read_token
from covey_server.outcomes.exposures_writer import ExposureWriter
from covey_server.store.failures import StoreError
from covey_server.store.schema import to_microseconds

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from covey.v1.traits_pb2 import Traits
    from covey_server.split import Split
    from covey_server.store import Store


# Of so many looks one is at closed phases too: a learner may be deleted from them.
_WHOLE_LOOK = 30
# Servers store exposures within about that time: to look more often shows next to nothing more.
_STORED_WITHIN_SECONDS = 0.1


class Credit(NamedTuple):
    """The exposure to which an outcome belongs."""

    phase: ExposedPhase
    variant: int
    learner: int


class ExposureLedger:
    """First exposures per rollout, phase, variant and learner; in memory at once, in the store within about 0.1 s.

    A kill of the process forgets what was not yet stored: those learners are exposed anew at their next call.

    Args:
        store: an open store whose tables exist.
        clock: the time, aware: which phases still matter.
        caps: (low, high) by outcome metric, where a spec has none; a phase keeps those in force when it begins.
        pending_limit: exposures that may wait for the store; beyond it `record` waits, then refuses and counts.
        wait_seconds: how long it waits.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        caps: Mapping[str, tuple[float, float]] | None = None,
        pending_limit: int = 65_536,
        wait_seconds: float = 0.05,
    ) -> None:
        self._store = store
        self._clock = clock
        self._caps = dict(caps or {})
        self._load_lock = Lock()
        with store.write(is_reserved=True) as connection:
            self._key = stored.token_key(connection)
        columns = stored.exposure_phases.c
        with store.read() as connection:
            phases = stored.load(connection, columns.newest_ms + columns.window_ms >= milliseconds(clock()))
        # Replaced, never changed: readers take no lock.
        self._phases = {phase.key: phase for phase in phases}
        self._key_of_place: dict[tuple[str, str], int] = {}
        self._whole_uids: set[str] = set()
        self._writer = ExposureWriter(store, pending_limit, wait_seconds)
        self._places: dict[int, Place] = {}
        self._follow_lock = Lock()
        self._has_shrunk = False
        self._looks = 0
        self._looked_at = monotonic()

    @property
    def refused_count(self) -> int:
        """Exposures not recorded because the store did not keep up; logged, and tried again at the next answer."""
        return self._writer.refused_count

    @property
    def pending_count(self) -> int:
        """Exposures that wait for the store."""
        return self._writer.pending_count

    def record(
        self,
        split: Split,
        learner_id: str,
        variant: str,
        segment: str,
        now: datetime,
        traits: Callable[[], Traits] | None = None,
    ) -> str:
        """Note that a variant answered for a learner; only the first time in a phase counts.

        Args:
            split: the split by which the learner was routed.
            learner_id: as on the wire.
            variant: name of the variant that answered.
            segment: slice of the learner; "" for none.
            now: when it answered.
            traits: gives the learner's traits; asked only at a first exposure whose split keeps some of them.

        Returns:
            The token that credits outcomes to this exposure; "" before the first phase, for who is new once a rollback
            has begun, for a variant that is neither the baseline nor the candidate, and where the store did not keep
            up.
        """
        if not split.phase:
            return ""
        phase = self.phase_of(split)
        number = phase.variant_number(variant)
        if number is None:
            return ""
        learner = learner_hash(learner_id)
        known = phase.tables[number].get(learner) is not None
        if not known:
            if split.is_over:
                # Everybody gets the baseline: a learner of the candidate would be in both arms.
                return ""
            covariates = _covariates(split, traits)
            if not self._writer.enter(phase, number, learner, segment, milliseconds(now), covariates):
                return ""
        return make_token(self._key, TokenContent(phase.key, number, learner))

    def set_aside(self, split: Split, learner_id: str, segment: str, now: datetime) -> None:
        """Note the segment of a learner who is first met when it is excluded: no exposure, but it is not to move."""
        self._writer.enter(self.phase_of(split), OUTSIDE, learner_hash(learner_id), segment, milliseconds(now))

    def first_segment(self, split: Split, learner_id: str) -> str | None:
        """The segment noted when the split's rollout first met a learner; None before it has."""
        self._load_whole(split.uid)
        # Other servers may have met learners in a phase that this one was asked nothing in yet.
        self.phase_of(split)
        learner = learner_hash(learner_id)
        found = self._noted_segment(split.uid, learner)
        if found is None and self._store.is_shared and monotonic() - self._looked_at >= _STORED_WITHIN_SECONDS:
            # What others have stored since the last look counts, too.
            try:
                self._look(whole=False)
            except StoreError:
                return None  # as for one who is met here and now
            found = self._noted_segment(split.uid, learner)
        return found

    def _noted_segment(self, uid: str, learner: int) -> str | None:
        # All phases note the same one; the phase in force, which is asked most, stands last.
        for phase in reversed(self._phases.values()):
            if phase.uid != uid:
                continue
            for table in (*phase.tables, phase.outside):
                detail = table.get(learner)
                if detail is not None:
                    return phase.segments[segment_of(detail)]
        return None

    def follow(self) -> bool:
        """Take over what other servers of a shared store have stored.

        Returns:
            Whether something was taken away meanwhile: what was derived from exposures is to be derived anew.

        Raises:
            StoreError: the store cannot be read.
        """
        self._looks += 1
        self._look(whole=self._looks % _WHOLE_LOOK == 1)
        has_shrunk, self._has_shrunk = self._has_shrunk, False
        return has_shrunk

    def _look(self, *, whole: bool) -> None:
        """One look at the phases that still gain exposures, or at the `whole` of them: closed ones only shrink."""
        with self._follow_lock:
            self._looked_at, phases = monotonic(), self._phases
            self._places = {key: self._places.get(key, Place()) for key in phases}
            with self._store.read() as connection:
                keys = set(phases) if whole else stored.open_phases(connection, milliseconds(self._clock()))
                added = {key: arrivals(connection, key, self._places[key]) for key in phases if key in keys}
            for key, new in added.items():
                if new is not None:
                    self._writer.take_over(phases[key], new)
                else:
                    self._load_anew(key)
                    self._has_shrunk = True

    def counts(self, rollout: str, phase: str) -> dict[tuple[str, str], int]:
        """Distinct learners by (variant, segment) in a phase; segment "" are those that came without one."""
        found = self.phase_named(rollout, phase)
        if found is None:
            return {}
        counts = self._writer.counts(found)
        return {(found.variants[v], found.segments[s]): count for (v, s), count in sorted(counts.items()) if count}

    def credit(self, learner_id: str, time_ms: int, token: str) -> Credit | None:
        """The exposure that an outcome belongs to: the token's, or the learner's last one at or before its time.

        None where there is none, where its window had closed at `time_ms`, and for a token of another learner.
        """
        learner = learner_hash(learner_id)
        if token:
            return self._credit_by_token(learner, time_ms, token)
        last: Credit | None = None
        last_ms = -1
        for phase in self._phases.values():
            for number, table in enumerate(phase.tables):
                detail = table.get(learner)
                if detail is not None and last_ms <= time_ms_of(detail) <= time_ms:
                    last, last_ms = Credit(phase, number, learner), time_ms_of(detail)
        return last if last and time_ms <= last_ms + last.phase.window_ms else None

    def is_token(self, text: str) -> bool:
        """Whether the text is a token of this store's making, of whatever exposure."""
        return read_token(self._key, text) is not None

    def phase_of(self, split: Split) -> ExposedPhase:
        """The exposures of the split's phase, from the store where this process has not met it."""
        key = self._key_of_place.get((split.uid, split.phase))
        phase = None if key is None else self._phases.get(key)
        return phase or self._open_phase(split)

    def loaded_phases(self) -> list[ExposedPhase]:
        """The phases in memory: those whose windows may still be open."""
        return list(self._phases.values())

    def flush(self) -> bool:
        """Wait until everything recorded before this call is synced; False where that takes more than 5 s."""
        return self._writer.flush()

    def stop(self) -> None:
        """Store what is pending and end the writer; what is recorded afterwards is refused."""
        self._writer.stop()

    def settled(self) -> AbstractContextManager[None]:
        """While the block runs, the store has every exposure recorded before it and gets no new ones."""
        return self._writer.settled()

    def forget_stored(self, connection: Connection, learner_id: str) -> int:
        """Remove a learner's exposures from the store, inside `settled`; returns how many there were.

        In the caller's transaction where it is one of this store.
        """
        with self._store.joined(connection) as joined:
            return stored.forget(joined, learner_hash(learner_id))

    def forget_remembered(self, learner_id: str) -> None:
        """Remove a learner from memory, inside `settled`, once the transaction has committed."""
        self._writer.forget(self._phases.values(), learner_hash(learner_id))

    def _credit_by_token(self, learner: int, time_ms: int, token: str) -> Credit | None:
        content = read_token(self._key, token)
        if content is None or content.learner != learner:
            return None
        phase = self._phases.get(content.phase_key)
        detail = phase.tables[content.variant].get(learner) if phase else None
        if phase is None or detail is None or time_ms > time_ms_of(detail) + phase.window_ms:
            return None
        return Credit(phase, content.variant, learner)

    def _open_phase(self, split: Split) -> ExposedPhase:
        key = phase_key(split.uid, split.phase)
        with self._load_lock:
            phase = self._phases.get(key) or self._load(stored.exposure_phases.c.phase_key == stored.signed(key))
            if phase is None:
                window_ms = round(split.outcome_window_seconds * 1000)
                names = (split.baseline, split.candidate)
                caps = self._caps | {rule.metric: (rule.low, rule.high) for rule in split.outcomes}
                phase = ExposedPhase(key, split.rollout, split.uid, split.phase, names, window_ms, caps)
                # What can earn no more credit makes room.
                now_ms = milliseconds(self._clock())
                open_phases = {k: p for k, p in self._phases.items() if p.uid == split.uid or not p.is_closed(now_ms)}
                self._phases = {**open_phases, key: phase}
            self._key_of_place[split.uid, split.phase] = key
            return phase

    def _load_whole(self, uid: str) -> None:
        """See to it that every phase of a rollout is in memory, also one whose windows had closed at the start."""
        if uid in self._whole_uids:
            return
        with self._load_lock:
            with self._store.read() as connection:
                found = stored.load(connection, stored.exposure_phases.c.uid == uid)
            # What is in memory already is newer than the store.
            self._phases = {phase.key: phase for phase in found} | self._phases
            self._whole_uids.add(uid)

    def _load_anew(self, key: int) -> None:
        """Put what the store has of a phase in the place of what is in memory."""
        with self._load_lock, self._writer.settled():
            with self._store.read() as connection:
                found = stored.load(connection, stored.exposure_phases.c.phase_key == stored.signed(key))
            self._phases = {**self._phases, **{phase.key: phase for phase in found}}
        self._places[key] = Place()

    def phase_named(self, rollout: str, phase: str) -> ExposedPhase | None:
        """The exposures of a phase by name, from the store where need be; None where nobody was exposed."""
        for known in self._phases.values():
            if known.rollout == rollout and known.phase == phase:
                return known
        columns = stored.exposure_phases.c
        with self._load_lock:
            return self._load((columns.rollout == rollout) & (columns.phase == phase))

    def _load(self, condition: ColumnElement[bool]) -> ExposedPhase | None:
        with self._store.read() as connection:
            phases = stored.load(connection, condition)
        if not phases:
            return None
        # Another thread may have loaded it meanwhile, and its exposures are the newer ones.
        phase = self._phases.get(phases[-1].key, phases[-1])
        self._phases = {**self._phases, phase.key: phase}
        return phase


def _covariates(split: Split, traits: Callable[[], Traits] | None) -> dict[str, float]:
    names = split.covariates
    if not names or traits is None:
        return {}
    found = traits()
    values = {name: float(getattr(found, name, nan)) for name in names}
    return {name: value for name, value in values.items() if isfinite(value)}


def milliseconds(time: datetime) -> int:
    """Whole milliseconds since 1970, floored."""
    return to_microseconds(time) // 1000
