"""What a report knows: plain values, ready to be written in any form."""

from __future__ import annotations

from dataclasses import dataclass, field

from covey.report.story import Event


@dataclass(frozen=True)
class VerdictLine:
    """A verdict as text and numbers; shares and rates from 0 to 1, needed counts in trials."""

    statement: str
    role: str
    result: str
    word: str
    estimate_text: str
    counters_text: str
    needs_text: str
    estimate: float | None
    lower: float | None
    upper: float | None
    limit: float
    event_count: int
    trial_count: int
    needed_count: int | None
    log_e_value: float
    log_threshold: float
    alpha: float
    test: str
    report_only: bool
    sentence: str
    rival_text: str
    proof: list[str]
    alpha_spent: float
    design_effect: float
    shed_count: int
    baseline_event_count: int
    baseline_trial_count: int
    affected_learner_count: int


@dataclass(frozen=True)
class CheckpointLine:
    """A scheduled reading: phase time asked for, when it was taken, how the criteria stood."""

    phase: str
    offset_seconds: float
    time: str
    standing: str


@dataclass(frozen=True)
class PhaseLine:
    """A phase that was entered: when, how long (wall time), how it ended, and its last verdicts."""

    name: str
    share_bp: int
    hold_seconds: float
    entered: str
    seconds: float
    ended: str
    criteria: list[VerdictLine]
    triggers: list[VerdictLine]


@dataclass(frozen=True)
class ApprovalLine:
    """A signature: given, denied or revoked."""

    time: str
    phase: str
    role: str
    actor: str
    verified: bool
    act: str
    statement: str
    reason: str


@dataclass(frozen=True)
class UndecidedLine:
    """A criterion that the evidence of its phase could not decide, and what came of it."""

    phase: str
    verdict: VerdictLine
    settled: str


@dataclass(frozen=True)
class PlanLine:
    """A phase as planned."""

    name: str
    share_bp: int
    hold_seconds: float
    criteria: list[str]
    approvals: list[str]


@dataclass(frozen=True)
class Mark:
    """Something that happened, `seconds` after its phase began."""

    seconds: float
    kind: str
    label: str


@dataclass(frozen=True)
class ArmSeries:
    """Counters of one variant since the phase began, one number per sample.

    Attributes:
        requests: everything but shed requests.
        errors: failures of error_rate.
        slower: limit in seconds -> requests slower than it.
        error_interval: lower and upper ends of the always-valid 95 % interval of the error rate; empty where not asked.
        slower_interval: the same for each limit's share of slower requests.
    """

    requests: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    slower: dict[float, list[int]] = field(default_factory=dict)
    error_interval: tuple[list[float], list[float]] = ([], [])
    slower_interval: dict[float, tuple[list[float], list[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """The series of one phase; every list has one number per sample, times in seconds since the phase began.

    Attributes:
        name: of the phase.
        seconds: of the samples, by commit time.
        end_seconds: when the next phase began or the journal ended.
        share_steps: (seconds, basis points) at every change of the candidate's share by the journal.
        wire_bp: the smallest and the largest share that a replica applied.
        candidate: its counters.
        baseline: its counters.
        progress: criterion -> ln E over its threshold: 1 is proven, -1 refuted, nan where it was not judged.
        error_limits: (label, rate) of the statements about error_rate.
        slower_limits: (seconds, allowed share) of the statements about latency.
        marks: decisions and people.
    """

    name: str
    seconds: list[float]
    end_seconds: float
    share_steps: list[tuple[float, int]]
    wire_bp: list[tuple[int, int]]
    candidate: ArmSeries
    baseline: ArmSeries
    progress: dict[str, list[float]]
    error_limits: list[tuple[str, float]]
    slower_limits: list[tuple[float, float]]
    marks: list[Mark]


@dataclass(frozen=True)
class Totals:
    """What the whole rollout touched."""

    candidate_requests: int
    candidate_errors: int
    baseline_requests: int
    baseline_errors: int
    candidate_learners: int
    tick_count: int
    observed_seconds: float


@dataclass(frozen=True)
class AlphaLine:
    """A family of the ledger: what it may spend of the chance of a false rollback, on what, and whether it did."""

    family: str
    alpha: float
    spent: float
    triggers: list[str]
    refutations: list[str]


@dataclass(frozen=True)
class ScheduleLine:
    """A phase in force or to come: begin and end at the earliest in the calendar's time, and what it waits for.

    `ends_at` is the end in UTC, ISO 8601; empty where it is not known.
    """

    phase: str
    share_bp: int
    begins: str
    ends: str
    ends_at: str
    waits_for: str
    on_call: str


@dataclass(frozen=True)
class StabilisationLine:
    """A stretch of the last phase, in seconds since it began: the candidate's counters, `slower` one per limit."""

    begin_seconds: float
    end_seconds: float
    requests: int
    errors: int
    slower: list[int]


@dataclass(frozen=True)
class Stabilisation:
    """The time in which everybody has the candidate."""

    phase: str
    seconds: float
    planned_seconds: float
    is_over: bool
    requests: int
    errors: int
    slower_limits: list[float]
    lines: list[StabilisationLine]
    disturbances: list[Event]
    still_open: list[UndecidedLine]
    way_back: str


@dataclass(frozen=True)
class Contents:
    """A rollout told from its journal.

    `decision` is one of SUCCEEDED, ROLLED BACK, ABORTED, or the state of a rollout still on its way; `headline` says it
    in one sentence and `reason` why. Untrusted text is kept as it came: each form escapes it.
    """

    name: str
    uid: str
    description: str
    target: str
    baseline: str
    candidate: str
    spec_digest: str
    version: str
    excluded_segments: list[str]
    decision: str
    headline: str
    reason: str
    decided_by: list[VerdictLine]
    created: str
    started: str
    finished: str
    seconds: float
    entry_count: int
    totals: Totals
    phases: list[PhaseLine]
    plan: list[PlanLine]
    plan_triggers: list[str]
    undecided: list[UndecidedLine]
    timeline: list[Event]
    approvals: list[ApprovalLine]
    checkpoints: list[CheckpointLine]
    overrides: list[Event]
    incidents: list[Event]
    on_call: dict[str, str]
    unverified_actors: list[str]
    panels: list[Panel]
    alpha: list[AlphaLine]
    alpha_budget: float
    schedule: list[ScheduleLine]
    stabilisation: Stabilisation | None
