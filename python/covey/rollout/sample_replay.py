"""What the gates would have decided on a table of counters: each interval one tick of the live decide()."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from covey.rollout.claims import contradictions
from covey.rollout.evidence import Evidence
from covey.rollout.model import LONGEST_GAP_INTERVALS
from covey.rollout.rehearsal import Operator, Rehearsal, Rehearsed
from covey.rollout.samples import COUNTERS, Counted, Sample, SampleError, Samples
from covey.rollout.spec import active_limits_seconds, with_defaults
from covey.rollout.statement import Kind, Statement, parse_statement
from covey.rollout.units import duration_of, format_duration, seconds_of
from covey.v1.evidence_pb2 import (
    ABSENCE_TYPE_NO_SAMPLES,
    Absence,
    DurationHistogram,
    OverLimitCount,
    ReplicaReading,
    ShadowCounters,
    VariantCounters,
)
from covey.v1.rollout_spec_pb2 import RolloutSpec

REPLICA = "samples"


def rehearse_samples(
    spec: RolloutSpec, samples: Samples, *, begins: datetime | None = None, operator: Operator = Operator.APPROVE
) -> Rehearsed:
    """The rollout that this plan would have made of these counters.

    The counters are taken to have come at the weight of whichever phase is in force; a phase begins with the interval
    after the one that ended the phase before.

    Args:
        spec: the plan. Its ticks become as long as the samples' intervals, where those are longer.
        samples: of candidate and baseline.
        begins: the first phase begins no earlier; samples before only learn the baseline.
        operator: what the people do.

    Raises:
        SampleError: the table lacks what the plan asks for, or the candidate.
        SpecError: the spec has errors.
    """
    spec, notes = _at_pace(with_defaults(spec), samples)
    edges = dict(_edges(spec, samples))
    notes += [text for limit, edge in edges.items() if edge != limit for text in [_edge_note(limit, edge)]]
    notes += _variant_notes(spec, samples)
    notes += _gap_notes(samples)
    notes += contradictions(samples, spec.candidate)
    rehearsal = Rehearsal(
        spec, samples.begins, operator=operator, begins=begins, name=_name(samples), effective_after=timedelta(0)
    )
    _Drive(rehearsal, samples, edges).run()
    return rehearsal.result(notes)


@dataclass
class _Drive:
    """Feeds samples to a rehearsal as one replica's page."""

    rehearsal: Rehearsal
    samples: Samples
    edges: Mapping[float, float]

    def __post_init__(self) -> None:
        spec = self.rehearsal.state.spec
        self.names = (spec.candidate, spec.baseline)
        self.limits = active_limits_seconds(spec)
        self.totals = {name: _zero(self.samples) for name in self.names}
        self.has_baseline = any(spec.baseline in sample.variants for sample in self.samples.samples)

    def run(self) -> None:
        self.look(self.samples.begins, 0.0, ())
        for sample in self.samples.samples:
            if self.rehearsal.state.is_terminal:
                return
            missing = tuple(self.missing(sample))
            if not missing:
                for name in self.names:
                    if (counted := sample.variants.get(name)) is not None:
                        self.totals[name] = _added(self.totals[name], counted)
            self.look(sample.time, sample.seconds, missing)

    def look(self, time: datetime, seconds: float, missing: tuple[str, ...]) -> None:
        """One interval; and where it changed the weight, the look that reads the change back."""
        before = self.rehearsal.state.candidate_weight_bp
        absences = [
            Absence(replica=REPLICA, metric=f"requests of {name}", type=ABSENCE_TYPE_NO_SAMPLES) for name in missing
        ]
        readings = [] if missing else [self.page()]
        self.rehearsal.look(Evidence(seconds, time, readings, absences=absences))
        if self.rehearsal.state.candidate_weight_bp != before and not self.rehearsal.state.is_terminal:
            self.rehearsal.look(Evidence(0.0, time, [self.page()]))

    def missing(self, sample: Sample) -> Iterator[str]:
        """Variants that should have a row and do not."""
        weight_bp = self.rehearsal.state.candidate_weight_bp
        candidate, baseline = self.names
        if weight_bp > 0 and candidate not in sample.variants:
            yield candidate
        if weight_bp < 10_000 and self.has_baseline and baseline not in sample.variants:
            yield baseline

    def page(self) -> ReplicaReading:
        candidate = self.totals[self.names[0]].counts
        return ReplicaReading(
            replica=REPLICA,
            server_start_time_seconds=1.0,
            candidate_weight_bp=self.rehearsal.state.candidate_weight_bp,
            variants=[self.counters(name) for name in self.names],
            shadow=ShadowCounters(
                equal_count=candidate.get("equal", 0),
                different_count=candidate.get("different", 0),
                failed_count=candidate.get("failed", 0),
            ),
            durations=[self.durations(name) for name in self.names] if self.samples.limits_seconds else [],
        )

    def counters(self, name: str) -> VariantCounters:
        counts, over = self.totals[name].counts, self.totals[name].over
        return VariantCounters(
            variant=name,
            request_count=counts["requests"],
            error_count=counts["errors"],
            unavailable_count=counts.get("unavailable", 0),
            shed_count=counts.get("shed", 0),
            over_limits=[
                OverLimitCount(limit_seconds=limit, request_count=over[self.edges[limit]]) for limit in self.limits
            ],
        )

    def durations(self, name: str) -> DurationHistogram:
        """The counters of slow requests as a histogram: their differences."""
        counts, over = self.totals[name].counts, self.totals[name].over
        slower = [counts["requests"] + counts.get("shed", 0), *(over[limit] for limit in self.samples.limits_seconds)]
        within = [more - fewer for more, fewer in zip(slower, [*slower[1:], 0], strict=True)]
        return DurationHistogram(variant=name, edges_seconds=self.samples.limits_seconds, request_counts=within)


def _zero(samples: Samples) -> Counted:
    return Counted(dict.fromkeys(COUNTERS, 0), dict.fromkeys(samples.limits_seconds, 0), 0)


def _added(total: Counted, more: Counted) -> Counted:
    counts = {name: value + more.counts.get(name, 0) for name, value in total.counts.items()}
    return Counted(counts, {limit: value + more.over[limit] for limit, value in total.over.items()}, more.row)


def _name(samples: Samples) -> str:
    return f"rollouts/{samples.source}"


def _at_pace(spec: RolloutSpec, samples: Samples) -> tuple[RolloutSpec, list[str]]:
    """The plan with ticks as long as the samples' intervals."""
    paced = RolloutSpec()
    paced.CopyFrom(spec)
    pace = samples.pace_seconds
    planned = seconds_of(spec.tick_interval)
    if pace <= planned:
        return paced, []
    paced.tick_interval.CopyFrom(duration_of(pace))
    if pace > seconds_of(spec.soak_tick_interval):
        paced.soak_tick_interval.CopyFrom(duration_of(pace))
    note = f"The plan looks every {format_duration(planned)}, the samples are {format_duration(pace)} apart: "
    return paced, [f"{note}each sample is one look. Fewer looks see harm later and leave design effects unmeasured."]


def _statements(spec: RolloutSpec) -> Iterator[tuple[Statement, bool]]:
    """Every statement, and whether it is a criterion's."""
    for phase in spec.phases:
        for criterion in phase.criteria:
            yield parse_statement(criterion.statement), True
    for trigger in spec.triggers:
        yield parse_statement(trigger.statement), False


def _edges(spec: RolloutSpec, samples: Samples) -> Iterator[tuple[float, float]]:
    """For each latency limit of the plan the counted limit that stands for it: itself, or the next on the safe side."""
    chosen: dict[float, float] = {}
    for statement, is_criterion in _statements(spec):
        text, source = statement.text, samples.source
        if statement.kind is Kind.AVAILABILITY and "unavailable" not in samples.columns:
            raise SampleError(f"{source}: '{text}' needs the column 'unavailable'; add it, or take the statement out")
        if statement.kind is Kind.MISMATCH and not {"equal", "different"} <= samples.columns:
            raise SampleError(
                f"{source}: '{text}' needs the columns 'equal' and 'different'; add them, or take the statement out"
            )
        if statement.kind is Kind.RELATIVE_LATENCY and not samples.limits_seconds:
            raise SampleError(f"{source}: '{text}' needs columns such as 'over_0.2', one per edge of a histogram")
        if statement.kind is not Kind.LATENCY:
            continue
        limit, counted = statement.limit, samples.limits_seconds
        if limit in counted:
            chosen[limit] = limit
            continue
        side = [edge for edge in counted if (edge < limit) == is_criterion]
        if not side:
            need = "at or below" if is_criterion else "at or above"
            raise SampleError(
                f"{source}: '{text}' cannot be bracketed: no column counts requests slower than a limit {need} "
                f"{limit:g} s; add 'over_{limit:g}', or take the statement out"
            )
        edge = max(side) if is_criterion else min(side)
        if chosen.get(limit, edge) != edge:
            raise SampleError(f"{source}: {limit:g} s is a criterion's and a trigger's limit; add 'over_{limit:g}'")
        chosen[limit] = edge
    yield from chosen.items()


def _edge_note(limit: float, edge: float) -> str:
    return f"Requests slower than {limit:g} s were not counted; those slower than {edge:g} s stand for them."


def _variant_notes(spec: RolloutSpec, samples: Samples) -> list[str]:
    found = dict.fromkeys(name for sample in samples.samples for name in sample.variants)
    if spec.candidate not in found:
        raise SampleError(f"{samples.source}: no row of the candidate {spec.candidate}; there are {', '.join(found)}")
    notes = []
    if spec.baseline not in found:
        notes.append(f"No row of the baseline {spec.baseline}: nothing could be compared with it.")
    others = [name for name in found if name not in {spec.candidate, spec.baseline}]
    if others:
        notes.append(f"Rows of {', '.join(others)} were not looked at: the plan does not name them.")
    return notes


def _gap_notes(samples: Samples) -> list[str]:
    longest = LONGEST_GAP_INTERVALS * samples.pace_seconds
    gaps = [sample for sample in samples.samples if sample.seconds > longest]
    if not gaps:
        return []
    first = gaps[0]
    return [
        f"{len(gaps)} gap(s) longer than {format_duration(longest)}, the first before "
        f"{first.time.isoformat(timespec='seconds')}: time that nobody observed is no dwell."
    ]
