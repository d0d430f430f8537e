"""What learners did after an answer: stored, credited to exposures, summed per learner."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from covey import failpoints
from covey.instants import EARLIEST_US, LATEST_US
from covey.v1 import evidence_pb2, outcomes_pb2
from covey_server.catalogue.names import LONGEST_LEARNER_ID_BYTES
from covey_server.outcomes.exposures import Credit, ExposureLedger, milliseconds
from covey_server.outcomes.exposures_table import learner_hash
from covey_server.outcomes.moments import phase_moments
from covey_server.outcomes.observations import Observations, phase_observations
from covey_server.outcomes.store import OutcomeRow, credited_after, forget, newest, save, sums
from covey_server.store import check_request_id, commit_once
from covey_server.violations import Violations

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.outcomes.exposures_phase import ExposedPhase
    from covey_server.split import Split
    from covey_server.store import Store

MOST_OUTCOMES = 10_000
_METRIC = re.compile(r"[a-z0-9_]{1,63}")

_Sums: TypeAlias = dict[str, tuple[dict[int, float], dict[int, float]]]


class OutcomeBook:
    """Outcomes of the store, with each learner's sums per phase in memory.

    Args:
        store: an open store whose tables exist.
        ledger: the exposures to credit.
        clock: the time, aware: which windows have closed.
    """

    def __init__(self, store: Store, ledger: ExposureLedger, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._lock = Lock()
        self._sums: dict[int, _Sums] = {}
        # Of each phase in a shared store: the outcome up to which its sums reach.
        self._reached: dict[int, int] = {}

    def report(self, request: outcomes_pb2.ReportOutcomesRequest) -> outcomes_pb2.ReportOutcomesResponse:
        """Store a batch, all or nothing; what this returns is synced. A retry returns the first answer.

        Raises:
            CallError: INVALID_ARGUMENT with every wrong field.
        """
        check_request_id(request.request_id)
        _check(request.outcomes, self._ledger.is_token)
        if self._store.is_shared:
            # An outcome may come sooner than the next look, and to another server than the answer did.
            self.follow()
        pairs = [(outcome, self._credit(outcome)) for outcome in request.outcomes]
        rows = [_row(outcome, credit) for outcome, credit in pairs]
        answer = outcomes_pb2.ReportOutcomesResponse(
            stored_count=len(rows), credited_count=sum(1 for row in rows if row.phase_key is not None)
        )

        def run(connection: Connection) -> bytes:
            save(connection, rows)
            failpoints.reach("outcomes.written")
            if not self._store.is_shared:
                self._store.after_commit(connection, lambda: self._remember(rows))
            return answer.SerializeToString()

        with self._lock:
            # Sums must be in memory before the rows are in the store, or they would be counted twice.
            for phase in {credit.phase.key: credit.phase for _, credit in pairs if credit}.values():
                self._sums_of(phase)
        payload = commit_once(self._store, request, run, self._clock())
        return outcomes_pb2.ReportOutcomesResponse.FromString(payload)

    def moments(self, split: Split, now: datetime | None = None) -> list[evidence_pb2.OutcomeMoments]:
        """Moments of the split's phase: one observation per learner exposed in it whose window has closed.

        A learner's observation is the sum of the outcomes credited to that exposure, capped by the phase's caps,
        zero where there was none; values are centred at the middle of the caps. Metrics without any outcome in the
        phase have no moments. Learners of excluded segments are left out.
        """
        phase = self._ledger.phase_of(split)
        with self._lock:
            known = self._sums_of(phase)
            frozen = {metric: (dict(pair[0]), dict(pair[1])) for metric, pair in known.items()}
        covariates = {rule.metric: rule.covariate for rule in split.outcomes if rule.covariate}
        now_ms = milliseconds(now or self._clock())
        return list(phase_moments(phase, frozen, now_ms, covariates, split.excluded_segments))

    def observations(
        self, rollout: str, phase: str, excluded_segments: Collection[str] = (), now: datetime | None = None
    ) -> Observations | None:
        """One row per learner exposed in a phase whose window has closed; None where nobody was exposed in it.

        Args:
            rollout: rollouts/{rollout}.
            phase: its name.
            excluded_segments: routed back to the baseline; left out.
            now: which windows have closed; default the clock's time.
        """
        found = self._ledger.phase_named(rollout, phase)
        if found is None:
            return None
        with self._lock:
            known = self._sums_of(found)
            frozen = {metric: (dict(pair[0]), dict(pair[1])) for metric, pair in known.items()}
        return phase_observations(found, frozen, milliseconds(now or self._clock()), excluded_segments)

    def follow(self) -> None:
        """Take over the exposures and outcomes that came to any server of a shared store, this one included.

        Raises:
            StoreError: the store cannot be read.
        """
        if self._ledger.follow():
            with self._lock:
                self._sums, self._reached = {}, {}
        with self._lock, self._store.read() as connection:
            if not self._reached:
                return
            last = newest(connection)
            for number, row in credited_after(connection, min(self._reached.values())):
                if row.phase_key is not None and number > self._reached.get(row.phase_key, last):
                    self._add(row)
            self._reached = dict.fromkeys(self._reached, last)

    def forget_stored(self, connection: Connection, learner_id: str) -> int:
        """Remove a learner's outcomes from the store, in the caller's transaction where it is one of this store.

        Returns:
            How many there were.
        """
        with self._store.joined(connection) as joined:
            return forget(joined, learner_hash(learner_id))

    def forget_remembered(self, learner_id: str) -> None:
        """Remove a learner from memory, once the transaction has committed."""
        learner = learner_hash(learner_id)
        with self._lock:
            for by_metric in self._sums.values():
                for pair in by_metric.values():
                    for table in pair:
                        table.pop(learner, None)

    def _credit(self, outcome: outcomes_pb2.Outcome) -> Credit | None:
        time_ms = outcome.time.seconds * 1000 + outcome.time.nanos // 1_000_000
        return self._ledger.credit(outcome.learner_id, time_ms, outcome.exposure_token)

    def _sums_of(self, phase: ExposedPhase) -> _Sums:
        """The sums of a phase, from the store at first use; with the lock held."""
        found = self._sums.get(phase.key)
        if found is None:
            found = {}
            with self._store.read() as connection:
                for metric, variant, learner, total in sums(connection, phase.key):
                    found.setdefault(metric, ({}, {}))[variant][learner] = total
                reached = newest(connection)
            open_keys = {known.key for known in self._ledger.loaded_phases()}
            self._sums = {key: kept for key, kept in self._sums.items() if key in open_keys}
            self._sums[phase.key] = found
            self._reached = {key: self._reached.get(key, reached) for key in self._sums}
        return found

    def _remember(self, rows: Iterable[OutcomeRow]) -> None:
        with self._lock:
            for row in rows:
                self._add(row)

    def _add(self, row: OutcomeRow) -> None:
        """Add an outcome to the sums of its phase where those are in memory; with the lock held."""
        by_metric = None if row.phase_key is None else self._sums.get(row.phase_key)
        if by_metric is not None and row.variant is not None:
            table = by_metric.setdefault(row.metric, ({}, {}))[row.variant]
            table[row.learner] = table.get(row.learner, 0.0) + row.value


def _row(outcome: outcomes_pb2.Outcome, credit: Credit | None) -> OutcomeRow:
    return OutcomeRow(
        learner=learner_hash(outcome.learner_id),
        metric=outcome.metric,
        value=outcome.value,
        time_us=outcome.time.seconds * 1_000_000 + outcome.time.nanos // 1000,
        phase_key=credit.phase.key if credit else None,
        variant=credit.variant if credit else None,
    )


def _check(batch: Iterable[outcomes_pb2.Outcome], is_token: Callable[[str], bool]) -> None:
    violations = Violations()
    count = 0
    for position, outcome in enumerate(batch):
        count += 1
        place = f"outcomes[{position}]"
        if not outcome.learner_id:
            violations.add(f"{place}.learner_id", "is missing")
        elif len(outcome.learner_id.encode()) > LONGEST_LEARNER_ID_BYTES:
            violations.add(f"{place}.learner_id", f"is longer than {LONGEST_LEARNER_ID_BYTES} bytes of UTF-8")
        if not _METRIC.fullmatch(outcome.metric):
            violations.add(f"{place}.metric", f"{outcome.metric[:80]!r} is no name; 1 to 63 of a-z, 0-9 and _")
        if not math.isfinite(outcome.value):
            violations.add(f"{place}.value", f"{outcome.value} is not finite")
        if not outcome.HasField("time"):
            violations.add(f"{place}.time", "is missing; an outcome is credited by its time")
        elif not EARLIEST_US <= outcome.time.seconds * 1_000_000 <= LATEST_US:
            violations.add(f"{place}.time", "is out of range; expected the years 1 to 9999")
        # Stored without its credit it would be a learner who did nothing: evidence that is wrong in silence.
        if outcome.exposure_token and not is_token(outcome.exposure_token):
            violations.add(
                f"{place}.exposure_token",
                f"{outcome.exposure_token[:40]!r} is no token of this server; leave it out to credit the last exposure",
            )
    if not count:
        violations.add("outcomes", "is empty")
    if count > MOST_OUTCOMES:
        violations.add("outcomes", f"holds {count}; at most {MOST_OUTCOMES} a call")
    violations.raise_if_any()
