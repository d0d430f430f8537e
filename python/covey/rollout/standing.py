"""Which signatures count, and who is missing: quorums, expiry, evidence that has turned, who started the rollout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property

from covey.rollout.model import RolloutState
from covey.rollout.questions import criterion_questions
from covey.rollout.units import seconds_of, time_of
from covey.rollout.verdicts import judge
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollout_spec_pb2 import ApprovalRule
from covey.v1.rollouts_pb2 import Approval

# Stands in an approval's key where a statement would.
CALENDAR = "the calendar"


def evidence_digest(state: RolloutState, verdicts: Iterable[Verdict]) -> str:
    """What an approval signs beside the spec: SHA-256 of the phase in force and its criteria's results, hexadecimal.

    Counters are left out, so that it changes when the answer to a question does and not with every look.
    """
    lines = [state.spec_digest, state.phase if state.in_phase else ""]
    lines += [f"{verdict.statement}={result_word(verdict)}" for verdict in verdicts if _decides(verdict)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def criterion_verdicts(state: RolloutState) -> list[Verdict]:
    """Results of the criteria of the phase in force, without intervals and sentences; none outside of a phase."""
    return judge(state, criterion_questions(state), full=False) if state.in_phase else []


def passing(verdicts: Iterable[Verdict]) -> list[str]:
    """Statements of the criteria that decide and are PASS."""
    return [v.statement for v in verdicts if _decides(v) and v.result == Verdict.RESULT_PASS]


def result_word(verdict: Verdict) -> str:
    """PASS, INSUFFICIENT ..."""
    return Verdict.Result.Name(verdict.result).removeprefix("RESULT_")


class Signatures:
    """The signatures on one phase as they stand at an instant.

    Args:
        state: the state.
        phase: name of the phase that is signed.
        at: when it is asked; None: nothing has expired yet.
        since_sequence: only signatures given after that entry are looked at.
        emergency: those under the calendar's override instead of those under the phase.
    """

    def __init__(
        self,
        state: RolloutState,
        phase: str,
        at: datetime | None,
        *,
        since_sequence: int = 0,
        emergency: bool = False,
    ) -> None:
        self._state = state
        phases = state.spec.phases
        self.rule: ApprovalRule = (
            state.spec.calendar.emergency if emergency else phases[state.phase_index_of(phase)].approvals
        )
        self._at = at
        self.given = [
            approval
            for approval in state.approvals
            if approval.phase == phase
            and approval.overrides_calendar == emergency
            and not approval.statement
            and state.approval_sequences[approval_key(approval)] > since_sequence
        ]

    @cached_property
    def void(self) -> list[tuple[Approval, str]]:
        """Signatures that do not count, and why."""
        reasons = [(approval, self.void_reason(approval)) for approval in self.given]
        return [(approval, reason) for approval, reason in reasons if reason]

    def void_reason(self, approval: Approval) -> str:
        """Why a signature does not count; empty where it does."""
        valid_seconds = seconds_of(self.rule.valid_for)
        if valid_seconds > 0 and self._at is not None:
            expires_at = time_of(approval.time) + timedelta(seconds=valid_seconds)
            if self._at >= expires_at:
                return f"it expired at {expires_at.isoformat(timespec='seconds')}"
        if self._state.in_phase and approval.evidence_phase == self._state.phase:
            for statement in approval.passing_statements:
                now = self._results.get(statement, "not asked")
                if now != "PASS":
                    return f"it is stale: {statement} was PASS when it was given and is {now}"
        return ""

    def people(self, role: str) -> list[str]:
        """Who has signed in a role, by signatures that count."""
        without = [approval for approval, _ in self.void]
        return [approval.actor for approval in self.given if approval.role == role and approval not in without]

    def needed(self, role: str) -> int:
        """How many people of a role must sign."""
        return next((quorum.people_count for quorum in self.rule.quorums if quorum.role == role), 1)

    def missing(self, roles: Sequence[str]) -> list[str]:
        """Those of the roles of which too few people have signed; all where only who started the rollout has."""
        short = [role for role in roles if len(self.people(role)) < self.needed(role)]
        return list(roles) if not short and self.only_starter(roles) else short

    def only_starter(self, roles: Sequence[str]) -> bool:
        """Whether nobody but the person who started the rollout has signed, where that is not enough."""
        spec, starter = self._state.spec, self._state.started_by
        if not starter or not spec.HasField("approval_policy") or spec.approval_policy.starter_may_approve_alone:
            return False
        return {person for role in roles for person in self.people(role)} == {starter}

    def sentences(self, roles: Sequence[str]) -> list[str]:
        """What of the signatures there are is not enough, one remark each."""
        said = [f"the approval of {a.role} by {a.actor or 'unnamed'} does not count: {why}" for a, why in self.void]
        for role in roles:
            people, needed = self.people(role), self.needed(role)
            if needed > 1 and len(people) < needed:
                names = f" ({', '.join(people)})" if people else ""
                said.append(f"{len(people)} of {needed} people of {role} have signed{names}")
        if self.only_starter(roles):
            starter = self._state.started_by
            said.append(f"{starter} started the rollout and is the only one who signed: somebody else must, too")
        return said

    @cached_property
    def _results(self) -> dict[str, str]:
        return {verdict.statement: result_word(verdict) for verdict in criterion_verdicts(self._state)}


def approval_key(approval: Approval) -> tuple[str, str, str, str]:
    """What a later signature replaces: that of the same person in the same role on the same thing."""
    what = CALENDAR if approval.overrides_calendar else approval.statement
    return approval.phase, approval.role, what, approval.actor


def approvals_now(state: RolloutState) -> list[Approval]:
    """Every signature that was neither replaced nor taken back, with why it does not count where that is so."""
    shown = []
    for approval in state.approvals:
        copy = Approval()
        copy.CopyFrom(approval)
        if not approval.statement:
            emergency = approval.overrides_calendar
            signatures = Signatures(state, approval.phase, state.last_tick_at, emergency=emergency)
            copy.void_reason = signatures.void_reason(approval)
        shown.append(copy)
    return shown


def _decides(verdict: Verdict) -> bool:
    return verdict.role == Verdict.ROLE_CRITERION and not verdict.report_only
