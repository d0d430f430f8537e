"""The operator's verbs as journal entries. What is legal, the state machine says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from covey.rollout.draft import Draft, payload_entry
from covey.rollout.findings import SpecError
from covey.rollout.model import IllegalEntry, RolloutState, State
from covey.rollout.questions import criterion_questions
from covey.rollout.signatures import signed_roles
from covey.rollout.spec import check_spec, spec_digest, with_defaults
from covey.rollout.units import format_share, timestamp_of
from covey.rollout.verdicts import current_verdicts, judge
from covey.rollout.words import state_word
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import (
    ApprovalRevoked,
    Entry,
    IncidentReported,
    IncidentResolved,
    PhaseApproved,
    PhaseDenied,
    PhasePostponed,
    PhasePromoted,
    RollbackStarted,
    RolloutCreated,
    RolloutFinished,
    RolloutPaused,
    RolloutResumed,
    RolloutStarted,
)
from covey.v1.rollout_spec_pb2 import RolloutSpec


class CommandRefused(ValueError):  # noqa: N818 - the name is part of the services contract
    """A command that is not possible now.

    Attributes:
        message: why, and what to do.
        reason_code: the same for programs, such as "ILLEGAL_STATE" or "MISSING_APPROVALS".
    """

    def __init__(self, message: str, reason_code: str = "ILLEGAL_STATE") -> None:
        self.message = message
        self.reason_code = reason_code
        super().__init__(message)


def create(name: str, uid: str, spec: RolloutSpec) -> list[Entry]:
    """The first entry of a rollout, with every default of its spec written out.

    Raises:
        SpecError: the spec has errors.
    """
    errors = [finding for finding in check_spec(spec) if finding.level == "error"]
    if errors:
        raise SpecError(errors)
    full = with_defaults(spec)
    created = RolloutCreated(rollout=name, uid=uid, spec=full, spec_digest=spec_digest(full))
    return [payload_entry(created=created)]


def start(state: RolloutState, now: datetime, *, reason: str = "") -> list[Entry]:
    """Releases a draft to the controller."""
    return _one(state, now, reason, started=RolloutStarted())


def pause(state: RolloutState, now: datetime, *, reason: str = "") -> list[Entry]:
    """Stops the phase timer and advancing; triggers go on."""
    return _one(state, now, reason, paused=RolloutPaused())


def resume(state: RolloutState, now: datetime, *, reason: str = "") -> list[Entry]:
    """Ends a pause."""
    return _one(state, now, reason, resumed=RolloutResumed())


def promote(state: RolloutState, now: datetime, *, reason: str = "") -> list[Entry]:
    """Ends the wait of the phase in force. It overrides criteria where every approval is given, and never a trigger.

    Raises:
        CommandRefused: MISSING_APPROVALS where a criterion is not PASS and a role has not signed; REASON_MISSING
            where it
            would be an override without a reason.
    """
    _check(state, now, promoted=PhasePromoted(phase=state.phase))
    verdicts = judge(state, criterion_questions(state))
    open_verdicts = [
        verdict for verdict in verdicts if not verdict.report_only and verdict.result != Verdict.RESULT_PASS
    ]
    if open_verdicts:
        _check_override(state, open_verdicts, reason)
    payload = PhasePromoted(phase=state.phase, overridden_verdicts=open_verdicts)
    return _one(state, now, reason, promoted=payload)


def _check_override(state: RolloutState, open_verdicts: list[Verdict], reason: str) -> None:
    statements = ", ".join(verdict.statement for verdict in open_verdicts)
    if not reason:
        raise CommandRefused(f"{statements} not shown: an override needs its reason", "REASON_MISSING")
    following = state.next_phase
    # At the last phase there is no next one to sign: it is signed again, since it began.
    phase = following.name if following else state.phase
    since = 0 if following else state.phase_entered_sequence
    signed = signed_roles(state, phase, since_sequence=since)
    missing = [role for role in state.plan.override_roles(state.phase_index) if role not in signed]
    if missing:
        raise CommandRefused(
            f"{statements} not shown, so promoting needs the approval of phase '{phase}' by {', '.join(missing)}",
            "MISSING_APPROVALS",
        )


def postpone(state: RolloutState, now: datetime, *, phase: str, not_before: datetime, reason: str = "") -> list[Entry]:
    """A phase to come begins no earlier than that."""
    payload = PhasePostponed(phase=phase, not_before=timestamp_of(not_before))
    return _one(state, now, reason, postponed=payload)


def abort(state: RolloutState, now: datetime, *, reason: str = "") -> list[Entry]:
    """Takes the candidate's traffic away with this entry.

    Before the first phase that is the end of the rollout; later the controller reads the weight of 0 back first.
    """
    explanation = f"aborted: {reason}" if reason else "aborted"
    verdicts = current_verdicts(state) if state.in_phase else []
    payload = RollbackStarted(cause=RollbackStarted.CAUSE_ABORT, explanation=explanation, verdicts=verdicts)
    if state.state == State.STATE_ROLLING_BACK:
        raise CommandRefused("it is rolling back already; the candidate has no traffic")
    draft = _draft(state, now, rollback_started=payload)
    if state.phase_index < 0:
        draft.add(finished=RolloutFinished(outcome=RolloutFinished.OUTCOME_ABORTED))
    draft.entries[0].reason = reason
    return draft.entries


def approve(
    state: RolloutState, now: datetime, *, phase: str, role: str, statement: str = "", reason: str = ""
) -> list[Entry]:
    """A role signs a phase to come or, with a statement, that an `accept_by` criterion cannot be answered in time."""
    payload = PhaseApproved(phase=phase, role=role, spec_digest=state.spec_digest, statement=statement)
    return _one(state, now, reason, approved=payload)


def deny(state: RolloutState, now: datetime, *, phase: str, role: str, reason: str = "") -> list[Entry]:
    """A role refuses a phase to come."""
    return _one(state, now, reason, denied=PhaseDenied(phase=phase, role=role))


def revoke(state: RolloutState, now: datetime, *, phase: str, role: str, reason: str = "") -> list[Entry]:
    """A role takes its approval back."""
    return _one(state, now, reason, revoked=ApprovalRevoked(phase=phase, role=role))


def report_incident(
    state: RolloutState, now: datetime, *, incident_id: str, critical: bool, description: str, reason: str = ""
) -> list[Entry]:
    """Something happened that no metric shows."""
    payload = IncidentReported(incident_id=incident_id, critical=critical, description=description)
    return _one(state, now, reason, incident_reported=payload)


def resolve_incident(state: RolloutState, now: datetime, *, incident_id: str, reason: str = "") -> list[Entry]:
    """It is over."""
    return _one(state, now, reason, incident_resolved=IncidentResolved(incident_id=incident_id))


def crash_loop(state: RolloutState, now: datetime, *, explanation: str = "") -> list[Entry]:
    """What a server journals that went down uncleanly twice while the candidate had weight.

    No entries where no phase is in force: there is nothing to take back.
    """
    if not state.in_phase:
        return []
    share = format_share(state.candidate_weight_bp / 10_000)
    loop = f"the server went down uncleanly twice while {state.spec.candidate} served {share} of the learners"
    payload = RollbackStarted(
        cause=RollbackStarted.CAUSE_CRASH_LOOP, explanation=explanation or loop, verdicts=current_verdicts(state)
    )
    return _one(state, now, "", rollback_started=payload)


def _one(state: RolloutState, now: datetime, reason: str, **payload: Any) -> list[Entry]:
    entries = _draft(state, now, **payload).entries
    entries[0].reason = reason
    return entries


def _check(state: RolloutState, now: datetime, **payload: Any) -> None:
    _draft(state, now, **payload)


def _draft(state: RolloutState, now: datetime, **payload: Any) -> Draft:
    draft = Draft(state, now)
    try:
        draft.add(**payload)
    except IllegalEntry as error:
        raise CommandRefused(f"{error} (state {state_word(state.state)})", error.reason_code) from None
    return draft
