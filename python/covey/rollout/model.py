"""The state of a rollout: everything that follows from its journal, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from covey.rollout.calendars import UTC_ZONE, OpenHours, Zone
from covey.rollout.counts import Counts
from covey.rollout.gates.ledger import Ledger, ledger_of
from covey.rollout.gates.look import Arm
from covey.rollout.gates.memory import GateMemory, GatePlan
from covey.rollout.gates.rows import Rows, metrics_of, planned_ticks
from covey.rollout.outcomes import RelativeEffect, effects_by_metric
from covey.rollout.spec import active_limits_seconds, with_defaults
from covey.rollout.statement import Statement, parse_statement
from covey.rollout.units import basis_points, seconds_of
from covey.rollout.windows import LiteralRun, Window
from covey.v1.evidence_pb2 import Absence, LearnerCount, OutcomeMoments, ReplicaReading
from covey.v1.journal_pb2 import RollbackStarted
from covey.v1.rollout_spec_pb2 import Criterion, Phase, RolloutSpec
from covey.v1.rollouts_pb2 import Approval, Incident, Rollout

State = Rollout.State

TERMINAL = frozenset({State.STATE_SUCCEEDED, State.STATE_ROLLED_BACK, State.STATE_ABORTED})
# A phase may be in force in these.
IN_PHASE = frozenset({State.STATE_RUNNING, State.STATE_HOLDING, State.STATE_AWAITING_APPROVAL, State.STATE_SOAKING})
# Time longer than so many tick intervals was observed by nobody.
LONGEST_GAP_INTERVALS = 3
# From the commit of a weight to its effect, so that every replica has read it by then.
EFFECTIVE_AFTER = timedelta(seconds=1)


class IllegalEntry(ValueError):  # noqa: N818 - the name is part of the services contract
    """An entry that may not follow the journal as it stands.

    Attributes:
        reason_code: why, in one upper-case word group, for programs.
    """

    def __init__(self, message: str, reason_code: str = "ILLEGAL_STATE") -> None:
        self.reason_code = reason_code
        super().__init__(message)


@dataclass(frozen=True)
class Denial:
    """A signature refused. It stands until the same role approves."""

    phase: str
    role: str
    actor: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """A spec with what is computed from it once.

    Attributes:
        spec: with defaults; never changed.
        limits_seconds: latency limits that are counted.
        criteria: statements of each phase's criteria.
        triggers: statements of the triggers.
        zone: the calendar's time zone.
    """

    spec: RolloutSpec
    limits_seconds: tuple[float, ...]
    criteria: tuple[tuple[Statement, ...], ...]
    triggers: tuple[Statement, ...]
    zone: Zone = UTC_ZONE

    @classmethod
    def of(cls, spec: RolloutSpec, zone: Zone = UTC_ZONE) -> Plan:
        """The plan of a spec, with its defaults filled in."""
        spec = with_defaults(spec)
        return cls(
            spec,
            active_limits_seconds(spec),
            tuple(tuple(parse_statement(criterion.statement) for criterion in phase.criteria) for phase in spec.phases),
            tuple(parse_statement(trigger.statement) for trigger in spec.triggers),
            zone,
        )

    @cached_property
    def hours(self) -> OpenHours:
        """The windows of the calendar."""
        return OpenHours.of(self.spec.calendar, self.zone)

    @cached_property
    def ledger(self) -> Ledger:
        """Who may spend how much of the chance of a false rollback."""
        return ledger_of(self.spec, self.criteria, self.triggers)

    @cached_property
    def gates(self) -> GatePlan:
        """The triggers, metrics and weights as the gates remember them."""
        statements = [*self.triggers, *(statement for phase in self.criteria for statement in phase)]
        metrics = metrics_of(self.limits_seconds, statements)
        tolerances = [trigger.tolerance for trigger in self.spec.triggers]
        weights_bp = tuple(self.weight_bp(index) for index in range(len(self.spec.phases)))
        return GatePlan(metrics, Rows.of(self.triggers, tolerances, metrics), weights_bp, planned_ticks(self.spec))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Phase names in order."""
        return tuple(phase.name for phase in self.spec.phases)

    @cached_property
    def all_roles(self) -> tuple[str, ...]:
        """Every role that any phase asks, in order of appearance."""
        return tuple(dict.fromkeys(role for phase in self.spec.phases for role in phase.approvals.roles))

    def weight_bp(self, index: int) -> int:
        """The candidate's weight in a phase; 0 in a dry run."""
        return 0 if self.spec.dry_run else basis_points(self.spec.phases[index].traffic_share)

    def override_roles(self, index: int) -> tuple[str, ...]:
        """Who must sign that a phase ends without its evidence: the next phase's roles, or else all of the plan."""
        following = self.spec.phases[index + 1].approvals.roles if index + 1 < len(self.spec.phases) else ()
        return tuple(following) or self.all_roles


@dataclass(frozen=True)
class RolloutState:
    """A fold over the journal. Immutable; protos and mappings inside are shared and must not be changed.

    Attributes:
        name: rollouts/{rollout}.
        uid: salt of the routing hash.
        plan: the spec with its defaults, and what follows from it.
        spec_digest: what approvals sign.
        state: where it is.
        phase_index: the phase in force, -1 before the first.
        awaited_phase: the phase whose approval is awaited; empty in other states.
        candidate_weight_bp: by the journal.
        effective_at: when that weight took or takes effect.
        explanation: why it is in this state, in one sentence that changes only when the reason does.
        last_tick_at: wall time of the last look, by the controller's clock.
        phase_elapsed_seconds: observed time in the phase with its weight confirmed and its metrics there: the dwell.
        phase_open_seconds: observed time since the phase began, without pauses and waits for people or the calendar;
            what max_hold bounds.
        phase_ticks: looks that gave evidence in the phase.
        weight_confirmed: every replica read in the last tick shows the phase's weight.
        confirmed_replicas: those whose last page belongs to this phase's evidence.
        checkpoints_reached: how many of the phase's checkpoints are recorded.
        promoted: an operator has ended the phase's wait.
        deferred: (phase, statement) asked again in that phase.
        last_readings: last believed page of each replica.
        last_arms: its counters of candidate and baseline.
        faults: what of the last tick's pages cannot be believed.
        absences: what the last tick did not have.
        phase_counts: the candidate's evidence of this phase; rollout_counts: of the whole rollout.
        phase_rivals: the baseline's in the same ticks of this phase.
        gates: what the tests remember between ticks.
        excluded_segments: routed back to the baseline because of harm.
        phase_window: phase_counts over the last quarter of the phase.
        literal_runs: one per trigger.
        unanswered_seconds: how long no probe of the candidate has been answered.
        candidate_is_gone: no router reaches a process of it and no probe of it was answered in the last tick, while the
            baseline was well by both.
        misrouted_seconds: how long no tick has shown the journal's weight at every router or replica.
        last_tick_weights: weight by replica as read in the last tick, believed or not.
        started_by: who started it; empty for a draft.
        started_at: when; None for a draft.
        approval_sequences: entry of each signature, by phase, role, statement and person.
        waits_for_calendar: it holds for nothing but the calendar.
        held_since: time of the look at which the hold began that people are needed for.
        held_seconds: observed time since then.
        acknowledged_by: who looks after it; empty while nobody does.
        escalation_count: how many people were called after the primary.
    """

    name: str
    uid: str
    plan: Plan
    spec_digest: str
    state: Rollout.State.ValueType
    last_sequence: int
    create_time: datetime | None = None
    epoch: int = 0
    explanation: str = ""
    started_by: str = ""
    started_at: datetime | None = None
    waits_for_calendar: bool = False
    held_since: datetime | None = None
    held_seconds: float = 0.0
    acknowledged_by: str = ""
    escalation_count: int = 0
    paused: bool = False
    phase_index: int = -1
    awaited_phase: str = ""
    candidate_weight_bp: int = 0
    effective_at: datetime | None = None
    last_tick_at: datetime | None = None
    phase_entered_sequence: int = 0
    phase_elapsed_seconds: float = 0.0
    phase_open_seconds: float = 0.0
    phase_ticks: int = 0
    weight_confirmed: bool = False
    confirmed_replicas: frozenset[str] = frozenset()
    checkpoints_reached: int = 0
    promoted: bool = False
    approvals: tuple[Approval, ...] = ()
    approval_sequences: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)
    denials: tuple[Denial, ...] = ()
    missing_roles: tuple[str, ...] = ()
    open_incidents: tuple[Incident, ...] = ()
    not_before: Mapping[str, datetime] = field(default_factory=dict)
    deferred: tuple[tuple[str, str], ...] = ()
    last_readings: Mapping[str, ReplicaReading] = field(default_factory=dict)
    last_arms: Mapping[str, tuple[Arm, Arm]] = field(default_factory=dict)
    last_tick_weights: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    absences: tuple[Absence, ...] = ()
    outcomes: tuple[OutcomeMoments, ...] = ()
    learners: tuple[LearnerCount, ...] = ()
    phase_counts: Counts = field(default_factory=Counts)
    rollout_counts: Counts = field(default_factory=Counts)
    phase_rivals: Counts = field(default_factory=Counts)
    gates: GateMemory = field(kw_only=True)
    excluded_segments: tuple[str, ...] = ()
    phase_window: Window[Counts] = field(default_factory=Window)
    literal_runs: tuple[LiteralRun, ...] = ()
    unanswered_seconds: float = 0.0
    candidate_is_gone: bool = False
    misrouted_seconds: float = 0.0
    rollback_cause: RollbackStarted.Cause.ValueType = RollbackStarted.CAUSE_UNSPECIFIED

    @property
    def spec(self) -> RolloutSpec:
        """The spec with its defaults."""
        return self.plan.spec

    @cached_property
    def effects(self) -> Mapping[str, Mapping[str, RelativeEffect | None]]:
        """The candidate's relative effect on each outcome, by segment; segment "" is all learners."""
        return effects_by_metric(self.outcomes, self.spec)

    @property
    def is_terminal(self) -> bool:
        """SUCCEEDED, ROLLED_BACK or ABORTED."""
        return self.state in TERMINAL

    @property
    def in_phase(self) -> bool:
        """Whether a phase is in force: entered, and neither ended nor being rolled back."""
        return self.phase_index >= 0 and self.state in IN_PHASE

    @property
    def phase_spec(self) -> Phase | None:
        """The phase in force (or the last that was); None before the first."""
        return self.spec.phases[self.phase_index] if self.phase_index >= 0 else None

    @property
    def next_phase(self) -> Phase | None:
        """The phase after the one in force; None where there is none."""
        following = self.phase_index + 1
        return self.spec.phases[following] if following < len(self.spec.phases) else None

    @property
    def phase(self) -> str:
        """Name of the phase in force, or awaited before the first; empty before the start."""
        if self.phase_index >= 0:
            return self.spec.phases[self.phase_index].name
        return self.awaited_phase

    @property
    def dwell_left_seconds(self) -> float:
        """What the phase in force has still to observe; 0 once its time is over, after a promotion and without one."""
        phase = self.phase_spec
        if phase is None or self.promoted:
            return 0.0
        return max(0.0, seconds_of(phase.hold) - self.phase_elapsed_seconds)

    def dwells_since(self, before: RolloutState) -> bool:
        """Whether its phase is the one of `before` and has observed more of its time."""
        same = self.phase_entered_sequence == before.phase_entered_sequence
        return self.in_phase and same and self.phase_elapsed_seconds > before.phase_elapsed_seconds

    @property
    def tick_interval_seconds(self) -> float:
        """Time between two looks in this phase."""
        phase = self.phase_spec
        soaking = phase is not None and phase.soak
        return seconds_of(self.spec.soak_tick_interval if soaking else self.spec.tick_interval)

    @property
    def calendar_opens_at(self) -> datetime | None:
        """When the next phase may begin: what an operator postponed it to, or else the spec's not_before."""
        return self.not_before.get(self.next_phase.name) if self.next_phase else None

    def phase_criteria(self) -> list[tuple[Criterion, Statement]]:
        """Criteria of the phase in force: its own, then those deferred to it by phases that could not answer them."""
        if self.phase_index < 0:
            return []
        phase = self.spec.phases[self.phase_index]
        found = list(zip(phase.criteria, self.plan.criteria[self.phase_index], strict=True))
        if not self.deferred:
            return found
        own = {statement.text for _, statement in found}
        for target, text in self.deferred:
            if target == phase.name and text not in own:
                origin = self._criterion_of(text)
                found.append(
                    (
                        Criterion(statement=text, alpha=origin.alpha, margin=origin.margin, hold=True),
                        parse_statement(text),
                    )
                )
        return found

    def criterion_rows(self) -> Rows:
        """The criteria of the phase in force as the gates judge them."""
        found = self.phase_criteria()
        margins = [criterion.margin for criterion, _ in found]
        return Rows.of([statement for _, statement in found], margins, self.plan.gates.metrics)

    def _criterion_of(self, text: str) -> Criterion:
        for phase, statements in zip(self.spec.phases, self.plan.criteria, strict=True):
            for criterion, statement in zip(phase.criteria, statements, strict=True):
                if statement.text == text:
                    return criterion
        raise LookupError(text)

    def phase_index_of(self, name: str) -> int:
        """Position of a phase.

        Raises:
            IllegalEntry: there is none of that name.
        """
        if name not in self.plan.names:
            raise IllegalEntry(
                f"there is no phase '{name}'; the phases are {', '.join(self.plan.names)}", "UNKNOWN_PHASE"
            )
        return self.plan.names.index(name)
