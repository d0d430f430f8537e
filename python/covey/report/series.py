"""Series of a rollout, phase by phase, from the ticks of its journal. Pure and bounded: at most `SAMPLES` per phase."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from covey.report import story
from covey.report.model import ArmSeries, Mark, Panel
from covey.rollout.questions import criterion_questions
from covey.rollout.state import RolloutState, apply
from covey.rollout.statement import Kind, parse_statement
from covey.rollout.verdicts import judge
from covey.stats import bernoulli_interval
from covey.v1 import evidence_pb2, journal_pb2

SAMPLES = 160
INTERVAL_ALPHA = 0.05

_MARKED = {
    "checkpoint": "checkpoint", "held": "hold", "released": "release", "paused": "pause", "resumed": "resume",
    "promoted": "override", "approved": "approval", "denied": "denial", "rollback_started": "rollback",
    "finished": "end", "incident_reported": "incident", "approval_awaited": "wait",
}  # fmt: skip


@dataclass
class Counters:
    """Counters of one variant, added up over replicas and server starts."""

    requests: int = 0
    errors: int = 0
    slower: Counter[float] = field(default_factory=Counter)

    def add(self, now: evidence_pb2.VariantCounters, before: evidence_pb2.VariantCounters) -> None:
        """Adds what was counted between two readings of one server start."""
        self.requests += max(now.request_count - before.request_count, 0)
        self.errors += max(now.error_count - before.error_count, 0)
        earlier = {over.limit_seconds: over.request_count for over in before.over_limits}
        for over in now.over_limits:
            self.slower[over.limit_seconds] += max(over.request_count - earlier.get(over.limit_seconds, 0), 0)


class Accumulator:
    """Adds the deltas of readings per variant; a replica's first reading after a start is only a base."""

    def __init__(self) -> None:
        self._last: dict[str, evidence_pb2.ReplicaReading] = {}
        self.variants: dict[str, Counters] = {}

    def add(self, tick: journal_pb2.Tick) -> None:
        """Takes the readings of a tick."""
        for reading in tick.readings:
            before = self._last.get(reading.replica)
            self._last[reading.replica] = reading
            if before is None or before.server_start_time_seconds != reading.server_start_time_seconds:
                continue
            earlier = {counters.variant: counters for counters in before.variants}
            for counters in reading.variants:
                base = earlier.get(counters.variant, evidence_pb2.VariantCounters())
                self.of(counters.variant).add(counters, base)

    def of(self, variant: str) -> Counters:
        """Counters of a variant since `restart`."""
        return self.variants.setdefault(variant, Counters())

    def restart(self) -> None:
        """Counts from 0 again; the bases stay."""
        self.variants = {}


def panels(entries: Sequence[journal_pb2.Entry]) -> tuple[list[Panel], RolloutState]:
    """The series of every phase that was entered, and the state at the end of the journal.

    Raises:
        IllegalEntry: the journal is not one.
    """
    sampled = _sampled(entries)
    made: list[_PanelMaker] = []
    accumulator = Accumulator()
    state: RolloutState | None = None
    for entry in entries:
        state = apply(state, entry)
        kind = entry.WhichOneof("payload")
        time = _time(entry)
        if kind == "phase_entered":
            if made:
                made[-1].end(time)
            accumulator.restart()
            made.append(_PanelMaker(state, entry.phase_entered, time))
        elif kind == "tick":
            accumulator.add(entry.tick)
            if made and entry.sequence in sampled:
                made[-1].sample(time, entry.tick, accumulator, state)
        if made:
            made[-1].note(entry, time)
    if state is None:
        raise ValueError("the journal is empty: a report needs at least its first entry")
    return [maker.panel() for maker in made], state


def _sampled(entries: Iterable[journal_pb2.Entry]) -> set[int]:
    """Sequences of the ticks that become samples: evenly spread over each phase, its last one among them."""
    phases: list[list[int]] = [[]]
    for entry in entries:
        kind = entry.WhichOneof("payload")
        if kind == "phase_entered":
            phases.append([])
        elif kind == "tick":
            phases[-1].append(entry.sequence)
    chosen: set[int] = set()
    for ticks in phases[1:]:
        step = max(1, math.ceil(len(ticks) / SAMPLES))
        chosen.update(ticks[::-step])
    return chosen


def _time(entry: journal_pb2.Entry) -> datetime:
    return entry.time.ToDatetime(UTC)


def _progress(verdict: evidence_pb2.Verdict | None) -> float:
    """How far it is, ln E over its threshold: 1 is proven; -1 where it is refuted, nan where it was not judged."""
    if verdict is None or verdict.log_threshold <= 0:
        return math.nan
    if verdict.result == evidence_pb2.Verdict.RESULT_FAIL:
        return -1.0
    return verdict.log_e_value / verdict.log_threshold


class _PanelMaker:
    def __init__(self, state: RolloutState, entered: journal_pb2.PhaseEntered, time: datetime) -> None:
        spec = state.spec
        self._start = time
        self._end = time
        self._names = (spec.candidate, spec.baseline)
        statements = [statement.text for _, statement in state.phase_criteria()]
        everything = [*statements, *(trigger.statement for trigger in spec.triggers)]
        self._arms = (ArmSeries(), ArmSeries())
        self._panel = Panel(
            name=entered.phase, seconds=[], end_seconds=0.0, share_steps=[(0.0, entered.candidate_weight_bp)],
            wire_bp=[], candidate=self._arms[0], baseline=self._arms[1],
            progress={statement: [] for statement in statements},
            error_limits=error_limits(everything), slower_limits=slower_limits(everything), marks=[],
        )  # fmt: skip

    def end(self, time: datetime) -> None:
        self._end = max(self._end, time)

    def _seconds(self, time: datetime) -> float:
        return (time - self._start).total_seconds()

    def sample(self, time: datetime, tick: journal_pb2.Tick, accumulator: Accumulator, state: RolloutState) -> None:
        panel = self._panel
        panel.seconds.append(self._seconds(time))
        weights = [reading.candidate_weight_bp for reading in tick.readings]
        panel.wire_bp.append((min(weights, default=0), max(weights, default=0)))
        for arm, variant in zip(self._arms, self._names, strict=True):
            counters = accumulator.of(variant)
            arm.requests.append(counters.requests)
            arm.errors.append(counters.errors)
            for limit, _ in panel.slower_limits:
                arm.slower.setdefault(limit, []).append(counters.slower[limit])
        verdicts = {verdict.statement: verdict for verdict in judge(state, criterion_questions(state), full=False)}
        for statement, values in panel.progress.items():
            values.append(_progress(verdicts.get(statement)))

    def note(self, entry: journal_pb2.Entry, time: datetime) -> None:
        self.end(time)
        kind = entry.WhichOneof("payload") or ""
        if kind == "rollback_started":
            self._panel.share_steps.append((self._seconds(time), 0))
        if kind in _MARKED:
            self._panel.marks.append(Mark(self._seconds(time), _MARKED[kind], story.event(entry).text))

    def panel(self) -> Panel:
        candidate = replace(
            self._arms[0],
            error_interval=interval(self._arms[0].errors, self._arms[0].requests),
            slower_interval={
                limit: interval(counts, self._arms[0].requests) for limit, counts in self._arms[0].slower.items()
            },
        )
        return replace(self._panel, candidate=candidate, end_seconds=self._seconds(self._end))


def interval(events: Sequence[int], trials: Sequence[int]) -> tuple[list[float], list[float]]:
    """Lower and upper ends of the interval that holds at every look, 0 to 1 where there are no trials."""
    if not events:
        return [], []
    # Shed requests may be slow too, and are no trials.
    bounded = [min(event, trial) for event, trial in zip(events, trials, strict=True)]
    lower, upper = bernoulli_interval(bounded, list(trials), INTERVAL_ALPHA)
    return [round(float(end), 9) for end in lower], [round(float(end), 9) for end in upper]


def error_limits(statements: Iterable[str]) -> list[tuple[str, float]]:
    """(statement, rate) of every statement about error_rate."""
    parsed = [(text, parse_statement(text)) for text in dict.fromkeys(statements)]
    return [(text, statement.limit) for text, statement in parsed if statement.kind is Kind.ERROR_RATE]


def slower_limits(statements: Iterable[str]) -> list[tuple[float, float]]:
    """(seconds, allowed share) of every statement about latency, increasing."""
    parsed = [parse_statement(text) for text in statements]
    return sorted({(each.limit, each.event_limit) for each in parsed if each.kind is Kind.LATENCY})
