"""The report of a fleet, from its regions' journals and nothing else: what became of each, and of the whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from covey.fleet.journal import OUTAGE_PREFIX, RegionJournal
from covey.fleet.model import FleetDecision, GlobalReading, RegionView
from covey.fleet.requests import verb_of
from covey.fleet.spec import fleet_digest, wave_numbers
from covey.report import story, words
from covey.report.lines import verdict_line
from covey.report.model import VerdictLine
from covey.rollout.units import time_of
from covey.v1.fleet_pb2 import ON_REGION_HARM_ROLLBACK_ALL, FleetSpec
from covey.v1.journal_pb2 import Entry

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Stretch:
    """A phase of a region, or an outage, on the line of time; both ends as shares of the whole, 0 to 1."""

    name: str
    kind: str
    begin: float
    end: float


@dataclass(frozen=True)
class Outage:
    """When a region was out of the coordinator's reach, and what went on there meanwhile."""

    region: str
    begin: str
    end: str
    seconds: float
    meanwhile: str


@dataclass(frozen=True)
class RegionLine:
    """One region: where it stands or how it ended, when, and what it counted."""

    name: str
    wave: int
    state: str
    why: str
    started: str
    ended: str
    seconds: float
    candidate_requests: int
    candidate_errors: int
    baseline_requests: int
    baseline_errors: int
    look_count: int
    outage_count: int
    stretches: list[Stretch]


@dataclass(frozen=True)
class FleetEvent:
    """An entry of a region's journal, told; `by_fleet` where the coordinator did it."""

    time: str
    region: str
    text: str
    actor: str
    reason: str
    by_fleet: bool


@dataclass(frozen=True)
class FleetReport:
    """What the journals of a fleet tell."""

    name: str
    description: str
    digest: str
    candidate: str
    baseline: str
    decision: str
    sentence: str
    written: str
    began: str
    seconds: float
    on_region_harm: str
    tolerated_region_count: int
    wave_done: str
    wave_dwell_seconds: float
    regions: list[RegionLine]
    criteria: list[VerdictLine]
    triggers: list[VerdictLine]
    outages: list[Outage]
    timeline: list[FleetEvent]

    def data(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self)

    def total(self, field: str) -> int:
        """A counter summed over the regions."""
        return sum(int(getattr(region, field)) for region in self.regions)

    def done_by_fleet(self) -> list[FleetEvent]:
        """What the coordinator did."""
        return [event for event in self.timeline if event.by_fleet]


def fleet_report(
    fleet: FleetSpec,
    views: Sequence[RegionView],
    journals: Mapping[str, RegionJournal],
    gate: GlobalReading,
    decision: FleetDecision,
    now: datetime,
) -> FleetReport:
    """The report.

    Args:
        fleet: the spec.
        views: one per region, in the fleet's order.
        journals: by region, as far as they could be read.
        gate: what the global gate says.
        decision: what follows now.
        now: when it is written, aware.
    """
    times = [time_of(entry.time) for journal in journals.values() for entry in journal.entries]
    begin, end = min(times, default=now), max(times, default=now)
    if not decision.is_final:
        end = max(end, now)
    return FleetReport(
        name=fleet.name,
        description=fleet.description,
        digest=fleet_digest(fleet),
        candidate=fleet.rollout.candidate,
        baseline=fleet.rollout.baseline,
        decision=decision.state.value,
        sentence=decision.sentence,
        written=words.moment(now),
        began=words.moment(begin),
        seconds=(end - begin).total_seconds(),
        on_region_harm=(
            "every region is aborted" if fleet.on_region_harm == ON_REGION_HARM_ROLLBACK_ALL
            else "that region alone goes back"
        ),
        tolerated_region_count=fleet.tolerated_region_count,
        wave_done=f"has entered {fleet.wave_done_in_phase}" if fleet.wave_done_in_phase else "has succeeded",
        wave_dwell_seconds=fleet.wave_dwell.ToTimedelta().total_seconds(),
        regions=[_region(fleet, view, journals[view.name], decision, begin, end) for view in views],
        criteria=[verdict_line(verdict) for verdict in gate.criteria],
        triggers=[verdict_line(verdict) for verdict in gate.triggers],
        outages=[outage for view in views for outage in _outages(journals[view.name])],
        timeline=_timeline(journals),
    )  # fmt: skip


def _region(
    fleet: FleetSpec, view: RegionView, journal: RegionJournal, decision: FleetDecision, begin: datetime, end: datetime
) -> RegionLine:
    started = next((time_of(it.time) for it in journal.entries if it.WhichOneof("payload") == "started"), None)
    mine = [look.everything.candidate.counts for look in journal.looks]
    rivals = [look.everything.baseline.counts for look in journal.looks]
    last = journal.ended_at or end
    return RegionLine(
        name=view.name,
        wave=wave_numbers(fleet)[view.name],
        state=words.state(view.state) if view.exists else "NO ROLLOUT",
        why=_why(view, journal, decision),
        started=words.moment(started) if started else "",
        ended=words.moment(journal.ended_at) if journal.ended_at else "",
        seconds=(last - started).total_seconds() if started else 0.0,
        candidate_requests=sum(it.requests for it in mine),
        candidate_errors=sum(it.errors for it in mine),
        baseline_requests=sum(it.requests for it in rivals),
        baseline_errors=sum(it.errors for it in rivals),
        look_count=journal.tick_count,
        outage_count=len(journal.outages),
        stretches=_stretches(journal, begin, end),
    )


def _why(view: RegionView, journal: RegionJournal, decision: FleetDecision) -> str:
    """The reason of a rollback, which the state forgets once it has ended; else where it stands."""
    for entry in reversed(journal.entries):
        if entry.WhichOneof("payload") == "rollback_started":
            return entry.rollback_started.explanation
    return decision.waits.get(view.name, view.explanation)


def _stretches(journal: RegionJournal, begin: datetime, end: datetime) -> list[Stretch]:
    whole = max((end - begin).total_seconds(), 1e-9)

    def place(time: datetime) -> float:
        return min(max((time - begin).total_seconds() / whole, 0.0), 1.0)

    found: list[Stretch] = []
    open_name, open_at = "", begin
    for entry in journal.entries:
        kind, time = entry.WhichOneof("payload"), time_of(entry.time)
        if kind in {"phase_entered", "rollback_started", "finished"}:
            if open_name:
                found.append(Stretch(open_name, "phase", place(open_at), place(time)))
            open_name, open_at = entry.phase_entered.phase if kind == "phase_entered" else "", time
        if kind == "rollback_started":
            found.append(Stretch("rolled back", "bad", place(time), 1.0))
        elif kind == "finished" and entry.finished.outcome == entry.finished.OUTCOME_SUCCEEDED:
            found.append(Stretch("candidate stable", "good", place(time), 1.0))
    if open_name:
        found.append(Stretch(open_name, "phase", place(open_at), 1.0))
    for entry in journal.outages:
        lost, back = _ends(entry)
        found.append(Stretch("out of reach", "outage", place(lost), place(back)))
    return found


def _outages(journal: RegionJournal) -> list[Outage]:
    found = []
    for entry in journal.outages:
        lost, back = _ends(entry)
        went_on = [
            event.text for event, raw in zip(story.tell(journal.entries), journal.entries, strict=True)
            if lost <= time_of(raw.time) < back and not verb_of(raw.request_id, journal.fleet_digest)
        ]  # fmt: skip
        looks = sum(lost <= look.time < back for look in journal.looks)
        meanwhile = [f"{words.count(looks)} looks of its own controller", *went_on]
        found.append(
            Outage(
                journal.region,
                words.moment(lost),
                words.moment(back),
                (back - lost).total_seconds(),
                "; ".join(meanwhile),
            )
        )
    return found


def _ends(entry: Entry) -> tuple[datetime, datetime]:
    """When it began, as its id says, and when it was told of."""
    stamp = entry.incident_reported.incident_id.removeprefix(OUTAGE_PREFIX)
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC), time_of(entry.time)


def _timeline(journals: Mapping[str, RegionJournal]) -> list[FleetEvent]:
    told = []
    for journal in journals.values():
        for event, entry in zip(story.tell(journal.entries), journal.entries, strict=True):
            if event.kind == "checkpoint":
                continue
            by_fleet = bool(verb_of(entry.request_id, journal.fleet_digest))
            told.append((time_of(entry.time), journal.region, entry.sequence, FleetEvent(
                event.time, journal.region, event.text, event.actor, event.reason, by_fleet
            )))  # fmt: skip
    return [event for *_, event in sorted(told, key=lambda it: it[:3])]
