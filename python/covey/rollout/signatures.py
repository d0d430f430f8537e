"""Approvals, denials and what is still missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from covey.rollout.model import IN_PHASE, Denial, IllegalEntry, RolloutState, State
from covey.rollout.standing import Signatures, approval_key
from covey.rollout.statement import StatementError, parse_statement
from covey.rollout.words import state_word
from covey.v1.journal_pb2 import Entry
from covey.v1.rollouts_pb2 import Approval

SIGNABLE = IN_PHASE | {State.STATE_DRAFT, State.STATE_SCHEDULED}


def has_accepted(state: RolloutState, statement: str, role: str) -> bool:
    """Whether that role signed, in the phase in force, that the criterion cannot be answered."""
    return any(
        sequence > state.phase_entered_sequence
        for key, sequence in state.approval_sequences.items()
        if key[:3] == (state.phase, role, statement)
    )


def denials_of(state: RolloutState, phase: str) -> list[Denial]:
    """Denials of a phase that stand."""
    return [denial for denial in state.denials if denial.phase == phase]


def missing_roles(state: RolloutState, phase: str, *, asked: bool) -> tuple[str, ...]:
    """Roles without whose approval the phase does not begin.

    Args:
        state: the state.
        phase: name of a phase to come.
        asked: whether its approvals are asked at all; a denial counts even where they are not.
    """
    rule = state.spec.phases[state.phase_index_of(phase)].approvals
    missing = Signatures(state, phase, state.last_tick_at).missing(rule.roles) if asked else []
    missing += [denial.role for denial in denials_of(state, phase) if denial.role not in missing]
    return tuple(missing)


def awaiting_explanation(state: RolloutState) -> str:
    """What AWAITING_APPROVAL waits for, with every denial by name."""
    phase = state.awaited_phase
    text = f"phase '{phase}' awaits approval by {', '.join(state.missing_roles)}"
    if not state.missing_roles:
        text = f"phase '{phase}' has every approval"
    for remark in Signatures(state, phase, state.last_tick_at).sentences(state.missing_roles):
        text += f"; {remark}"
    for denial in denials_of(state, phase):
        text += f"; denied by {denial.role} ({denial.actor or 'unnamed'}): {denial.reason or 'no reason given'}"
    return text


def approved(state: RolloutState, entry: Entry, payload: Any) -> RolloutState:
    """A role signs a phase to come, an `accept_by` criterion of the phase in force, or the override of the last one."""
    index = _signable(state, payload.phase, "an approval")
    if payload.spec_digest != state.spec_digest:
        raise IllegalEntry("the approval is for another spec than this rollout's", "WRONG_DIGEST")
    if payload.overrides_calendar:
        return _emergency_signed(state, entry, payload, index)
    statement = _signed_criterion(state, index, payload) if payload.statement else ""
    if not statement:
        _check_role(state, index, payload.role)
        last = len(state.spec.phases) - 1
        if index <= state.phase_index and not index == state.phase_index == last:
            raise IllegalEntry(f"phase '{payload.phase}' has begun already", "PHASE_BEGUN")
    _check_person(state, entry.actor, payload)
    signed = _with_signature(state, entry, payload, statement)
    if statement:
        return signed
    left = tuple(old for old in state.denials if (old.phase, old.role) != (payload.phase, payload.role))
    signed = replace(signed, denials=left)
    denied_roles = {denial.role for denial in denials_of(signed, payload.phase)}
    short = Signatures(signed, payload.phase, state.last_tick_at).missing(state.missing_roles)
    missing = tuple(role for role in state.missing_roles if role in short or role in denied_roles)
    return _refreshed(signed, payload.phase, missing)


def _with_signature(state: RolloutState, entry: Entry, payload: Any, statement: str) -> RolloutState:
    approval = Approval(
        phase=payload.phase,
        role=payload.role,
        actor=entry.actor,
        time=entry.time,
        statement=statement,
        evidence_digest=payload.evidence_digest,
        evidence_phase=payload.evidence_phase,
        passing_statements=payload.passing_statements,
        overrides_calendar=payload.overrides_calendar,
    )
    key = approval_key(approval)
    others = tuple(old for old in state.approvals if approval_key(old) != key)
    sequences = {**state.approval_sequences, key: entry.sequence}
    return replace(state, approvals=(*others, approval), approval_sequences=sequences)


def _emergency_signed(state: RolloutState, entry: Entry, payload: Any, index: int) -> RolloutState:
    """A role lets a phase to come begin in spite of the calendar's windows."""
    roles = state.spec.calendar.emergency.roles
    if payload.role not in roles:
        who = f"its roles are {', '.join(roles)}" if roles else "the plan lets nobody override it"
        raise IllegalEntry(f"the calendar is not for {payload.role} to override; {who}", "UNKNOWN_ROLE")
    if payload.statement:
        raise IllegalEntry("one signature is for the calendar or for a criterion, not for both", "UNKNOWN_STATEMENT")
    if index <= state.phase_index:
        raise IllegalEntry(f"phase '{payload.phase}' has begun already", "PHASE_BEGUN")
    _check_person(state, entry.actor, payload)
    return _with_signature(state, entry, payload, "")


def denied(state: RolloutState, entry: Entry, payload: Any) -> RolloutState:
    """A role refuses a phase to come: it does not begin until that role approves."""
    index = _signable(state, payload.phase, "a denial")
    _check_role(state, index, payload.role)
    if index <= state.phase_index:
        raise IllegalEntry(f"phase '{payload.phase}' has begun already; abort instead", "PHASE_BEGUN")
    denial = Denial(payload.phase, payload.role, entry.actor, entry.reason)
    refused = _without(state, payload.phase, payload.role)
    refused = replace(refused, denials=(*refused.denials, denial))
    missing = state.missing_roles
    return _refreshed(refused, payload.phase, missing if payload.role in missing else (*missing, payload.role))


def revoked(state: RolloutState, _entry: Entry, payload: Any) -> RolloutState:
    """A role takes its approval back, before what it approved has happened."""
    index = _signable(state, payload.phase, "revoking")
    if not any((old.phase, old.role) == (payload.phase, payload.role) for old in state.approvals):
        raise IllegalEntry(f"{payload.role} has not approved phase '{payload.phase}'", "NOT_APPROVED")
    if index < state.phase_index:
        raise IllegalEntry(f"phase '{payload.phase}' has begun already; abort instead", "PHASE_BEGUN")
    if index == state.phase_index and not any(
        state.approval_sequences[approval_key(old)] > state.phase_entered_sequence
        for old in state.approvals
        if (old.phase, old.role) == (payload.phase, payload.role)
    ):
        raise IllegalEntry(f"phase '{payload.phase}' has begun already; abort instead", "PHASE_BEGUN")
    missing = state.missing_roles
    asked = payload.role in state.spec.phases[index].approvals.roles and payload.role not in missing
    return _refreshed(
        _without(state, payload.phase, payload.role), payload.phase, (*missing, payload.role) if asked else missing
    )


def _signable(state: RolloutState, phase: str, what: str) -> int:
    if state.state not in SIGNABLE:
        raise IllegalEntry(f"{what} is not possible while the rollout is {state_word(state.state)}")
    return state.phase_index_of(phase)


def _check_role(state: RolloutState, index: int, role: str) -> None:
    known = dict.fromkeys((*state.spec.phases[index].approvals.roles, *state.plan.all_roles))
    if role not in known:
        raise IllegalEntry(f"the plan asks no '{role}'; its roles are {', '.join(known) or 'none'}", "UNKNOWN_ROLE")


def _check_person(state: RolloutState, actor: str, payload: Any) -> None:
    """One person signs a phase in one role, unless the plan says otherwise; older journals do not ask."""
    policy = state.spec.approval_policy
    if not actor or not state.spec.HasField("approval_policy") or policy.one_person_many_roles:
        return
    for old in state.approvals:
        if (old.phase, old.actor) == (payload.phase, actor) and old.role != payload.role:
            raise IllegalEntry(
                f"{actor} signed phase '{payload.phase}' as {old.role} already; somebody else must sign as "
                f"{payload.role}, or the plan says approval_policy: {{one_person_many_roles: true}}",
                "ONE_PERSON_ONE_ROLE",
            )


def _signed_criterion(state: RolloutState, index: int, payload: Any) -> str:
    try:
        text = parse_statement(payload.statement).text
    except StatementError as error:
        raise IllegalEntry(str(error), "UNKNOWN_STATEMENT") from None
    if index != state.phase_index or not state.in_phase:
        raise IllegalEntry(
            f"a criterion is signed while its phase is in force; '{payload.phase}' is not", "WRONG_PHASE"
        )
    for criterion, statement in state.phase_criteria():
        if statement.text == text:
            if criterion.accept_by != payload.role:
                who = f"by {criterion.accept_by}" if criterion.accept_by else "by nobody"
                raise IllegalEntry(f"'{text}' may be accepted {who}, not by {payload.role}", "WRONG_ROLE")
            return text
    raise IllegalEntry(f"phase '{payload.phase}' has no criterion '{text}'", "UNKNOWN_STATEMENT")


def _without(state: RolloutState, phase: str, role: str) -> RolloutState:
    """Without that role's signatures on that phase, and without its earlier denial."""
    return replace(
        state,
        approvals=tuple(old for old in state.approvals if (old.phase, old.role) != (phase, role)),
        approval_sequences={key: at for key, at in state.approval_sequences.items() if key[:2] != (phase, role)},
        denials=tuple(old for old in state.denials if (old.phase, old.role) != (phase, role)),
    )


def _refreshed(state: RolloutState, phase: str, missing: tuple[str, ...]) -> RolloutState:
    """While that phase is awaited, the missing roles and the explanation follow at once."""
    if state.state != State.STATE_AWAITING_APPROVAL or state.awaited_phase != phase:
        return state
    waiting = replace(state, missing_roles=missing)
    return replace(waiting, explanation=awaiting_explanation(waiting))
