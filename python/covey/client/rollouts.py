"""Calls of RolloutService, one method per verb."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import grpc
from google.protobuf.duration_pb2 import Duration

from covey.client.failure import CallFailed, call_failed
from covey.client.names import rollout_name
from covey.client.retry import Connection, new_request_id
from covey.v1 import access_pb2, journal_pb2, rollout_spec_pb2
from covey.v1 import rollouts_pb2 as pb
from covey.v1.access_pb2_grpc import AccessServiceStub
from covey.v1.rollouts_pb2_grpc import RolloutServiceStub

TERMINAL_STATES = frozenset({pb.Rollout.STATE_SUCCEEDED, pb.Rollout.STATE_ROLLED_BACK, pb.Rollout.STATE_ABORTED})

_ENTRIES_PER_PAGE = 500
# A stream is opened afresh this often, so that a connection that died in silence is noticed.
_STREAM_SECONDS = 60.0
_DROPPED = frozenset({
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED,
})  # fmt: skip


class RolloutCalls(Connection):
    """What operators and controllers ask of the control port. Rollouts are named `rollouts/x` or `x`."""

    @cached_property
    def _rollout_stub(self) -> RolloutServiceStub:
        return self.stub(RolloutServiceStub, self.control)

    @cached_property
    def _access_stub(self) -> AccessServiceStub:
        return self.stub(AccessServiceStub, self.control)

    def get_caller(self) -> access_pb2.Caller:
        """Who this client's calls come from, as the server knows them, and what they may do."""
        return self.call(self._access_stub.GetCaller, access_pb2.GetCallerRequest(), self.control)

    def create_rollout(
        self, rollout_id: str, spec: rollout_spec_pb2.RolloutSpec, *, request_id: str | None = None
    ) -> pb.Rollout:
        """Records a spec as DRAFT."""
        identifier = rollout_name(rollout_id).removeprefix("rollouts/")
        request = pb.CreateRolloutRequest(rollout_id=identifier, spec=spec, request_id=new_request_id(request_id))
        return self.call(self._rollout_stub.CreateRollout, request, self.control)

    def get_rollout(self, name: str) -> pb.Rollout:
        """The rollout with the verdicts of the last tick."""
        return self.call(self._rollout_stub.GetRollout, pb.GetRolloutRequest(name=rollout_name(name)), self.control)

    def list_rollouts(self, *, active_only: bool = False) -> Iterator[pb.Rollout]:
        """Every rollout, page by page."""
        request = pb.ListRolloutsRequest(active_only=active_only)
        for page in self.pages(self._rollout_stub.ListRollouts, request, self.control, 100):
            yield from page.rollouts

    def list_entries(self, name: str, *, omit_ticks: bool = False) -> Iterator[journal_pb2.Entry]:
        """The journal in order, page by page."""
        request = pb.ListEntriesRequest(parent=rollout_name(name), omit_ticks=omit_ticks)
        for page in self.pages(self._rollout_stub.ListEntries, request, self.control, _ENTRIES_PER_PAGE):
            yield from page.entries

    def list_records(self, name: str) -> Iterator[journal_pb2.ListRecordsResponse]:
        """Pages of the journal as it is stored, in order."""
        request = journal_pb2.ListRecordsRequest(parent=rollout_name(name))
        yield from self.pages(self._rollout_stub.ListRecords, request, self.control, _ENTRIES_PER_PAGE)

    def watch_rollout(
        self,
        name: str,
        *,
        after_sequence: int = 0,
        give_up_seconds: float = 60.0,
        stop_after_seconds: float | None = None,
        on_dropped: Callable[[CallFailed], None] | None = None,
    ) -> Iterator[pb.WatchRolloutResponse]:
        """The rollout now and after every entry, until it has ended.

        A dropped stream is opened again after the last sequence seen, so no entry is missed or seen twice.

        Args:
            name: the rollout.
            after_sequence: entries after this one come first; 0: none of the past.
            give_up_seconds: how long the server may be away; one that was never there, only `timeout_seconds`.
            stop_after_seconds: ends the watch before the rollout ends; None: never.
            on_dropped: told of every drop, before the next attempt.

        Raises:
            CallFailed: the server refuses, or was away for longer than `give_up_seconds`.
        """
        seen, attempt = after_sequence, 0
        away_since: float | None = None
        is_known = False
        end = math.inf if stop_after_seconds is None else self.retry.monotonic() + stop_after_seconds
        while (left := end - self.retry.monotonic()) > 0:
            request = pb.WatchRolloutRequest(name=rollout_name(name), after_sequence=seen)
            failure: CallFailed | None = None
            stream = self._rollout_stub.WatchRollout(
                request, timeout=min(left, _STREAM_SECONDS), metadata=self.metadata
            )
            try:
                for message in stream:
                    is_news = message.entries or message.rollout.last_sequence > seen or seen == after_sequence
                    # A long past comes in several messages, each with the rollout as it is now.
                    sent = message.entries[-1].sequence if message.entries else message.rollout.last_sequence
                    seen, attempt, away_since, is_known = max(seen, sent), 0, None, True
                    if is_news:
                        yield message
                    if message.rollout.state in TERMINAL_STATES and seen >= message.rollout.last_sequence:
                        return
            except grpc.RpcError as error:
                failure = call_failed(error, self.control, _STREAM_SECONDS)
                if failure.code not in _DROPPED:
                    raise failure from error
            finally:
                stream.cancel()
            now = self.retry.monotonic()
            away_since = now if away_since is None else away_since
            patience = give_up_seconds if is_known else min(give_up_seconds, self.timeout_seconds)
            if failure is not None and now - away_since >= patience:
                raise self.explained(failure)
            if failure is not None and failure.code is not grpc.StatusCode.DEADLINE_EXCEEDED and on_dropped:
                on_dropped(failure)
            self.retry.sleep(min(self.retry.delay_seconds(attempt, None), max(end - now, 0.0)))
            attempt += 1

    def start_rollout(self, name: str, *, reason: str = "", request_id: str | None = None) -> pb.Rollout:
        """DRAFT to SCHEDULED."""
        request = pb.StartRolloutRequest(name=rollout_name(name), reason=reason, request_id=new_request_id(request_id))
        return self.call(self._rollout_stub.StartRollout, request, self.control).rollout

    def pause_rollout(self, name: str, *, reason: str = "", request_id: str | None = None) -> pb.Rollout:
        """Stops the phase timer and advancing; triggers go on."""
        request = pb.PauseRolloutRequest(name=rollout_name(name), reason=reason, request_id=new_request_id(request_id))
        return self.call(self._rollout_stub.PauseRollout, request, self.control).rollout

    def resume_rollout(self, name: str, *, reason: str = "", request_id: str | None = None) -> pb.Rollout:
        """Ends a pause."""
        request = pb.ResumeRolloutRequest(name=rollout_name(name), reason=reason, request_id=new_request_id(request_id))
        return self.call(self._rollout_stub.ResumeRollout, request, self.control).rollout

    def promote_rollout(self, name: str, *, reason: str, request_id: str | None = None) -> pb.Rollout:
        """Ends the wait of the phase."""
        request = pb.PromoteRolloutRequest(
            name=rollout_name(name), reason=reason, request_id=new_request_id(request_id)
        )
        return self.call(self._rollout_stub.PromoteRollout, request, self.control).rollout

    def postpone_rollout(
        self, name: str, phase: str, not_before: datetime, *, reason: str, request_id: str | None = None
    ) -> pb.Rollout:
        """Lets a phase begin no earlier than an instant (aware)."""
        if not_before.tzinfo is None:
            raise ValueError(f"{not_before.isoformat()} has no time zone; expected one, such as 2026-01-31T09:00:00Z")
        request = pb.PostponeRolloutRequest(
            name=rollout_name(name), phase=phase, reason=reason, request_id=new_request_id(request_id)
        )
        request.not_before.FromDatetime(not_before)
        return self.call(self._rollout_stub.PostponeRollout, request, self.control).rollout

    def abort_rollout(self, name: str, *, reason: str, request_id: str | None = None) -> pb.Rollout:
        """Takes the candidate's share to 0 before it returns."""
        request = pb.AbortRolloutRequest(name=rollout_name(name), reason=reason, request_id=new_request_id(request_id))
        return self.call(self._rollout_stub.AbortRollout, request, self.control).rollout

    def approve_rollout(
        self,
        name: str,
        phase: str,
        role: str,
        *,
        reason: str = "",
        statement: str = "",
        evidence_digest: str = "",
        overrides_calendar: bool = False,
        request_id: str | None = None,
    ) -> pb.Rollout:
        """Signs a phase, with `statement` the criterion that may be accepted by that role, or the calendar's override.

        With `evidence_digest` (`Rollout.evidence_digest` as it was seen) only while the criteria say the same.
        """
        request = pb.ApproveRolloutRequest(
            name=rollout_name(name), phase=phase, role=role, reason=reason, statement=statement,
            evidence_digest=evidence_digest, overrides_calendar=overrides_calendar,
            request_id=new_request_id(request_id),
        )  # fmt: skip
        return self.call(self._rollout_stub.ApproveRollout, request, self.control).rollout

    def deny_rollout(
        self, name: str, phase: str, role: str, *, reason: str, request_id: str | None = None
    ) -> pb.Rollout:
        """Refuses a phase."""
        request = pb.DenyRolloutRequest(
            name=rollout_name(name), phase=phase, role=role, reason=reason, request_id=new_request_id(request_id)
        )
        return self.call(self._rollout_stub.DenyRollout, request, self.control).rollout

    def revoke_approval(
        self, name: str, phase: str, role: str, *, reason: str, request_id: str | None = None
    ) -> pb.Rollout:
        """Takes a signature back."""
        request = pb.RevokeApprovalRequest(
            name=rollout_name(name), phase=phase, role=role, reason=reason, request_id=new_request_id(request_id)
        )
        return self.call(self._rollout_stub.RevokeApproval, request, self.control).rollout

    def report_incident(
        self, name: str, incident_id: str, description: str, *, critical: bool = False, request_id: str | None = None
    ) -> pb.Rollout:
        """Opens an incident; a critical one rolls back."""
        request = pb.ReportIncidentRequest(
            name=rollout_name(name), incident_id=incident_id, critical=critical, description=description,
            request_id=new_request_id(request_id),
        )  # fmt: skip
        return self.call(self._rollout_stub.ReportIncident, request, self.control).rollout

    def resolve_incident(
        self, name: str, incident_id: str, *, reason: str = "", request_id: str | None = None
    ) -> pb.Rollout:
        """Closes an incident."""
        request = pb.ResolveIncidentRequest(
            name=rollout_name(name), incident_id=incident_id, reason=reason, request_id=new_request_id(request_id)
        )
        return self.call(self._rollout_stub.ResolveIncident, request, self.control).rollout

    def acknowledge_rollout(self, name: str, *, reason: str = "", request_id: str | None = None) -> pb.Rollout:
        """Says that somebody looks after the hold."""
        request = pb.AcknowledgeRolloutRequest(
            name=rollout_name(name), reason=reason, request_id=new_request_id(request_id)
        )
        return self.call(self._rollout_stub.AcknowledgeRollout, request, self.control).rollout

    def acquire_lease(
        self,
        target: str,
        holder: str,
        *,
        time_to_live: timedelta | None = None,
        release: bool = False,
        request_id: str | None = None,
    ) -> pb.AcquireLeaseResponse:
        """For controllers: the right to write decisions, with its fencing number."""
        request = pb.AcquireLeaseRequest(
            target=target, holder=holder, release=release, request_id=new_request_id(request_id)
        )
        if time_to_live is not None:
            duration = Duration()
            duration.FromTimedelta(time_to_live)
            request.time_to_live.CopyFrom(duration)
        return self.call(self._rollout_stub.AcquireLease, request, self.control)

    def commit_decision(
        self,
        name: str,
        entries: Sequence[journal_pb2.Entry],
        *,
        epoch: int,
        expected_sequence: int,
        request_id: str | None = None,
    ) -> pb.CommitDecisionResponse:
        """For controllers: entries of one tick, all or none."""
        request = pb.CommitDecisionRequest(
            name=rollout_name(name), epoch=epoch, expected_sequence=expected_sequence, entries=entries,
            request_id=new_request_id(request_id),
        )  # fmt: skip
        return self.call(self._rollout_stub.CommitDecision, request, self.control)
