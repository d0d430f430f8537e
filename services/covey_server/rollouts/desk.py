"""The verbs of RolloutService, each one mutation of the journal that a retry does not repeat.

What is remembered of a request is only where its entries stand in the journal: its answer is folded again from there,
so a retry gets the rollout as it was after its own entries, not as it is by now.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc

from covey.rollout import commands
from covey.rollout.commands import CommandRefused
from covey.rollout.spec import with_defaults
from covey.v1 import rollouts_pb2 as pb
from covey.zones import zone_offsets
from covey_server.catalogue.names import checked_id
from covey_server.errors import CallError, invalid
from covey_server.rollouts.journal_entries import Author, Written
from covey_server.rollouts.journal_splits import TARGET
from covey_server.rollouts.judge import Judge
from covey_server.rollouts.leases import DEFAULT_SECONDS
from covey_server.rollouts.requests import (
    check_decision,
    check_not_past,
    check_phase,
    check_request,
    check_rollout_spec,
    check_segments,
    lease_seconds,
    time_of,
)
from covey_server.rollouts.views import rollout_name
from covey_server.store import once_for, reused

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey.access.principals import Principal
    from covey.rollout.state import RolloutState
    from covey.v1.journal_pb2 import Entry
    from covey_server.rollouts.journal import Journal
    from covey_server.rollouts.views import RolloutViews

Make = Callable[["RolloutState"], "Sequence[Entry]"]


class RolloutDesk:
    """Mutations of rollouts for callers; every method blocks until its effect is durable and in force.

    Methods take the request and the caller and raise CallError; see the proto for what they mean.

    Args:
        journal: what is written.
        views: pictures for the answers.
    """

    def __init__(self, journal: Journal, views: RolloutViews) -> None:
        self._journal = journal
        self._views = views
        self._judge = Judge(journal.store, journal.monotonic)

    def create(self, request: pb.CreateRolloutRequest, caller: Principal) -> pb.Rollout:
        """Record a checked spec as DRAFT."""
        check_request(request)
        name = f"rollouts/{checked_id('rollout_id', request.rollout_id)}"
        check_rollout_spec(request.spec)
        spec = with_defaults(request.spec)
        if spec.target == TARGET:
            baseline, _ = (self._journal.catalogue.variant(name) for name in (spec.baseline, spec.candidate))
            check_segments(spec, baseline, self._journal.catalogue)
        try:
            offsets = zone_offsets(spec.calendar.time_zone, self._now())
        except ValueError as error:
            raise invalid("spec.calendar.time_zone", str(error)) from None

        def run(connection: Connection) -> Written:
            uid = secrets.token_hex(16)
            entries = commands.create(name, uid, spec, offsets)
            return self._journal.create(connection, name, uid, entries, _author(request, caller))

        return self._views.picture(self._once(request, caller, name, run).state)

    def start(self, request: pb.StartRolloutRequest, caller: Principal) -> pb.StartRolloutResponse:
        """Hand the rollout to the controller."""
        make = self._plain(commands.start, request)
        return pb.StartRolloutResponse(rollout=self._verb(request, caller, make))

    def pause(self, request: pb.PauseRolloutRequest, caller: Principal) -> pb.PauseRolloutResponse:
        """Stop the phase timer."""
        return pb.PauseRolloutResponse(rollout=self._verb(request, caller, self._plain(commands.pause, request)))

    def resume(self, request: pb.ResumeRolloutRequest, caller: Principal) -> pb.ResumeRolloutResponse:
        """Let the phase timer go on."""
        return pb.ResumeRolloutResponse(rollout=self._verb(request, caller, self._plain(commands.resume, request)))

    def promote(self, request: pb.PromoteRolloutRequest, caller: Principal) -> pb.PromoteRolloutResponse:
        """End the wait of the phase."""
        return pb.PromoteRolloutResponse(rollout=self._verb(request, caller, self._plain(commands.promote, request)))

    def postpone(self, request: pb.PostponeRolloutRequest, caller: Principal) -> pb.PostponeRolloutResponse:
        """Let a phase begin no earlier than at a time."""
        not_before = time_of("not_before", request.not_before)

        def make(state: RolloutState) -> Sequence[Entry]:
            check_phase(state, request.phase)
            check_not_past(state, request.phase, not_before, self._now())
            return commands.postpone(
                state, self._now(), phase=request.phase, not_before=not_before, reason=request.reason
            )

        return pb.PostponeRolloutResponse(rollout=self._verb(request, caller, make))

    def abort(self, request: pb.AbortRolloutRequest, caller: Principal) -> pb.AbortRolloutResponse:
        """Take the candidate's weight away; in force when this returns, also where the store fails."""
        make = self._plain(commands.abort, request)
        return pb.AbortRolloutResponse(rollout=self._verb(request, caller, make, zero_ahead_of=request.name))

    def approve(self, request: pb.ApproveRolloutRequest, caller: Principal) -> pb.ApproveRolloutResponse:
        """Sign for a role."""
        _check_signature(caller, request.role)

        def make(state: RolloutState) -> Sequence[Entry]:
            check_phase(state, request.phase)
            return commands.approve(
                state,
                self._now(),
                phase=request.phase,
                role=request.role,
                statement=request.statement,
                reason=request.reason,
                actor=caller.name,
                evidence_digest=request.evidence_digest,
                overrides_calendar=request.overrides_calendar,
            )

        return pb.ApproveRolloutResponse(rollout=self._verb(request, caller, make))

    def deny(self, request: pb.DenyRolloutRequest, caller: Principal) -> pb.DenyRolloutResponse:
        """Refuse for a role."""
        _check_signature(caller, request.role)

        def make(state: RolloutState) -> Sequence[Entry]:
            check_phase(state, request.phase)
            return commands.deny(state, self._now(), phase=request.phase, role=request.role, reason=request.reason)

        return pb.DenyRolloutResponse(rollout=self._verb(request, caller, make))

    def revoke(self, request: pb.RevokeApprovalRequest, caller: Principal) -> pb.RevokeApprovalResponse:
        """Take a signature back."""
        _check_signature(caller, request.role)

        def make(state: RolloutState) -> Sequence[Entry]:
            check_phase(state, request.phase)
            return commands.revoke(state, self._now(), phase=request.phase, role=request.role, reason=request.reason)

        return pb.RevokeApprovalResponse(rollout=self._verb(request, caller, make))

    def report_incident(self, request: pb.ReportIncidentRequest, caller: Principal) -> pb.ReportIncidentResponse:
        """Open an incident."""

        def make(state: RolloutState) -> Sequence[Entry]:
            return commands.report_incident(
                state,
                self._now(),
                incident_id=request.incident_id,
                critical=request.critical,
                description=request.description,
            )

        return pb.ReportIncidentResponse(rollout=self._verb(request, caller, make))

    def resolve_incident(self, request: pb.ResolveIncidentRequest, caller: Principal) -> pb.ResolveIncidentResponse:
        """Close an incident."""

        def make(state: RolloutState) -> Sequence[Entry]:
            return commands.resolve_incident(state, self._now(), incident_id=request.incident_id, reason=request.reason)

        return pb.ResolveIncidentResponse(rollout=self._verb(request, caller, make))

    def acknowledge(self, request: pb.AcknowledgeRolloutRequest, caller: Principal) -> pb.AcknowledgeRolloutResponse:
        """Say that somebody looks after the hold."""
        make = self._plain(commands.acknowledge, request)
        return pb.AcknowledgeRolloutResponse(rollout=self._verb(request, caller, make))

    def acquire_lease(self, request: pb.AcquireLeaseRequest, caller: Principal) -> pb.AcquireLeaseResponse:
        """Give, renew or take back the right to write decisions."""
        del caller
        check_request(request)
        seconds = lease_seconds(request, DEFAULT_SECONDS)

        def run(connection: Connection) -> bytes:
            leases = self._journal.leases
            if request.release:
                lease = leases.release(connection, request.target, request.holder)
            else:
                lease = leases.acquire(connection, request.target, request.holder, seconds)
            response = pb.AcquireLeaseResponse(epoch=lease.epoch)
            response.expire_time.FromDatetime(lease.expire_time)
            return response.SerializeToString()

        answer = self._journal.commit(lambda connection: self._remembered(connection, request, run))
        return pb.AcquireLeaseResponse.FromString(answer)

    def commit_decision(self, request: pb.CommitDecisionRequest, caller: Principal) -> pb.CommitDecisionResponse:
        """Judge one tick again and write what follows from it, all or none."""
        check_request(request)
        check_decision(request)
        name = rollout_name("name", request.name)
        author = Author(caller.name, request.request_id, epoch=request.epoch, is_verified=caller.is_authenticated)
        rolls_back = any(entry.HasField("rollback_started") for entry in request.entries)

        def run(connection: Connection) -> Written:
            return self._journal.append(
                connection,
                name,
                request.entries,
                author,
                expected_sequence=request.expected_sequence,
                judge=self._judge.judge,
            )

        written = self._once(request, caller, name, run, zero_ahead_of=name if rolls_back else "")
        if written.state.is_terminal:
            self._judge.forget(name)
        return pb.CommitDecisionResponse(entries=written.entries, rollout=self._views.picture(written.state))

    def _plain(self, command: Callable[..., list[Entry]], request: Any) -> Make:
        return lambda state: command(state, self._now(), reason=request.reason)

    def _now(self) -> datetime:
        return self._journal.clock()

    def _verb(self, request: Any, caller: Principal, make: Make, zero_ahead_of: str = "") -> pb.Rollout:
        check_request(request)
        name = rollout_name("name", request.name)

        def run(connection: Connection) -> Written:
            try:
                entries = make(self._journal.current(connection, name))
            except CommandRefused as error:
                raise CallError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    str(error),
                    reason=error.reason_code,
                    metadata={"rollout": name},
                ) from error
            return self._journal.append(connection, name, entries, _author(request, caller))

        return self._views.picture(self._once(request, caller, name, run, zero_ahead_of).state)

    def _once(
        self,
        request: Any,
        caller: Principal,
        name: str,
        run: Callable[[Connection], Written],
        zero_ahead_of: str = "",
    ) -> Written:
        """What `run` wrote, or what the same request of the same caller wrote before."""
        done: list[Written] = []

        def receipt(connection: Connection) -> bytes:
            written = run(connection)
            done.append(written)
            return json.dumps([entry.sequence for entry in written.entries]).encode()

        answer = self._journal.commit(lambda connection: self._remembered(connection, request, receipt), zero_ahead_of)
        if done:
            return done[0]
        sequences = json.loads(answer)
        entries = tuple(self._journal.entries(name, sequences[0] - 1, sequences[-1]))
        if entries[0].actor != caller.name:
            # Two people who sign alike sign twice: the second must not be shown the first one's signature as his own.
            raise reused(request, f"by {entries[0].actor}")
        return Written(self._journal.state_at(name, sequences[-1]), entries)

    def _remembered(self, connection: Connection, request: Any, run: Callable[[Connection], bytes]) -> bytes:
        return once_for(connection, request, run, self._now())


def _author(request: Any, caller: Principal) -> Author:
    return Author(
        caller.name,
        request.request_id,
        is_verified=caller.is_authenticated,
        reason=getattr(request, "reason", ""),
    )


def _check_signature(caller: Principal, role: str) -> None:
    """Refuse a signature that is not the caller's to give.

    Raises:
        CallError: PERMISSION_DENIED.
    """
    if not caller.may_sign_for(role):
        raise CallError(
            grpc.StatusCode.PERMISSION_DENIED,
            f"{caller.name} may not sign for {role!r}, only for {', '.join(sorted(caller.signs_for)) or 'nobody'}",
            reason="SIGNATURE_NOT_ALLOWED",
            metadata={"role": role[:200]},
        )
