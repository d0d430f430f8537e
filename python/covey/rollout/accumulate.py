"""One tick folded into the state: deltas per replica, integrity, dwell, literal rules, probes.

It costs the same at every tick, however long the journal is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeAlias

from covey.rollout.counts import Counts, counts_of, fallen, faults_of, plain_counts, probe_counts
from covey.rollout.gates.look import Arm, Look, PageFault, durations_of, shards_of, summed
from covey.rollout.gates.values import changed
from covey.rollout.hygiene import believed_learners, believed_outcomes, believed_probes
from covey.rollout.model import EFFECTIVE_AFTER, LONGEST_GAP_INTERVALS, RolloutState, State
from covey.rollout.outcomes import moments_of, relative_effect
from covey.rollout.statement import Kind, Statement
from covey.rollout.units import seconds_of, time_of
from covey.rollout.validity import split_mismatch, weight_mismatch
from covey.rollout.windows import LiteralRun, Window
from covey.v1.evidence_pb2 import ABSENCE_TYPE_NO_SAMPLES, OutcomeMoments, ProbeCounts, ReplicaReading
from covey.v1.journal_pb2 import Tick

# Share of a phase, at its end, that must look good by itself.
LAST_PART = 0.25
# The baseline is watched before the first phase, so that its bursts and learners are known.
BEFORE_PHASES = frozenset({State.STATE_SCHEDULED, State.STATE_AWAITING_APPROVAL})

_Arms: TypeAlias = tuple[Arm, Arm]


def accumulate(state: RolloutState, tick: Tick, **stamps: int) -> RolloutState:
    """The state after a tick. What the tick means for the rollout, decide() says; here it is only added up.

    Args:
        state: before it.
        tick: the look.
        stamps: fields that its entry changes, too.
    """
    observed = min(max(0.0, seconds_of(tick.observed)), LONGEST_GAP_INTERVALS * state.tick_interval_seconds)
    observed_at = time_of(tick.observed_at)
    weights = {reading.replica: reading.candidate_weight_bp for reading in tick.readings if not reading.behind_router}
    of_pages, deltas, believed = _deltas(state, tick.readings)
    outcomes, of_outcomes = believed_outcomes(tick.outcomes)
    learners, of_learners = believed_learners(tick.learners)
    probed, of_probes = believed_probes(tick.probes)
    faults = (*of_pages, *of_outcomes, *of_learners, *of_probes)
    arms = {replica: change.after for replica, change in deltas.items()}
    # One copy of the state per tick: it has many fields.
    changes: dict[str, Any] = {
        **stamps,
        "last_tick_at": observed_at,
        "last_tick_weights": weights,
        "last_readings": {**state.last_readings, **believed},
        "last_arms": {**state.last_arms, **arms},
        "faults": faults,
        "absences": tuple(tick.absences),
        "outcomes": outcomes,
        "learners": learners,
    }
    happened = {replica: change.since for replica, change in deltas.items() if change.since is not None}
    if not state.in_phase:
        if state.state in BEFORE_PHASES and happened:
            changes["gates"] = state.gates.waited(state.plan.gates, _look(happened.values(), Counts()))
        return changed(state, changes)
    confirmed = _is_confirmed(state, weights, observed_at)
    probes = probe_counts(probed, state.spec.candidate, state.spec.baseline)
    # A split that is not as planned disables relative tests, not absolute ones.
    comparable = not split_mismatch(state) and not weight_mismatch(state)
    look = _look(happened.values(), probes, comparable=comparable)
    changes["weight_confirmed"] = confirmed
    changes["held_seconds"] = state.held_seconds + observed
    changes["misrouted_seconds"] = 0.0 if confirmed else state.misrouted_seconds + observed
    changes["rollout_counts"] = state.rollout_counts + look.probed
    changes["literal_runs"] = _literal_runs(state, look.probed, outcomes, observed)
    changes["unanswered_seconds"] = _unanswered(state, probed, observed)
    changes["candidate_is_gone"] = _is_gone(state, tick.readings, probed)
    if not _stands_still(state, observed_at):
        changes["phase_open_seconds"] = state.phase_open_seconds + observed
    missing = bool(faults) or any(absence.type != ABSENCE_TYPE_NO_SAMPLES for absence in tick.absences)
    of_phase = None
    if confirmed:
        of_phase = _of_phase(state, happened, look)
        changes |= phase_evidence(state, of_phase, 0.0 if missing else observed)
    changes["confirmed_replicas"] = frozenset(believed) if confirmed else frozenset()
    changes["gates"] = state.gates.advanced(state.plan.gates, state.phase_index, look, of_phase=of_phase)
    return changed(state, changes)


def looks_of(state: RolloutState, tick: Tick) -> tuple[Look, Look | None] | None:
    """What a tick shows, as `accumulate` adds it up: everything, and the part that belongs to the phase's evidence.

    None where no phase is in force, or no page follows one of the same process.

    Args:
        state: before it.
        tick: the look.
    """
    _, deltas, _ = _deltas(state, tick.readings)
    happened = {replica: change.since for replica, change in deltas.items() if change.since is not None}
    if not state.in_phase or not happened:
        return None
    probed, _ = believed_probes(tick.probes)
    comparable = not split_mismatch(state) and not weight_mismatch(state)
    probes = probe_counts(probed, state.spec.candidate, state.spec.baseline)
    look = _look(happened.values(), probes, comparable=comparable)
    weights = {reading.replica: reading.candidate_weight_bp for reading in tick.readings if not reading.behind_router}
    confirmed = _is_confirmed(state, weights, time_of(tick.observed_at))
    return look, _of_phase(state, happened, look) if confirmed else None


def _is_confirmed(state: RolloutState, weights: Mapping[str, int], observed_at: datetime) -> bool:
    """Whether every replica that was read gives the candidate the phase's weight."""
    effective = _took_effect(state, observed_at)
    return effective and bool(weights) and all(bp == state.candidate_weight_bp for bp in weights.values())


def _of_phase(state: RolloutState, happened: Mapping[str, _Arms], look: Look) -> Look | None:
    """Of a look, the replicas whose page before was of the phase, too; None where there are none."""
    mine = {replica: since for replica, since in happened.items() if replica in state.confirmed_replicas}
    if not mine:
        return None
    # Mostly that is everything, and needs no second sum.
    return look if len(mine) == len(happened) else _look(mine.values(), Counts(), comparable=look.comparable)


def _took_effect(state: RolloutState, observed_at: datetime) -> bool:
    """Whether the phase's weight was in force at a look.

    A look comes after the entry that gave the weight. One that says it came before was made by a clock that is behind,
    or was set back: then what replicas show is all that is known.
    """
    at = state.effective_at
    return at is None or observed_at >= at or observed_at < at - EFFECTIVE_AFTER


def _look(changes: Iterable[_Arms], probes: Counts, *, comparable: bool = True) -> Look:
    """All replicas together."""
    found = list(changes)
    candidate, baseline = summed([mine for mine, _ in found]), summed([other for _, other in found])
    return Look(candidate, baseline, candidate.counts + probes, comparable)


@dataclass(frozen=True)
class _Change:
    """One replica's page: both arms as they stand, and since the page before where that one is of the same process."""

    after: _Arms
    since: _Arms | None


def _deltas(
    state: RolloutState, readings: Sequence[ReplicaReading]
) -> tuple[tuple[str, ...], dict[str, _Change], dict[str, ReplicaReading]]:
    """Faults; what happened since the page before, by replica; pages that become the next base.

    A replica seen for the first time, or started anew, is only a base: that tick is not evidence. A page that cannot
    be true is neither; the replica is believed again when its counters catch up or its process starts anew.
    """
    spec, limits = state.spec, state.plan.limits_seconds
    faults: list[str] = []
    changes: dict[str, _Change] = {}
    believed: dict[str, ReplicaReading] = {}
    for reading in readings:
        before = state.last_readings.get(reading.replica)
        counts = plain_counts(reading, spec.candidate, spec.baseline, limits)
        fault = "" if counts is not None else faults_of(reading, spec.candidate, limits)
        restarted = before is None or reading.server_start_time_seconds > before.server_start_time_seconds
        earlier = None if restarted else state.last_arms.get(reading.replica)
        changed: tuple[Counts, Counts] | None = None
        if reading.replica in believed:
            fault = "it was read twice in one tick"
        elif before is not None and not restarted:
            if not reading.server_start_time_seconds >= before.server_start_time_seconds:
                fault = fault or "its page is older than the one before"
            if counts is not None and earlier is not None:
                changed = counts[0] - earlier[0].counts, counts[1] - earlier[1].counts
            # Where no counter can have fallen, nobody asks which one did.
            if changed is None or changed[0].lowest < 0 or changed[1].lowest < 0:
                fault = fault or fallen(before, reading)
        arms = since = None
        if not fault:
            try:
                arms = _arms(state, reading, counts)
                since = None if earlier is None else _since(arms, earlier, changed)
            except PageFault as impossible:
                fault = str(impossible)
        if fault or arms is None:
            faults.append(f"replica {reading.replica}: {fault}")
            continue
        believed[reading.replica] = reading
        changes[reading.replica] = _Change(arms, since)
    return tuple(faults), changes, believed


def _since(arms: _Arms, earlier: _Arms, changed: tuple[Counts, Counts] | None) -> _Arms:
    """Both arms since the page before; what their counts changed by where it is known already."""
    mine, rival = changed or (None, None)
    return arms[0].minus(earlier[0], mine), arms[1].minus(earlier[1], rival)


def _arms(state: RolloutState, reading: ReplicaReading, counts: tuple[Counts, Counts] | None) -> _Arms:
    """Candidate and baseline of a page; its counts where they are known already."""
    candidate, baseline = state.spec.candidate, state.spec.baseline
    if counts is None:
        limits = state.plan.limits_seconds
        mine, rival = (counts_of(reading, v, limits, with_shadow=v == candidate) for v in (candidate, baseline))
    else:
        mine, rival = counts
    return (
        Arm(mine, shards_of(reading, candidate), durations_of(reading, candidate)),
        Arm(rival, shards_of(reading, baseline), durations_of(reading, baseline)),
    )


def phase_evidence(state: RolloutState, look: Look | None, observed: float) -> dict[str, Any]:
    """What changes by deltas between two pages of one replica that both belong to the phase, and the dwell.

    The tick that confirms the weight is the phase's beginning, not yet a part of it. A tick in which something was not
    observed is no dwell; one in which nobody called is, because that was observed.
    """
    if not state.confirmed_replicas:
        return {}
    elapsed = state.phase_elapsed_seconds + (0.0 if state.paused else observed)
    changes: dict[str, Any] = {"phase_elapsed_seconds": elapsed}
    phase = state.phase_spec
    if look is not None and phase is not None:
        counts = state.phase_counts + look.candidate.counts
        window = state.phase_window if state.phase_window.marks else Window(((0.0, Counts()),))
        changes["phase_counts"] = counts
        changes["phase_rivals"] = state.phase_rivals + look.baseline.counts
        changes["phase_ticks"] = state.phase_ticks + 1
        changes["phase_window"] = window.pushed(elapsed, counts, LAST_PART * seconds_of(phase.hold))
    return changes


def _stands_still(state: RolloutState, observed_at: datetime) -> bool:
    """Whether max_hold's clock rests: by an operator's pause, for people's signatures, for a date not yet come."""
    opens_at = state.calendar_opens_at
    waits_for_date = opens_at is not None and observed_at < opens_at
    waits_for_people = state.paused or state.state == State.STATE_AWAITING_APPROVAL
    return waits_for_people or waits_for_date or state.waits_for_calendar


def _unanswered(state: RolloutState, probes: Sequence[ProbeCounts], observed: float) -> float:
    mine = [probe for probe in probes if probe.variant == state.spec.candidate]
    if any(probe.answered_count for probe in mine):
        return 0.0
    return state.unanswered_seconds + (observed if any(probe.unanswered_count for probe in mine) else 0.0)


def _is_gone(state: RolloutState, readings: Sequence[ReplicaReading], probes: Sequence[ProbeCounts]) -> bool:
    """Whether two witnesses say so at once: those who send the traffic, and those who ask the processes directly.

    Either alone may have lost its way there; where the baseline is not well by both, nothing can be said.
    """
    checks = [reading.reached for reading in readings if reading.HasField("reached")]
    if not checks or any(check.candidate_count > 0 or check.baseline_count == 0 for check in checks):
        return False
    answered, unanswered = (
        {probe.variant for probe in probes if count(probe)}
        for count in (attrgetter("answered_count"), attrgetter("unanswered_count"))
    )
    candidate = state.spec.candidate
    return candidate in unanswered and candidate not in answered and state.spec.baseline in answered


def _literal_runs(
    state: RolloutState, total: Counts, outcomes: Sequence[OutcomeMoments], observed: float
) -> tuple[LiteralRun, ...]:
    runs = state.literal_runs or (LiteralRun(),) * len(state.plan.triggers)
    result = []
    for trigger, statement, run in zip(state.spec.triggers, state.plan.triggers, runs, strict=True):
        sustained = seconds_of(trigger.sustained)
        look = _literal_look(state, statement, total, outcomes) if sustained > 0 else None
        if look is None:
            result.append(run)
        elif look[0]:
            result.append(run.extended(observed, look[1], sustained))
        else:
            result.append(LiteralRun())
    return tuple(result)


def _literal_look(
    state: RolloutState, statement: Statement, total: Counts, outcomes: Sequence[OutcomeMoments]
) -> tuple[bool, int] | None:
    """Whether this tick's estimate is beyond the limit, and on how much data; None without data."""
    if statement.counts_events:
        events, trials = total.events_and_trials(statement, state.plan.limits_seconds, with_probes=True)
        return (events / trials > statement.event_limit, trials) if trials else None
    if statement.kind is Kind.OUTCOME:
        effect = relative_effect(moments_of(outcomes, state.spec, statement.argument))
        return None if effect is None else (effect.estimate < statement.limit, effect.candidate_learners)
    return None
