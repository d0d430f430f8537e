"""What one look of the controller brings to decide()."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from covey.rollout.units import duration_of, timestamp_of
from covey.v1.evidence_pb2 import Absence, LearnerCount, OutcomeMoments, ProbeCounts, ReplicaReading
from covey.v1.journal_pb2 import Tick


@dataclass(frozen=True)
class Evidence:
    """Everything that was read in one tick; whatever is missing is named in `absences`.

    Attributes:
        observed_seconds: monotonic time since the committed tick before; 0 where nobody observed it.
        observed_at: wall time of the look, aware.
        readings: believed pages, cumulative, one per replica.
        probes: probes since the tick before.
        outcomes: gauges of the store, replacing those of the tick before.
        learners: distinct learners exposed in this phase, replacing likewise.
        absences: what could not be read or believed, and why.
    """

    observed_seconds: float
    observed_at: datetime
    readings: Sequence[ReplicaReading] = ()
    probes: Sequence[ProbeCounts] = ()
    outcomes: Sequence[OutcomeMoments] = ()
    learners: Sequence[LearnerCount] = ()
    absences: Sequence[Absence] = ()

    def write_to(self, tick: Tick) -> None:
        """Fill an empty journal record, in a fixed order so that the same look gives the same bytes."""
        tick.observed.CopyFrom(duration_of(max(0.0, self.observed_seconds)))
        tick.observed_at.CopyFrom(timestamp_of(self.observed_at))
        tick.readings.extend(sorted(self.readings, key=lambda reading: reading.replica))
        tick.probes.extend(sorted(self.probes, key=lambda probe: (probe.replica, probe.variant)))
        tick.outcomes.extend(sorted(self.outcomes, key=attrgetter("metric", "variant", "segment")))
        tick.learners.extend(sorted(self.learners, key=lambda count: (count.variant, count.segment)))
        tick.absences.extend(sorted(self.absences, key=attrgetter("replica", "metric", "type")))

    @classmethod
    def from_tick(cls, tick: Tick) -> Evidence:
        """The evidence that a journal's tick was made from."""
        from covey.rollout.units import seconds_of, time_of

        return cls(
            observed_seconds=seconds_of(tick.observed),
            observed_at=time_of(tick.observed_at),
            readings=tuple(tick.readings),
            probes=tuple(tick.probes),
            outcomes=tuple(tick.outcomes),
            learners=tuple(tick.learners),
            absences=tuple(tick.absences),
        )
