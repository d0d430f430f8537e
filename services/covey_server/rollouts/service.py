"""RolloutService on asyncio: the loop only waits; what touches the store or computes runs in two small thread pools.

Mutations have a pool of their own, so that no amount of reading, listing or watching delays an abort.
"""
# ruff: noqa: N802 - methods have the names of the API

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import grpc

from covey.access.principals import Principal
from covey.v1 import notifications_pb2
from covey.v1 import rollouts_pb2 as pb
from covey.v1 import rollouts_pb2_grpc as pb_grpc
from covey.v1.journal_pb2 import ListRecordsRequest, ListRecordsResponse
from covey_server.access.callers import CALLER
from covey_server.errors import CallError, abort_aio, current_request_id, request_id
from covey_server.rollouts.desk import RolloutDesk
from covey_server.rollouts.journal import Journal
from covey_server.rollouts.outbox import Outbox
from covey_server.rollouts.views import RolloutViews, rollout_name
from covey_server.rollouts.watch import WatchHub
from covey_server.store import StoreError

WRITERS = 8
ROLLBACKS = 4
READERS = 4

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Any, Any]

_log = logging.getLogger("covey_server.rollouts")


class RolloutServicer(pb_grpc.RolloutServiceServicer):
    """The API of rollouts over one journal.

    Args:
        journal: folded and published (`Journal.load`).
        loop: where the calls are served.
    """

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self._journal = journal
        self._views = RolloutViews(journal)
        self._desk = RolloutDesk(journal, self._views)
        self._outbox = Outbox(journal)
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="rollout-write")
        # A store that hangs takes every thread that writes with it; who takes weight away has others.
        self._rollbacks = ThreadPoolExecutor(ROLLBACKS, thread_name_prefix="rollout-zero")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="rollout-read")
        self.hub = WatchHub(loop)
        journal.subscribe(lambda state: self.hub.notify(state.name))

    def warm_up(self) -> None:
        """Load what verdicts need while nobody waits: the first abort should not have to."""
        self._readers.submit(import_module, "scipy.special")

    def close(self) -> None:
        """End the threads once their work in hand is done."""
        self._writers.shutdown(wait=True, cancel_futures=True)
        self._rollbacks.shutdown(wait=True, cancel_futures=True)
        self._readers.shutdown(wait=True, cancel_futures=True)

    # Reads

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Context) -> pb.Rollout:
        """The rollout with its verdicts."""
        return await self._read(lambda: self._views.get(request.name), context)

    async def ListRollouts(self, request: pb.ListRolloutsRequest, context: Context) -> pb.ListRolloutsResponse:
        """A page of rollouts."""
        return await self._read(lambda: self._views.rollouts(request), context)

    async def ListEntries(self, request: pb.ListEntriesRequest, context: Context) -> pb.ListEntriesResponse:
        """A page of the journal."""
        return await self._read(lambda: self._views.entries(request), context)

    async def ListRecords(self, request: ListRecordsRequest, context: Context) -> ListRecordsResponse:
        """A page of the journal as it is stored."""
        return await self._read(lambda: self._views.records(request), context)

    async def WatchRollout(
        self, request: pb.WatchRolloutRequest, context: Context
    ) -> AsyncIterator[pb.WatchRolloutResponse]:
        """The rollout now, and after every entry until it is finished."""
        current_request_id.set(request_id(context))
        try:
            name = rollout_name("name", request.name)
            with self.hub.watcher(name) as watcher:
                sent: int | None = None
                while True:
                    message, is_last = await self._in(self._readers, partial(self._news, name, request, sent))
                    if message is not None:
                        sent = message.entries[-1].sequence if message.entries else message.rollout.last_sequence
                        yield message
                    if is_last:
                        return
                    if message is None or sent == message.rollout.last_sequence:
                        await watcher.wait()
        except Exception as error:
            await abort_aio(context, _for_callers(error))

    def _news(
        self, name: str, request: pb.WatchRolloutRequest, sent: int | None
    ) -> tuple[pb.WatchRolloutResponse | None, bool]:
        """The next message of a watch (None: nothing new), and whether none can follow it."""
        state = self._journal.state(name)
        after = sent if sent is not None else request.after_sequence or state.last_sequence
        if not 0 <= after <= state.last_sequence:
            raise CallError(
                grpc.StatusCode.OUT_OF_RANGE,
                f"after_sequence is {after}, the journal of {name} ends at {state.last_sequence}; ListEntries shows it",
                reason="OUT_OF_RANGE",
            )
        if sent == state.last_sequence:
            return None, state.is_terminal
        entries = self._views.news(name, after, state.last_sequence) if after < state.last_sequence else []
        is_complete = not entries or entries[-1].sequence == state.last_sequence
        message = pb.WatchRolloutResponse(rollout=self._views.picture(state), entries=entries)
        return message, state.is_terminal and is_complete

    # Verbs of operators

    async def CreateRollout(self, request: pb.CreateRolloutRequest, context: Context) -> pb.Rollout:
        """Check a spec and begin its journal."""
        return await self._write(self._desk.create, request, context)

    async def StartRollout(self, request: pb.StartRolloutRequest, context: Context) -> pb.StartRolloutResponse:
        """Hand a rollout to the controller."""
        return await self._write(self._desk.start, request, context)

    async def PauseRollout(self, request: pb.PauseRolloutRequest, context: Context) -> pb.PauseRolloutResponse:
        """Stop the phase timer; triggers go on."""
        return await self._write(self._desk.pause, request, context)

    async def ResumeRollout(self, request: pb.ResumeRolloutRequest, context: Context) -> pb.ResumeRolloutResponse:
        """Let the phase timer go on."""
        return await self._write(self._desk.resume, request, context)

    async def PromoteRollout(self, request: pb.PromoteRolloutRequest, context: Context) -> pb.PromoteRolloutResponse:
        """End the wait of the phase."""
        return await self._write(self._desk.promote, request, context)

    async def PostponeRollout(self, request: pb.PostponeRolloutRequest, context: Context) -> pb.PostponeRolloutResponse:
        """Let a phase begin no earlier than at a time."""
        return await self._write(self._desk.postpone, request, context)

    async def AbortRollout(self, request: pb.AbortRolloutRequest, context: Context) -> pb.AbortRolloutResponse:
        """Take the candidate's weight away, now."""
        return await self._write(self._desk.abort, request, context)

    async def ApproveRollout(self, request: pb.ApproveRolloutRequest, context: Context) -> pb.ApproveRolloutResponse:
        """Sign for a role."""
        return await self._write(self._desk.approve, request, context)

    async def DenyRollout(self, request: pb.DenyRolloutRequest, context: Context) -> pb.DenyRolloutResponse:
        """Refuse for a role."""
        return await self._write(self._desk.deny, request, context)

    async def RevokeApproval(self, request: pb.RevokeApprovalRequest, context: Context) -> pb.RevokeApprovalResponse:
        """Take a signature back."""
        return await self._write(self._desk.revoke, request, context)

    async def ReportIncident(self, request: pb.ReportIncidentRequest, context: Context) -> pb.ReportIncidentResponse:
        """Open an incident."""
        return await self._write(self._desk.report_incident, request, context)

    async def ResolveIncident(self, request: pb.ResolveIncidentRequest, context: Context) -> pb.ResolveIncidentResponse:
        """Close an incident."""
        return await self._write(self._desk.resolve_incident, request, context)

    async def AcknowledgeRollout(
        self, request: pb.AcknowledgeRolloutRequest, context: Context
    ) -> pb.AcknowledgeRolloutResponse:
        """Say that somebody looks after the hold."""
        return await self._write(self._desk.acknowledge, request, context)

    # For controllers

    async def AcquireLease(self, request: pb.AcquireLeaseRequest, context: Context) -> pb.AcquireLeaseResponse:
        """Give, renew or take back the right to write decisions."""
        return await self._write(self._desk.acquire_lease, request, context)

    async def CommitDecision(self, request: pb.CommitDecisionRequest, context: Context) -> pb.CommitDecisionResponse:
        """Write the entries of one tick, all or none."""
        return await self._write(self._desk.commit_decision, request, context)

    async def PullNotifications(
        self, request: notifications_pb2.PullNotificationsRequest, context: Context
    ) -> notifications_pb2.PullNotificationsResponse:
        """What a sink has not been told."""
        caller = CALLER.get()
        return await self._read(lambda: self._outbox.pull(request, caller), context)

    async def AdvanceNotifications(
        self, request: notifications_pb2.AdvanceNotificationsRequest, context: Context
    ) -> notifications_pb2.AdvanceNotificationsResponse:
        """Note that a sink has been told."""
        return await self._write(self._outbox.advance, request, context)

    # How calls are served

    async def _read(self, work: Callable[[], Response], context: Context) -> Response:
        current_request_id.set(request_id(context))
        try:
            return await self._in(self._readers, work)
        except Exception as error:
            await abort_aio(context, _for_callers(error))

    async def _write(
        self, work: Callable[[Request, Principal], Response], request: Request, context: Context
    ) -> Response:
        current_request_id.set(request_id(context))
        caller = CALLER.get()
        started = time.monotonic()
        code = grpc.StatusCode.OK
        try:
            pool = self._rollbacks if _takes_weight(request) else self._writers
            return await self._in(pool, lambda: work(request, caller))
        except Exception as error:
            told = _for_callers(error)
            code = told.code if isinstance(told, CallError) else grpc.StatusCode.INTERNAL
            await abort_aio(context, told)
        finally:
            milliseconds = round(1e3 * (time.monotonic() - started), 1)
            extra = {
                "actor": caller.name,
                "subject": _subject(request),
                "code": code.name,
                "milliseconds": milliseconds,
            }
            _log.info(type(request).__name__.removesuffix("Request"), extra=extra)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], Response]) -> Response:
        return await asyncio.get_running_loop().run_in_executor(pool, work)


def _subject(request: Any) -> str:
    """What a mutation is about: a rollout, or the target of a lease; empty where it is about neither."""
    return next((value for field in ("name", "rollout_id", "target") if (value := getattr(request, field, ""))), "")


def _takes_weight(request: Any) -> bool:
    if isinstance(request, pb.CommitDecisionRequest):
        return any(entry.HasField("rollback_started") for entry in request.entries)
    return isinstance(request, pb.AbortRolloutRequest)


def _for_callers(error: Exception) -> Exception:
    """A store that cannot answer is for callers to retry, with the remedy for whoever runs the server."""
    if isinstance(error, StoreError):
        _log.error("store: %s", error)
        return CallError(
            grpc.StatusCode.UNAVAILABLE,
            f"the store cannot answer: {error.problem}; nothing of this is in force. {error.remedy};"
            " a retry with the same request_id is safe",
            reason="STORE_UNAVAILABLE",
            retry_after_seconds=1.0,
        )
    return error
