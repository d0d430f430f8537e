"""Who has signed what, who is missing, and whom to call."""

from __future__ import annotations

from dataclasses import dataclass

from covey.report import advice, words
from covey.rollout.standing import Signatures
from covey.rollout.state import RolloutState
from covey.v1.rollouts_pb2 import Approval, Rollout


@dataclass(frozen=True)
class RoleRow:
    """A role and a phase.

    Attributes:
        phase: that is signed.
        role: who must agree.
        signed: (name, time, remark) of each signature; a remark says why one does not count.
        denied: (name, reason) of each refusal.
        missing: how many people are missing still.
        is_awaited: whether the rollout waits for it now.
    """

    phase: str
    role: str
    signed: list[tuple[str, str, str]]
    denied: list[tuple[str, str]]
    missing: int
    is_awaited: bool


@dataclass(frozen=True)
class People:
    """Everything about people.

    Attributes:
        rows: one per role and phase that asks for approval.
        acceptances: criteria that a role has accepted, and overrides of the calendar, as sentences.
        on_call: (what, name).
        acknowledged_by: who looks after the hold; empty while nobody does.
    """

    rows: list[RoleRow]
    acceptances: list[str]
    on_call: list[tuple[str, str]]
    acknowledged_by: str


def people(rollout: Rollout, state: RolloutState | None) -> People:
    """The people of a rollout."""
    on_call = rollout.spec.on_call
    named = [(what, getattr(on_call, what)) for what in ("primary", "secondary", "escalation")]
    return People(
        rows=_rows(rollout, state) if state is not None else [],
        acceptances=[_acceptance(approval) for approval in rollout.approvals if _is_apart(approval)],
        on_call=[(what, name) for what, name in named if name],
        acknowledged_by=rollout.hold_acknowledged_by,
    )


def _rows(rollout: Rollout, state: RolloutState) -> list[RoleRow]:
    awaited = advice.next_approval_phase(rollout) if rollout.missing_roles else ""
    rows = []
    for phase in rollout.spec.phases:
        signatures = Signatures(state, phase.name, state.last_tick_at)
        given = [approval for approval in rollout.approvals if approval.phase == phase.name and not _is_apart(approval)]
        is_to_come = phase.name in state.plan.names[state.phase_index + 1 :] and not state.is_terminal
        for role in phase.approvals.roles:
            signed = [
                (approval.actor, words.instant(approval.time), approval.void_reason)
                for approval in given
                if approval.role == role
            ]
            denied = [
                (denial.actor, denial.reason)
                for denial in state.denials
                if (denial.phase, denial.role) == (phase.name, role)
            ]
            missing = max(signatures.needed(role) - len(signatures.people(role)), 0) if is_to_come else 0
            is_awaited = phase.name == awaited and role in rollout.missing_roles
            rows.append(RoleRow(phase.name, role, signed, denied, missing, is_awaited))
    return rows


def _is_apart(approval: Approval) -> bool:
    return bool(approval.statement) or approval.overrides_calendar


def _acceptance(approval: Approval) -> str:
    what = approval.statement or f"phase {approval.phase} in spite of the calendar"
    remark = f" (does not count: {approval.void_reason})" if approval.void_reason else ""
    return f"{approval.actor} accepts {what} for {approval.role}, {words.instant(approval.time)}{remark}"
