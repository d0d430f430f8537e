"""Callers of everything that writes: seeded, one call after the other, the same again where its fate is unknown."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

import grpc
from server.rollout_rooms import decided, looked, plan
from server.running import Stubs, history, question

from covey.rollout.state import fold
from covey.v1 import analyzer_pb2, datasets_pb2, journal_pb2, outcomes_pb2
from covey.v1 import rollouts_pb2 as pb

from .ledger import Ledger

CHUNK_EVENTS = 20
_UNKNOWN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
_CALL_SECONDS = 20.0
_WEIGHT_WITHIN_SECONDS = 5.0  # one is its own; the rest is for a machine that does other things too


class ServerDiedError(Exception):
    """The server is gone; the fate of the call in hand is unknown."""


class LostError(Exception):
    """What was acknowledged is not there."""


class Workload:
    """A controller, an operator and a pipeline of events in one.

    Args:
        seed: of what is done in which order.
        aborts: whether rollouts are aborted now and then; else the first one lasts.
    """

    def __init__(self, seed: int, *, aborts: bool = True) -> None:
        self.ledger = Ledger()
        self.synced_chunks = self.outcomes_stored = 0
        self.call_count = 0
        self._abort_weight = 1 if aborts else 0
        self._chance = Random(seed)
        self._ids = itertools.count()
        self._numbers = itertools.count()
        self._stubs: Stubs | None = None
        self._in_hand: Callable[[], None] | None = None
        self._rollout: pb.Rollout | None = None
        self._epoch = 0
        self._has_dataset = False
        self._touched: set[str] = set()
        self._surprises: list[str] = []

    def run(self, stubs: Stubs, calls: int | None = None) -> None:
        """Call until the server dies, or so many times.

        Raises:
            ServerDiedError: it did.
        """
        self._stubs = stubs
        for _ in itertools.count() if calls is None else range(calls):
            self._once(self._next())

    def settle(self, stubs: Stubs) -> None:
        """Make the call again whose fate is unknown.

        Raises:
            ServerDiedError: the server did.
        """
        self._stubs = stubs
        if self._in_hand is not None:
            self._tried(self._in_hand)

    def touch_all(self) -> None:
        """Let the next look at `problems` compare every rollout."""
        self._touched = set(self.ledger.rollouts)

    def problems(self) -> list[str]:
        """Everything that is lost, doubled or illegal in the rollouts touched since the last look."""
        assert self._stubs is not None
        found, self._surprises = self._surprises, []
        for name in sorted(self._touched):
            found += self.ledger.check(name, self._pages(name))
        self._touched = {self._rollout.name} if self._rollout is not None else set()
        for name, weight_bp in self.ledger.weights_bp.items():
            found += self._served(name, weight_bp)
        try:
            chunks = self._append_nothing()
        except LostError as error:
            return [*found, str(error)]
        if self._has_dataset and not self.synced_chunks <= chunks <= self.synced_chunks + 1:
            found.append(f"datasets/d: lost or doubled: {chunks} chunks are synced, {self.synced_chunks} acknowledged")
        return found

    def _served(self, rollout: str, weight_bp: int) -> list[str]:
        """What is wrong with the traffic split: it is the journal's, at most a second late."""
        until, request = time.monotonic() + _WEIGHT_WITHIN_SECONDS, analyzer_pb2.GetServerInfoRequest()
        while True:
            split = self._data(lambda stubs: stubs.analyzer.GetServerInfo(request, timeout=20)).active_split
            served = (split.rollout, split.candidate_weight_bp)
            if served == (rollout, weight_bp) or time.monotonic() > until:
                break
            time.sleep(0.02)
        said = f"{rollout}: served is the weight of {served}, the journal says {weight_bp}"
        return [] if served == (rollout, weight_bp) else [said]

    # What is called

    def _next(self) -> Callable[[], None]:
        if not self._has_dataset:
            return self._create_dataset
        if self._rollout is None:
            return self._begin_rollout()
        state = self._rollout.state
        if state == pb.Rollout.STATE_DRAFT:
            return self._verb("StartRollout")
        if not self._epoch:
            return self._lease()
        if self._rollout.missing_roles and state in {pb.Rollout.STATE_SCHEDULED, pb.Rollout.STATE_AWAITING_APPROVAL}:
            role = self._rollout.missing_roles[0]
            return self._verb("ApproveRollout", phase="canary", role=role)
        if state in {pb.Rollout.STATE_SCHEDULED, pb.Rollout.STATE_AWAITING_APPROVAL, pb.Rollout.STATE_ROLLING_BACK}:
            return self._decide()
        choices: list[tuple[float, Callable[[], Callable[[], None]]]] = [
            (10, self._decide),
            (4, self._append),
            (4, self._report_outcome),
            (6, self._analyze),
            (2, self._lease),
            (2, lambda: self._verb("ResumeRollout" if self._is_paused() else "PauseRollout")),
            (2, self._incident),
            (2, lambda: self._verb("ApproveRollout", phase="full", role="engineering")),
            (self._abort_weight, lambda: self._verb("AbortRollout", reason="enough")),
        ]
        (chosen,) = self._chance.choices([each for _, each in choices], [weight for weight, _ in choices])
        return chosen()

    def _is_paused(self) -> bool:
        return self._rollout is not None and self._rollout.paused

    def _begin_rollout(self) -> Callable[[], None]:
        number = next(self._numbers)
        request = pb.CreateRolloutRequest(rollout_id=f"x{number}", spec=plan(), request_id=self._request_id("create"))
        self.ledger.rollouts.append(f"rollouts/x{number}")
        self._touched.add(f"rollouts/x{number}")

        def call() -> None:
            made = self._control("CreateRollout", request)
            if made is not None:
                self._follow(made)

        return call

    def _verb(self, method: str, **fields: Any) -> Callable[[], None]:
        assert self._rollout is not None
        request_type = getattr(pb, f"{method}Request")
        request = request_type(name=self._rollout.name, request_id=self._request_id(method), **fields)

        def call() -> None:
            answer = self._control(method, request)
            if answer is None:
                self._refresh()
                return
            self._follow(answer.rollout)

        return call

    def _incident(self) -> Callable[[], None]:
        assert self._rollout is not None
        if self._rollout.open_incidents:
            return self._verb("ResolveIncident", incident_id=self._rollout.open_incidents[0].incident_id)
        return self._verb("ReportIncident", incident_id=f"incident-{self.call_count}", description="a page is slow")

    def _decide(self) -> Callable[[], None]:
        """What a controller commits on a look at which there is nothing to see."""
        assert self._rollout is not None
        listed = pb.ListEntriesRequest(parent=self._rollout.name, page_size=1000)
        state = fold(self._data(lambda stubs: stubs.rollouts.ListEntries(listed, timeout=_CALL_SECONDS)).entries)
        if state.last_sequence < self._rollout.last_sequence:
            return partial(self._lose, f"lost: {state.name} ends with entry {state.last_sequence}")
        if state.is_terminal:
            return self._refresh
        request = pb.CommitDecisionRequest(
            name=self._rollout.name,
            epoch=self._epoch,
            expected_sequence=state.last_sequence,
            entries=decided(state, looked(weight_bp=state.candidate_weight_bp)),
            request_id=self._request_id("commit"),
        )

        def call() -> None:
            answer = self._control("CommitDecision", request)
            if answer is None:
                self._refresh()
                return
            self.ledger.acknowledge(request.name, answer.entries, answer.rollout.last_sequence)
            self._follow(answer.rollout)

        return call

    def _lose(self, what: str) -> None:
        raise LostError(what)

    def _lease(self) -> Callable[[], None]:
        request = pb.AcquireLeaseRequest(
            target="analyzer", holder="workload", request_id=self._request_id("lease"), time_to_live={"seconds": 300}
        )

        def call() -> None:
            answer = self._control("AcquireLease", request)
            assert answer is not None, "nobody else asks for it"
            if answer.epoch < self._epoch:
                raise LostError(f"lost: the lease of epoch {self._epoch}; it is {answer.epoch} now")
            self._epoch = answer.epoch

        return call

    def _create_dataset(self) -> None:
        request = analyzer_pb2.CreateDatasetRequest(dataset_id="d", request_id="create d")
        self._data(lambda stubs: stubs.analyzer.CreateDataset(request, timeout=_CALL_SECONDS))
        self._has_dataset = True

    def _append(self) -> Callable[[], None]:
        def call() -> None:
            answers = self._data(lambda stubs: self._append_to(stubs, self.synced_chunks + 1))
            if answers[0].synced_chunk_sequence < self.synced_chunks:
                raise LostError(f"lost: chunk {self.synced_chunks} of datasets/d, which was acknowledged")
            self.synced_chunks = answers[-1].synced_chunk_sequence
            if answers[-1].synced_event_count != self.synced_chunks * CHUNK_EVENTS:
                raise LostError(f"doubled: {answers[-1].synced_event_count} events in {self.synced_chunks} chunks")

        return call

    def _append_to(self, stubs: Stubs, number: int) -> list[datasets_pb2.AppendEventsResponse]:
        packed = history(number, CHUNK_EVENTS, newest_us=1_790_000_000_000_000)
        packed.learner_id_dictionary.values.extend(["ann", "bob"])
        packed.learner_id_dictionary.indices_uint8 = bytes([0, 1] * (CHUNK_EVENTS // 2))
        first = datasets_pb2.AppendEventsRequest(dataset="datasets/d", append_id="a")
        chunk = datasets_pb2.AppendEventsRequest(chunk_sequence=number, packed=packed)
        return list(stubs.analyzer.AppendEvents(iter([first, chunk]), timeout=_CALL_SECONDS))

    def _append_nothing(self) -> int:
        """Chunks that the server has."""
        if not self._has_dataset:
            return 0

        def ask(stubs: Stubs) -> Iterator[datasets_pb2.AppendEventsResponse]:
            first = datasets_pb2.AppendEventsRequest(dataset="datasets/d", append_id="a")
            answers: Iterator[datasets_pb2.AppendEventsResponse] = stubs.analyzer.AppendEvents(
                iter([first]), timeout=_CALL_SECONDS
            )
            return answers

        (answer,) = list(self._data(ask))
        return int(answer.synced_chunk_sequence)

    def _report_outcome(self) -> Callable[[], None]:
        request = outcomes_pb2.ReportOutcomesRequest(request_id=self._request_id("outcome"))
        outcome = request.outcomes.add(learner_id=f"learner-{self._chance.randrange(100)}", metric="revenue", value=1.0)
        outcome.time.FromSeconds(1_790_000_000)

        def call() -> None:
            self._data(lambda stubs: stubs.outcomes.ReportOutcomes(request, timeout=_CALL_SECONDS))
            self.outcomes_stored += 1

        return call

    def _analyze(self) -> Callable[[], None]:
        asked = question(f"learner-{self._chance.randrange(100_000)}")

        def call() -> None:
            try:
                self._data(lambda stubs: stubs.analyzer.AnalyzeLearner(asked, timeout=_CALL_SECONDS))
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error

        return call

    # How it is called

    def _request_id(self, what: str) -> str:
        made = f"{what} {next(self._ids)}"
        self.ledger.sent.add(made)
        return made

    def _once(self, call: Callable[[], None]) -> None:
        self._in_hand = call
        self._tried(call)
        self.call_count += 1

    def _tried(self, call: Callable[[], None]) -> None:
        try:
            call()
        except LostError as error:
            self._surprises.append(str(error))
            self._rollout, self._has_dataset = None, False
        self._in_hand = None

    def _control(self, method: str, request: Any) -> Any:
        """The answer; None where it was refused for good."""
        try:
            # Each role is signed for by somebody else.
            actor = (("covey-actor", f"of-{getattr(request, 'role', '')}"),)
            return self._data(
                lambda stubs: getattr(stubs.rollouts, method)(request, timeout=_CALL_SECONDS, metadata=actor)
            )
        except grpc.RpcError as error:
            assert error.code() in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED}, error
            self.ledger.refused.add(request.request_id)
            return None

    def _data(self, call: Callable[[Stubs], Any]) -> Any:
        assert self._stubs is not None
        try:
            answer = call(self._stubs)
            return list(answer) if isinstance(answer, Iterator) else answer
        except grpc.RpcError as error:
            if error.code() in _UNKNOWN:
                raise ServerDiedError from error
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise LostError(f"lost: {error.details()}") from error
            raise

    def _refresh(self) -> None:
        assert self._rollout is not None
        self._follow(self._control("GetRollout", pb.GetRolloutRequest(name=self._rollout.name)))

    def _follow(self, rollout: pb.Rollout) -> None:
        self.ledger.acknowledge(rollout.name, [], rollout.last_sequence)
        self._touched.add(rollout.name)
        ended = {pb.Rollout.STATE_SUCCEEDED, pb.Rollout.STATE_ROLLED_BACK, pb.Rollout.STATE_ABORTED}
        self._rollout = None if rollout.state in ended else rollout

    def _pages(self, name: str) -> list[journal_pb2.ListRecordsResponse]:
        pages: list[journal_pb2.ListRecordsResponse] = []
        token = ""
        while True:
            request = journal_pb2.ListRecordsRequest(parent=name, page_size=1000, page_token=token)
            try:
                page = self._data(lambda stubs, request=request: stubs.rollouts.ListRecords(request, timeout=20))
            except LostError:
                return pages
            pages.append(page)
            token = page.next_page_token
            if not token:
                return pages
