"""One learner's question from validation to the counted answer: route, decode, analyze, expose, shadow, measure.

Every request is counted exactly once, with the code that its caller gets, in `LearnerCalls.answer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc

from covey._core import LearnerQuestion
from covey.v1 import analyzer_pb2
from covey_server.answering.admission import overloaded
from covey_server.answering.engines import no_events
from covey_server.answering.histories import history_of, microseconds_since_epoch
from covey_server.answering.online import Question, as_message, with_token
from covey_server.answering.routing import Route, route, shard_of
from covey_server.answering.segments import LearnerSegments
from covey_server.catalogue.names import checked_learner_id
from covey_server.decoding import decode_packed
from covey_server.errors import CallError, invalid
from covey_server.metrics.counters import NO_VARIANT

if TYPE_CHECKING:
    from covey_server.answering.engines import AnalyzerEngine
    from covey_server.answering.histories import LearnerHistories
    from covey_server.answering.shadow import Shadow
    from covey_server.answering.variants_at_work import VariantsAtWork
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.metrics.counters import RequestBook
    from covey_server.outcomes.exposures import ExposureLedger
    from covey_server.split import Split, SplitBoard

_LONGEST_SEGMENT_BYTES = 64


@dataclass(slots=True)
class Call:
    """How a question came in.

    Attributes:
        method: for the metrics.
        started: `time.monotonic()` when it was submitted.
        remaining_seconds: of the caller's own deadline.
        is_active: whether the caller still waits.
        probed_variant: name of the variant that a probe asks; "" for a caller.
        refused: the server is overloaded and the answer is to say so.
    """

    method: str
    started: float
    remaining_seconds: Callable[[], float]
    is_active: Callable[[], bool]
    probed_variant: str = ""
    refused: bool = False


class LearnerCalls:
    """Answers questions about one learner.

    Args:
        board: the traffic split in force.
        catalogue: names the stable variant.
        at_work: runs the engine calls.
        histories: events of datasets.
        ledger: who was answered by what.
        shadow: is offered each answer for comparison.
        book: counts requests.
        deadline_seconds: for one question, from its submission.
        clock: the time, aware.

    What is public of these is for messages of many questions.
    """

    def __init__(
        self,
        *,
        board: SplitBoard,
        catalogue: Catalogue,
        at_work: VariantsAtWork,
        histories: LearnerHistories,
        ledger: ExposureLedger,
        shadow: Shadow,
        book: RequestBook,
        deadline_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.board = board
        self.catalogue = catalogue
        self.at_work = at_work
        self.segments = LearnerSegments(at_work, histories, ledger)
        self._histories = histories
        self._ledger = ledger
        self._shadow = shadow
        self.book = book
        self._deadline_seconds = deadline_seconds
        self.clock = clock

    def answer(self, request: Question, call: Call, path: str = "") -> analyzer_pb2.AnalyzeLearnerResponse | bytes:
        """The answer for one learner, counted; as bytes where the core wrote it.

        Args:
            request: the question.
            call: how it came in.
            path: of the question in its message, for violations: "" or such as "requests[3]".

        Raises:
            CallError: whatever is wrong with the question, the variant or the load.
        """
        now = self.clock()
        learner_id = request.learner_id
        where: Route | None = None
        code = "INTERNAL"
        try:
            split = self.board.current(now)
            segment = self._segment(request, call, split, now)
            where = self._route(learner_id, call, split, segment)
            response = self._answer(request, call, where, segment, now, path)
            code = "OK"
            return response
        except Exception as error:
            explained = for_caller(error)
            if explained is not None:
                code = explained.code.name
                if explained is not error:
                    raise explained from error
            raise
        finally:
            if code == "OK" and not call.is_active():
                code = "DEADLINE_EXCEEDED" if call.remaining_seconds() <= 0 else "CANCELLED"
            self._count(learner_id, call, where, code)

    def forget(self, request: Question, call: Call) -> None:
        """Count a question whose caller went away before its turn came."""
        now = self.clock()
        split = self.board.current(now)
        where = self._route(request.learner_id, call, split, self.segments.of(request, split, now))
        self._count(request.learner_id, call, where, "CANCELLED")

    def _segment(self, request: Question, call: Call, split: Split | None, now: datetime) -> str:
        if call.probed_variant:
            return request.segment
        return self.segments.of(request, split, now, 0.0 if call.refused else self._seconds_left(call))

    def _route(self, learner_id: str, call: Call, split: Split | None, segment: str) -> Route:
        return route(learner_id, split, self.catalogue.stable(), call.probed_variant, segment)

    def _count(self, learner_id: str, call: Call, where: Route | None, code: str) -> None:
        if call.probed_variant:
            return
        self.book.count(
            call.method,
            (where.counted_as or where.variant) if where else NO_VARIANT,
            code,
            time.monotonic() - call.started,
            shard=shard_of(learner_id) if learner_id else -1,
            limits=where.split.limits_seconds if where and where.split else (),
        )

    def _answer(
        self, request: Question, call: Call, where: Route, segment: str, now: datetime, path: str
    ) -> analyzer_pb2.AnalyzeLearnerResponse | bytes:
        if call.refused or self._seconds_left(call) <= 0:
            raise overloaded()
        if where.is_probe and where.is_candidate and where.split is not None and not where.split.runs_candidate:
            raise _at_rest(where)
        if isinstance(request, LearnerQuestion):
            engine = self.at_work.at_once(where.variant, is_candidate=where.is_candidate)
            if engine is not None:
                return self._answer_at_once(request, engine, where, segment, now)
        request = as_message(request)
        prefix = f"{path}." if path else ""
        learner_id = checked_learner_id(request.learner_id, f"{prefix}learner_id")
        if len(request.segment.encode()) > _LONGEST_SEGMENT_BYTES:
            raise invalid(f"{prefix}segment", f"is longer than {_LONGEST_SEGMENT_BYTES} bytes of UTF-8")
        events, as_of_us = history_of(request, self._histories, now, path)
        seconds_left = self._seconds_left(call)
        if seconds_left <= 0:
            raise overloaded()
        analysis = self.at_work.analyze(
            where.variant,
            events,
            as_of_us,
            is_candidate=where.is_candidate,
            timeout_seconds=seconds_left,
            candidate_weight_bp=where.split.candidate_weight_bp if where.split else 0,
            submitted=call.started,
        )
        response = analyzer_pb2.AnalyzeLearnerResponse(
            learner_id=learner_id, traits=analysis.traits, variant=where.variant
        )
        if analysis.cohort is not None and analysis.model is not None:
            response.cohort.CopyFrom(analysis.cohort)
            response.cohort_model = analysis.model.name
        if where.split is not None and not where.is_probe:
            response.exposure_token = self._ledger.record(
                where.split, learner_id, where.variant, segment, now, lambda: analysis.traits
            )
            self._shadow.offer(where, events, as_of_us, analysis)
        return response

    def _answer_at_once(
        self, question: LearnerQuestion, engine: AnalyzerEngine, where: Route, segment: str, now: datetime
    ) -> bytes:
        as_of_us = question.as_of_us
        if as_of_us is None:
            as_of_us = microseconds_since_epoch(now)
        assert engine.online is not None
        answer = engine.online.answer(question, as_of_us)
        if answer is None:
            raise no_events(question.event_count, as_of_us)
        if where.split is None or where.is_probe:
            return answer
        return self.exposed(question, engine, where, segment, now, answer)

    def exposed(
        self,
        question: LearnerQuestion,
        engine: AnalyzerEngine,
        where: Route,
        segment: str,
        now: datetime,
        answer: bytes,
    ) -> bytes:
        """An answer under a split, as it goes to its caller: noted by the ledger, and offered to the shadow."""
        assert where.split is not None
        token = self._ledger.record(
            where.split,
            question.learner_id,
            where.variant,
            segment,
            now,
            lambda: analyzer_pb2.AnalyzeLearnerResponse.FromString(answer).traits,
        )
        if self._shadow.draws(where):
            served = engine.with_cohort(analyzer_pb2.AnalyzeLearnerResponse.FromString(answer).traits)
            events = decode_packed(as_message(question).packed, "packed")
            self._shadow.take(where, events, served.traits.as_of.ToMicroseconds(), served)
        return with_token(answer, token)

    def _seconds_left(self, call: Call) -> float:
        return min(self._deadline_seconds - (time.monotonic() - call.started), call.remaining_seconds())


def for_caller(error: Exception) -> CallError | None:
    """The error as callers should see it (a store that cannot answer is UNAVAILABLE); None for an internal error."""
    if isinstance(error, CallError):
        return error
    from covey_server.catalogue.calls import store_unavailable
    from covey_server.store import StoreError

    return store_unavailable(error) if isinstance(error, StoreError) else None


def _at_rest(where: Route) -> CallError:
    """A probe of a candidate that nobody has let in yet, or that was taken out: it may be what ends the server."""
    return CallError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"{where.variant} is the candidate of a rollout that gives it nothing to do now; probe it during a phase",
        reason="CANDIDATE_AT_REST",
        metadata={"variant": where.variant},
    )
