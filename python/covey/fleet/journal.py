"""What a region's journal says: its rollout, what the fleet did there, and what it counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from covey.fleet.requests import verb_of
from covey.rollout.accumulate import looks_of
from covey.rollout.gates.look import Look
from covey.rollout.state import RolloutState, apply
from covey.rollout.units import seconds_of, time_of
from covey.v1.journal_pb2 import Entry

# Of incidents by which a region's journal keeps that nobody could reach it.
OUTAGE_PREFIX = "out-of-reach-"


@dataclass(frozen=True)
class RegionLook:
    """What one look of a region's controller counted: numbers, and nobody's name.

    Attributes:
        time: of the commit, by the region's server.
        region: where.
        sequence: of the tick in the region's journal.
        limits_seconds: what the counts' `over` stands for.
        everything: what triggers judge.
        of_phase: the part that belongs to the phase's evidence; None where nothing does.
        observed_seconds: since the look before.
    """

    time: datetime
    region: str
    sequence: int
    limits_seconds: tuple[float, ...]
    everything: Look
    of_phase: Look | None
    observed_seconds: float


@dataclass
class RegionJournal:
    """The fold of one region's journal, read piece by piece.

    Attributes:
        region: its name.
        state: after the last entry; None before the first.
        entries: all but the ticks.
        looks: of the ticks that counted something.
        tick_count: all of them.
        entered: when each phase began.
        ended_at: when the rollout ended; None before.
        verbs: what a fleet's coordinator has done here.
        outages: incidents that say how long the region was out of reach.
    """

    region: str
    state: RolloutState | None = None
    entries: list[Entry] = field(default_factory=list)
    looks: list[RegionLook] = field(default_factory=list)
    tick_count: int = 0
    entered: dict[str, datetime] = field(default_factory=dict)
    ended_at: datetime | None = None
    verbs: set[str] = field(default_factory=set)
    outages: list[Entry] = field(default_factory=list)

    @property
    def last_sequence(self) -> int:
        """Where to read on."""
        return self.state.last_sequence if self.state else 0

    @property
    def fleet_digest(self) -> str:
        """Of the fleet that the rollout is a part of; empty where it is none's."""
        return self.state.spec.fleet.fleet_digest if self.state else ""

    def read(self, entries: Iterable[Entry]) -> None:
        """Folds further entries; those that are known already are passed over.

        Raises:
            IllegalEntry: they do not follow.
        """
        for entry in entries:
            if entry.sequence > self.last_sequence:
                self._read(entry)

    def _read(self, entry: Entry) -> None:
        kind = entry.WhichOneof("payload")
        before = self.state
        self.state = apply(before, entry)
        if kind == "tick":
            self.tick_count += 1
            shown = looks_of(before, entry.tick) if before else None
            if shown is not None and before is not None:
                self.looks.append(
                    RegionLook(
                        time_of(entry.time), self.region, entry.sequence, before.plan.limits_seconds, *shown,
                        seconds_of(entry.tick.observed),
                    )
                )  # fmt: skip
            return
        self.entries.append(entry)
        if verb := verb_of(entry.request_id, self.fleet_digest):
            self.verbs.add(verb)
        if kind == "phase_entered":
            self.entered[entry.phase_entered.phase] = time_of(entry.time)
        elif kind == "finished":
            self.ended_at = time_of(entry.time)
        elif kind == "incident_reported" and entry.incident_reported.incident_id.startswith(OUTAGE_PREFIX):
            self.outages.append(entry)
