"""What comes next: when each phase can begin and end at the earliest, what it waits for, and who is called. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from covey.report import words
from covey.report.model import ScheduleLine
from covey.rollout.model import RolloutState, State
from covey.rollout.units import basis_points, seconds_of
from covey.rollout.verdicts import current_verdicts
from covey.v1.rollout_spec_pb2 import OnCall, Phase

_DEFAULT_ESCALATE_AFTER = timedelta(minutes=15)


def schedule_lines(state: RolloutState, now: datetime) -> list[ScheduleLine]:
    """The phase in force and those to come, as if nothing but what is known now held them up; empty once it ended.

    Args:
        state: the fold of the journal.
        now: aware; a phase begins no earlier.
    """
    if state.is_terminal or state.state == State.STATE_ROLLING_BACK:
        return []
    return list(_lines(state, now))


def on_call_text(on_call: OnCall) -> str:
    """Who is called for a hold or a rollback, in order: "ada; after 15 min grace; after 30 min edsger"."""
    after = on_call.escalate_after.ToTimedelta() or _DEFAULT_ESCALATE_AFTER
    later = [name for name in (on_call.secondary, on_call.escalation) if name]
    parts = [on_call.primary] if on_call.primary else []
    parts += [f"after {words.span((step + 1) * after.total_seconds())} {name}" for step, name in enumerate(later)]
    return "; ".join(parts) or "nobody named"


def _lines(state: RolloutState, now: datetime) -> Iterator[ScheduleLine]:
    at: datetime | None = now
    for index, phase in enumerate(state.spec.phases):
        if index < state.phase_index:
            continue
        if index == state.phase_index:
            left = _left(state)
            ends = None if left is None else now + left
            yield _line(state, phase, "in force", ends, _waits_now(state))
        else:
            opens, why = _opens(state, phase, at) if at is not None else (None, [])
            ends = None if opens is None else opens + timedelta(seconds=seconds_of(phase.hold))
            never = "not within ten years" if at is not None else f"after {state.spec.phases[index - 1].name}"
            begins = never if opens is None else _local(state, opens)
            yield _line(state, phase, begins, ends, [*why, *_signatures(state, index)])
        at = ends


def _line(state: RolloutState, phase: Phase, begins: str, ends: datetime | None, waits: list[str]) -> ScheduleLine:
    return ScheduleLine(
        phase=phase.name,
        share_bp=basis_points(phase.traffic_share),
        begins=begins,
        ends="unknown" if ends is None else _local(state, ends),
        ends_at="" if ends is None else ends.astimezone(UTC).isoformat(timespec="seconds"),
        waits_for="; ".join(waits) or "nothing but its time",
        on_call=on_call_text(state.spec.on_call),
    )


def _left(state: RolloutState) -> timedelta | None:
    """What is left of the phase: of its time, or of the slowest criterion; None where one cannot say how long."""
    phase = state.phase_spec
    hold = seconds_of(phase.hold) if phase is not None else 0.0
    waiting = [verdict for verdict in current_verdicts(state) if words.needs(verdict) and not verdict.report_only]
    if state.paused or any(not verdict.HasField("eta") for verdict in waiting):
        return None
    slowest = max((verdict.eta.ToTimedelta() for verdict in waiting), default=timedelta(0))
    return max(timedelta(seconds=hold - state.phase_elapsed_seconds), slowest, timedelta(0))


def _waits_now(state: RolloutState) -> list[str]:
    if state.paused:
        return ["somebody to resume it"]
    return [
        f"{verdict.statement} ({needs})"
        for verdict in current_verdicts(state)
        if (needs := words.needs(verdict)) and not verdict.report_only
    ]


def _opens(state: RolloutState, phase: Phase, at: datetime) -> tuple[datetime | None, list[str]]:
    """When the calendar lets the phase begin, and what keeps it until then."""
    postponed = state.not_before.get(phase.name)
    earliest = max(at, postponed) if postponed is not None else at
    opening = state.plan.hours.opening(earliest)
    why = [f"no earlier than {_local(state, postponed)}"] if postponed is not None and postponed > at else []
    return opening.at, [*why, opening.reason] if opening.reason else why


def _signatures(state: RolloutState, index: int) -> list[str]:
    rule = state.spec.phases[index].approvals
    if not rule.roles:
        return []
    phase = state.spec.phases[index].name
    signed = {one.role for one in state.approvals if one.phase == phase and not one.statement}
    missing = [role for role in rule.roles if role not in signed]
    if state.awaited_phase == phase and state.missing_roles:
        missing = list(state.missing_roles)
    return [f"approval of {', '.join(missing)}"] if missing else []


def _local(state: RolloutState, at: datetime) -> str:
    return state.plan.zone.local_text(at)
