"""Rooms of the control plane for tests: a real store, journal and port, and a plan to roll out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from covey.rollout import commands
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.spec import load_spec
from covey.rollout.state import RolloutState
from covey.v1 import journal_pb2, notifications_pb2, rollout_spec_pb2
from covey.v1 import rollouts_pb2 as pb
from covey.v1.rollouts_pb2_grpc import RolloutServiceStub
from covey_server.access.gate import open_gate
from covey_server.catalogue.catalogue import Catalogue
from covey_server.errors import CallError
from covey_server.ports.control_port import ControlPort, start_control_port
from covey_server.rollouts.journal import Journal
from covey_server.rollouts.journal_entries import Author, Written
from covey_server.rollouts.leases import Leases
from covey_server.split import SplitBoard
from covey_server.store import Store, open_store

REFERENCE, NATIVE = "variants/reference", "variants/native"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = """
target: analyzer
baseline: reference
candidate: native
tick_interval: 1s
phases:
  - name: canary
    traffic_share: 1 %
    hold: 10s
    criteria: [{statement: error_rate < 1 %, margin: 0}, {statement: p99 < 200 ms}]
    approvals: {roles: [engineering, finance]}
  - name: full
    traffic_share: 100 %
    hold: 10s
    criteria: [{statement: error_rate < 1 %, margin: 0}]
triggers: [{statement: error_rate > 1.5 %, tolerance: 0, sustained: 5s}]
"""


def plan(**changes: Any) -> rollout_spec_pb2.RolloutSpec:
    """A plan of two phases."""
    spec = load_spec(PLAN, "plan.yaml")
    spec.MergeFrom(rollout_spec_pb2.RolloutSpec(**changes))
    return spec


class Clock:
    """A wall clock moved by hand."""

    def __init__(self) -> None:
        self.now = START
        self._jumped = timedelta()

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return (self.now - self._jumped - START).total_seconds()

    def jump(self, seconds: float) -> None:
        """Set it; no time passes."""
        self.now += timedelta(seconds=seconds)
        self._jumped += timedelta(seconds=seconds)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Rooms:
    """What a server has of the control plane, without its ports."""

    def __init__(self, directory: Path, ballast_bytes: int = 0) -> None:
        self.clock = Clock()
        self.ballast_bytes = ballast_bytes
        self.store: Store = open_store(directory, ballast_bytes=ballast_bytes)
        self.catalogue = Catalogue(self.store, self.clock)
        self.catalogue.ensure_defaults()
        self.board = SplitBoard(self.clock.seconds)
        self.leases = Leases(self.store, self.clock, self.clock.seconds)
        self.journal = Journal(self.store, self.board, self.catalogue, self.clock, self.leases, self.clock.seconds)
        self.journal.load()

    def close(self) -> None:
        self.journal.zero_ahead.stop()
        self.store.close()

    def reopened(self) -> Rooms:
        """The rooms of the next server on the same directory."""
        self.close()
        again = Rooms(self.store.directory, self.ballast_bytes)
        again.clock.now = self.clock.now
        return again

    def create(self, name: str = "rollouts/x", **changes: Any) -> Written:
        entries = commands.create(name, f"uid-of-{name}", plan(**changes))
        return self.journal.commit(
            lambda connection: self.journal.create(connection, name, f"uid-of-{name}", entries, Author("ann"))
        )

    def append(self, *entries: journal_pb2.Entry, name: str = "rollouts/x", **arguments: Any) -> Written:
        author = arguments.pop("author", Author("controller"))
        return self.journal.commit(
            lambda connection: self.journal.append(connection, name, entries, author, **arguments)
        )

    def start(self, name: str = "rollouts/x") -> Written:
        return self.append(journal_pb2.Entry(started=journal_pb2.RolloutStarted()), name=name, author=Author("ann"))

    def enter(self, phase: str, weight_bp: int, name: str = "rollouts/x") -> Written:
        return self.append(entered(phase, weight_bp), name=name)

    def to_canary(self) -> Written:
        """A rollout in its first phase, its weight in force."""
        self.create()
        self.start()
        written = self.enter("canary", 100)
        self.clock.pass_time(1)
        return written

    def weight(self) -> int | None:
        """The candidate's weight in force now; None without a split."""
        split = self.board.current(self.clock.now)
        return None if split is None else split.candidate_weight_bp


def entered(phase: str, weight_bp: int) -> journal_pb2.Entry:
    """The entry with which a phase begins."""
    return journal_pb2.Entry(phase_entered=journal_pb2.PhaseEntered(phase=phase, candidate_weight_bp=weight_bp))


def tick(now: datetime = START, observed_seconds: int = 0) -> journal_pb2.Entry:
    """A look at which nothing was to be seen."""
    entry = journal_pb2.Entry(tick=journal_pb2.Tick())
    entry.tick.observed.seconds = observed_seconds
    entry.tick.observed_at.FromDatetime(now)
    return entry


def looked(
    now: datetime = START, weight_bp: int = 0, observed_seconds: int = 0, *, requests: int = 0, errors: int = 0
) -> journal_pb2.Entry:
    """A look at the page of one replica: the weight that it applies, the candidate's counters."""
    entry = tick(now, observed_seconds)
    page = entry.tick.readings.add(replica="a", server_start_time_seconds=1000.0, candidate_weight_bp=weight_bp)
    for variant, asked, failed in ((NATIVE, requests, errors), (REFERENCE, 100 * requests, 0)):
        counters = page.variants.add(variant=variant, request_count=asked, error_count=failed)
        counters.over_limits.add(limit_seconds=0.2)
    return entry


def decided(state: RolloutState, look: journal_pb2.Entry) -> list[journal_pb2.Entry]:
    """What a controller commits on a look."""
    return decide(state.spec, state, Evidence.from_tick(look.tick), look.tick.observed_at.ToDatetime(tzinfo=UTC))


def rollback(cause: journal_pb2.RollbackStarted.Cause.ValueType) -> journal_pb2.Entry:
    """The entry with which a rollback begins."""
    return journal_pb2.Entry(rollback_started=journal_pb2.RollbackStarted(cause=cause, explanation="it is bad"))


def finished(outcome: journal_pb2.RolloutFinished.Outcome.ValueType) -> journal_pb2.Entry:
    """The last entry of a journal."""
    return journal_pb2.Entry(finished=journal_pb2.RolloutFinished(outcome=outcome))


SUCCEEDED = journal_pb2.RolloutFinished.OUTCOME_SUCCEEDED
ROLLED_BACK = journal_pb2.RolloutFinished.OUTCOME_ROLLED_BACK
ABORTED = journal_pb2.RolloutFinished.OUTCOME_ABORTED
TRIGGER = journal_pb2.RollbackStarted.CAUSE_TRIGGER


class Caller:
    """A channel to a control port, with a request id for every call."""

    def __init__(self, port: int, actor: str = "ann") -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = RolloutServiceStub(self.channel)
        self.metadata = (("covey-actor", actor),)
        self._ids = itertools.count()

    def __call__(self, method: str, name: str = "rollouts/x", actor: str = "", **fields: Any) -> Any:
        """Call a verb; `name` and a fresh `request_id` are filled in where the request has them."""
        metadata = (("covey-actor", actor),) if actor else self.metadata
        files = (pb, journal_pb2, notifications_pb2)
        request_type = next(getattr(file, f"{method}Request") for file in files if hasattr(file, f"{method}Request"))
        known = request_type.DESCRIPTOR.fields_by_name
        if "name" in known:
            fields.setdefault("name", name)
        if "request_id" in known:
            fields.setdefault("request_id", f"{method}-{next(self._ids)}")
        return getattr(self.stub, method)(request_type(**fields), timeout=10, metadata=metadata)

    def create(self, rollout_id: str = "x", **changes: Any) -> pb.Rollout:
        made: pb.Rollout = self("CreateRollout", rollout_id=rollout_id, spec=plan(**changes))
        return made

    def started(self, rollout_id: str = "x") -> None:
        """Make and start a rollout."""
        self.create(rollout_id)
        self("StartRollout", name=f"rollouts/{rollout_id}")

    def lease(self, holder: str = "controller-1") -> int:
        epoch: int = self("AcquireLease", target="analyzer", holder=holder).epoch
        return epoch

    def to_canary(self, clock: Clock) -> int:
        """A rollout in its first phase, its weight in force; the epoch of the lease."""
        self.started()
        epoch = self.lease()
        self.enter_canary(epoch)
        clock.pass_time(1)
        return epoch

    def sign(self, phase: str, *roles: str, name: str = "rollouts/x") -> None:
        """Each role by a person of its own."""
        for role in roles:
            self("ApproveRollout", name, f"of-{role}", phase=phase, role=role)

    def enter_canary(self, epoch: int, name: str = "rollouts/x") -> pb.CommitDecisionResponse:
        """The first phase, signed, after a look at a replica."""
        rollout = self("GetRollout", name)
        signed = {approval.role for approval in rollout.approvals}
        self.sign("canary", *(role for role in rollout.spec.phases[0].approvals.roles if role not in signed), name=name)
        return self.commit(epoch, looked(), entered("canary", 100), name=name)

    def commit(self, epoch: int, *entries: journal_pb2.Entry, **fields: Any) -> pb.CommitDecisionResponse:
        """Commit on whatever the journal's last sequence is."""
        if "expected_sequence" not in fields:
            fields["expected_sequence"] = self("GetRollout", **_name_of(fields)).last_sequence
        answer: pb.CommitDecisionResponse = self("CommitDecision", epoch=epoch, entries=entries, **fields)
        return answer

    def entries(self, name: str = "rollouts/x") -> Sequence[journal_pb2.Entry]:
        found: Sequence[journal_pb2.Entry] = self("ListEntries", parent=name, page_size=1000).entries
        return found

    def close(self) -> None:
        self.channel.close()


def _name_of(fields: dict[str, Any]) -> dict[str, Any]:
    return {"name": fields["name"]} if "name" in fields else {}


@contextmanager
def control_port(rooms: Rooms) -> Iterator[ControlPort]:
    """The rooms behind a real port."""
    port = start_control_port("127.0.0.1:0", rooms.journal, open_gate())
    try:
        yield port
    finally:
        port.stop(1.0)


class Refusal:
    """What a failed call said, with its details."""

    def __init__(self, error: Any) -> None:
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details()
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.fields: list[str] = []
        self.retry_after_seconds: float | None = None
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            info, bad, retry = (
                error_details_pb2.ErrorInfo(),
                error_details_pb2.BadRequest(),
                error_details_pb2.RetryInfo(),
            )
            if detail.Unpack(info):
                assert info.domain == "covey"
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad):
                self.fields = [violation.field for violation in bad.field_violations]
            elif detail.Unpack(retry):
                self.retry_after_seconds = retry.retry_delay.ToNanoseconds() / 1e9


def refusal(call: Any, *arguments: Any, **fields: Any) -> Refusal:
    """The refusal of a call that must fail."""
    try:
        call(*arguments, **fields)
    except grpc.RpcError as error:
        return Refusal(error)
    raise AssertionError("the call succeeded")


def call_error(call: Callable[[], object]) -> CallError:
    """The refusal of a call in this process that must fail."""
    with pytest.raises(CallError) as refused:
        call()
    return refused.value
