"""A journal's looks judged by another plan: what its gates would have decided, and when."""

from __future__ import annotations

from collections.abc import Sequence

from covey.rollout import commands
from covey.rollout.commands import CommandRefused
from covey.rollout.counts import counters_of
from covey.rollout.evidence import Evidence
from covey.rollout.model import IllegalEntry, State
from covey.rollout.rehearsal import Operator, Rehearsal, Rehearsed
from covey.rollout.spec import with_defaults
from covey.rollout.units import format_share, time_of
from covey.v1.evidence_pb2 import ReplicaReading
from covey.v1.journal_pb2 import Entry
from covey.v1.rollout_spec_pb2 import RolloutSpec


def judged_by(entries: Sequence[Entry], spec: RolloutSpec, *, operator: Operator = Operator.APPROVE) -> Rehearsed:
    """The rollout that another plan would have made of a journal's looks.

    Pauses, resumptions and incidents happen as they were recorded; signatures come from the operator, because those in
    the journal are for the journal's plan; promotions and aborts are left out.

    Args:
        entries: the journal, with its ticks.
        spec: the other plan, of the same candidate and baseline.
        operator: what the people do.

    Raises:
        ValueError: no journal, or one of other variants.
        SpecError: the plan has errors.
    """
    if not entries or entries[0].WhichOneof("payload") != "created":
        raise ValueError("a journal begins with the entry that creates the rollout")
    recorded, other = with_defaults(entries[0].created.spec), with_defaults(spec)
    for role in ("baseline", "candidate"):
        was, asked = getattr(recorded, role), getattr(other, role)
        if was != asked:
            raise ValueError(f"the journal's {role} is {was}, the plan's is {asked}; nothing of it was counted")
    rehearsal = Rehearsal(other, time_of(entries[0].time), operator=operator, name=entries[0].created.rollout)
    notes: list[str] = []
    diverged = left_out = 0
    for entry in entries:
        if rehearsal.state.is_terminal:
            break
        kind = entry.WhichOneof("payload")
        if kind == "tick":
            evidence, is_other = _at_weight(rehearsal, Evidence.from_tick(entry.tick))
            if is_other and not diverged:
                notes.append(_divergence(rehearsal, entry))
            diverged += is_other
            rehearsal.look(evidence)
        elif kind in _REPEATED:
            left_out += not _repeat(rehearsal, entry)
        elif kind == "promoted" or (kind == "rollback_started" and entry.epoch == 0):
            left_out += 1
    if left_out:
        notes.append(f"{left_out} command(s) of the journal's people were left out: they are for another plan.")
    if not rehearsal.state.is_terminal:
        notes.append("The journal ends here; these gates would have gone on.")
    return rehearsal.result(notes)


_REPEATED = frozenset({"paused", "resumed", "incident_reported", "incident_resolved"})


def _repeat(rehearsal: Rehearsal, entry: Entry) -> bool:
    """Records what a person did, where it is possible under the other plan; whether it was."""
    state, now, kind = rehearsal.state, time_of(entry.time), entry.WhichOneof("payload")
    try:
        if kind == "paused":
            made = commands.pause(state, now, reason=entry.reason)
        elif kind == "resumed":
            made = commands.resume(state, now, reason=entry.reason)
        elif kind == "incident_reported":
            incident = entry.incident_reported
            made = commands.report_incident(
                state,
                now,
                incident_id=incident.incident_id,
                critical=incident.critical,
                description=incident.description,
                reason=entry.reason,
            )
        else:
            made = commands.resolve_incident(state, now, incident_id=entry.incident_resolved.incident_id)
        rehearsal.append(made, now, actor=entry.actor)
    except (CommandRefused, IllegalEntry):
        return False
    return True


def _at_weight(rehearsal: Rehearsal, evidence: Evidence) -> tuple[Evidence, bool]:
    """The look as though it were served at the other plan's weight, and whether the recorded one was another."""
    weight_bp = rehearsal.weight_bp(evidence.observed_at)
    if weight_bp is None or rehearsal.state.state == State.STATE_SCHEDULED:
        weight_bp = 0 if rehearsal.state.phase_index <= 0 else None
    readings = []
    is_other = False
    for reading in evidence.readings:
        changed = ReplicaReading()
        changed.CopyFrom(reading)
        if weight_bp is not None:
            is_other |= reading.candidate_weight_bp != weight_bp and _serves(rehearsal, reading)
            changed.candidate_weight_bp = weight_bp
        readings.append(changed)
    return Evidence(
        evidence.observed_seconds,
        evidence.observed_at,
        readings,
        evidence.probes,
        evidence.outcomes,
        # The split of another weight is no fault of this plan's.
        () if is_other else evidence.learners,
        evidence.absences,
    ), is_other


def _serves(rehearsal: Rehearsal, reading: ReplicaReading) -> bool:
    return rehearsal.state.in_phase and counters_of(reading, rehearsal.state.spec.candidate) is not None


def _divergence(rehearsal: Rehearsal, entry: Entry) -> str:
    served = format_share(max(reading.candidate_weight_bp for reading in entry.tick.readings) / 10_000)
    planned = format_share(rehearsal.state.candidate_weight_bp / 10_000)
    at = time_of(entry.tick.observed_at).isoformat(timespec="seconds")
    return (
        f"From {at} the journal served the candidate to {served} of the learners where this plan would have to "
        f"{planned}: what follows is judged on traffic of another size."
    )
