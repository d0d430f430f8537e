"""The operator's verbs as journal entries. What is legal, the state machine says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from covey.rollout.draft import Draft, payload_entry
from covey.rollout.findings import Finding, SpecError
from covey.rollout.model import IllegalEntry, RolloutState, State
from covey.rollout.questions import criterion_questions
from covey.rollout.spec import as_created, check_spec, spec_digest
from covey.rollout.standing import Signatures, criterion_verdicts, passing, result_word
from covey.rollout.standing import evidence_digest as digest_of
from covey.rollout.units import format_share, timestamp_of
from covey.rollout.verdicts import current_verdicts, judge
from covey.rollout.words import state_word
from covey.v1.evidence_pb2 import Verdict
from covey.v1.journal_pb2 import (
    ApprovalRevoked,
    Entry,
    HoldAcknowledged,
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
from covey.v1.rollout_spec_pb2 import RolloutSpec, ZoneOffset


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


def create(name: str, uid: str, spec: RolloutSpec, zone_offsets: Iterable[ZoneOffset] = ()) -> list[Entry]:
    """The first entry of a rollout, with every default of its spec written out.

    Args:
        name: rollouts/{rollout}.
        uid: salt of the routing hash.
        spec: as its author wrote it.
        zone_offsets: of the calendar's time zone, from now on; none where it names no zone.

    Raises:
        SpecError: the spec has errors.
    """
    errors = [finding for finding in check_spec(spec) if finding.level == "error"]
    offsets = list(zone_offsets)
    if spec.calendar.time_zone and not offsets:
        errors.append(Finding("error", "calendar.time_zone", f"'{spec.calendar.time_zone}' has no known offsets"))
    if errors:
        raise SpecError(errors)
    full = as_created(spec)
    created = RolloutCreated(rollout=name, uid=uid, spec=full, spec_digest=spec_digest(full), zone_offsets=offsets)
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
        _check_override(state, open_verdicts, reason, now)
    payload = PhasePromoted(phase=state.phase, overridden_verdicts=open_verdicts)
    return _one(state, now, reason, promoted=payload)


def _check_override(state: RolloutState, open_verdicts: list[Verdict], reason: str, now: datetime) -> None:
    statements = ", ".join(verdict.statement for verdict in open_verdicts)
    if not reason:
        raise CommandRefused(f"{statements} not shown: an override needs its reason", "REASON_MISSING")
    following = state.next_phase
    # At the last phase there is no next one to sign: it is signed again, since it began.
    phase = following.name if following else state.phase
    since = 0 if following else state.phase_entered_sequence
    signatures = Signatures(state, phase, now, since_sequence=since)
    roles = state.plan.override_roles(state.phase_index)
    if missing := signatures.missing(roles):
        text = f"{statements} not shown, so promoting needs the approval of phase '{phase}' by {', '.join(missing)}"
        raise CommandRefused("; ".join([text, *signatures.sentences(roles)]), "MISSING_APPROVALS")


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
    state: RolloutState,
    now: datetime,
    *,
    phase: str,
    role: str,
    statement: str = "",
    reason: str = "",
    actor: str = "",
    evidence_digest: str = "",
    overrides_calendar: bool = False,
) -> list[Entry]:
    """A role signs a phase to come or, with a statement, that an `accept_by` criterion cannot be answered in time.

    Args:
        state: the state.
        now: the time.
        phase: which phase.
        role: in which role.
        statement: the criterion that is accepted.
        reason: in the signer's words.
        actor: the signer, who signs in one role only; empty: not looked at before the journal does.
        evidence_digest: what the signer saw; empty: whatever stands now.
        overrides_calendar: signs that the phase may begin in spite of the calendar's windows; needs a reason.

    Raises:
        CommandRefused: EVIDENCE_CHANGED where a criterion's result is not what the signer saw, REASON_MISSING, or what
            the state machine refuses.
    """
    if overrides_calendar and not reason.strip():
        raise CommandRefused("an override of the calendar needs its reason", "REASON_MISSING")
    verdicts = criterion_verdicts(state)
    digest = digest_of(state, verdicts)
    if evidence_digest and evidence_digest != digest:
        results = ", ".join(f"{verdict.statement} {result_word(verdict)}" for verdict in verdicts)
        raise CommandRefused(
            "the verdicts are not those that you saw"
            + (f"; now: {results}" if results else "")
            + ". Look again (covey rollout status), then sign what stands",
            "EVIDENCE_CHANGED",
        )
    payload = PhaseApproved(
        phase=phase,
        role=role,
        spec_digest=state.spec_digest,
        statement=statement,
        evidence_digest=digest,
        evidence_phase=state.phase if state.in_phase else "",
        passing_statements=passing(verdicts),
        overrides_calendar=overrides_calendar,
    )
    return _one(state, now, reason, actor, approved=payload)


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


def acknowledge(state: RolloutState, now: datetime, *, reason: str = "", actor: str = "") -> list[Entry]:
    """Somebody looks after the hold: nobody else is called."""
    return _one(state, now, reason, actor, acknowledged=HoldAcknowledged(phase=state.phase))


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


def _one(state: RolloutState, now: datetime, reason: str, actor: str = "", **payload: Any) -> list[Entry]:
    entries = _draft(state, now, actor, **payload).entries
    entries[0].reason = reason
    return entries


def _check(state: RolloutState, now: datetime, **payload: Any) -> None:
    _draft(state, now, **payload)


def _draft(state: RolloutState, now: datetime, actor: str = "", **payload: Any) -> Draft:
    draft = Draft(state, now, actor=actor)
    try:
        draft.add(**payload)
    except IllegalEntry as error:
        raise CommandRefused(f"{error} (state {state_word(state.state)})", error.reason_code) from None
    return draft
