"""Many learners in one message: one kernel call per variant for the plain questions, the others one by one.

Every learner keeps a status of its own, is routed, counted and exposed by itself, and costs no other learner anything:
whatever is out of the ordinary goes the way of a single question.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import grpc
import numpy as np

from covey import _core
from covey.identifiers import candidate_buckets
from covey.v1 import analyzer_pb2
from covey_server.answering.admission import ARRIVAL
from covey_server.answering.engines import no_events
from covey_server.answering.histories import microseconds_since_epoch
from covey_server.answering.learner_calls import for_caller
from covey_server.answering.online import written
from covey_server.answering.routing import SHARD_SALT, Route, excluded, route, shards_of
from covey_server.errors import from_exception, rpc_status

if TYPE_CHECKING:
    from covey_server.answering.engines import AnalyzerEngine
    from covey_server.answering.learner_calls import Call, LearnerCalls
    from covey_server.answering.online import Question
    from covey_server.split import Split

Questions = _core.LearnerQuestions | analyzer_pb2.AnalyzeLearnersRequest
"""A message of questions as it was read."""

_OK = grpc.StatusCode.OK.name

_log = logging.getLogger("covey_server.calls")


def learner_count(questions: Questions) -> int:
    """How many learners a message asks about."""
    return len(questions if isinstance(questions, _core.LearnerQuestions) else questions.requests)


@dataclass(slots=True)
class _Results:
    """By position: the AnalyzeLearnerResponse, or the google.rpc.Status of a failure."""

    answers: list[bytes | None]
    failures: dict[int, bytes] = field(default_factory=dict)

    def fail(self, position: int, error: Exception) -> str:
        """Note a failure; returns the name of its code."""
        explained = for_caller(error) or error
        status = rpc_status(from_exception(explained, ARRIVAL.get().request_id))
        self.failures[position] = status.SerializeToString()
        return _CODE_NAMES[status.code]


@dataclass(frozen=True, slots=True)
class _Group:
    """Plain questions of a message that one variant answers at one instant.

    `segments` has those that the server knows, by position; without it they are what the questions name.
    """

    questions: _core.LearnerQuestions
    positions: list[int]
    where: Route
    segments: Mapping[int, str] | None
    now: datetime


class LearnerBatches:
    """Answers messages of questions.

    Args:
        calls: answers single questions; what it works with is used here too.
    """

    def __init__(self, calls: LearnerCalls) -> None:
        self._calls = calls

    def answer(self, questions: Questions, call: Call) -> bytes:
        """The AnalyzeLearnersResponse; every learner is counted.

        Args:
            questions: of the message.
            call: how it came in.
        """
        results = _Results([None] * learner_count(questions))
        singles: Sequence[int] = range(len(results.answers))
        if isinstance(questions, _core.LearnerQuestions) and not call.probed_variant and call.remaining_seconds() > 0:
            singles = self._answer_plain(questions, call, results)
        for position in singles:
            self._answer_single(questions, position, replace(call, started=time.monotonic()), results)
        return _core.learners_response(results.answers, results.failures)

    def _answer_plain(self, questions: _core.LearnerQuestions, call: Call, results: _Results) -> list[int]:
        """Answer what can be answered together; returns the positions of the rest."""
        now = self._calls.clock()
        split = self._calls.board.current(now)
        plain, rest = questions.plain_positions(), questions.other_positions()
        segments: dict[int, str] | None = None
        if split is not None and split.segments_by_cohort:
            segments = self._calls.segments.of_many(questions, plain, split, now)
            rest += [position for position in plain if position not in segments]
            plain = list(segments)
        for where, positions in self._routes(questions, plain, segments, split):
            group = _Group(questions, positions, where, segments, now)
            try:
                engine = self._calls.at_work.at_once(where.variant, is_candidate=where.is_candidate)
                if engine is None or not call.is_active():
                    rest += positions
                else:
                    self._answer_group(group, engine, replace(call, started=time.monotonic()), results)
            except Exception:
                # Not for all at once; each by itself finds out what that means for it.
                _log.exception("a message is answered learner by learner", extra={"variant": where.variant})
                rest += positions
        return sorted(rest)

    def _routes(
        self,
        questions: _core.LearnerQuestions,
        positions: list[int],
        segments: Mapping[int, str] | None,
        split: Split | None,
    ) -> list[tuple[Route, list[int]]]:
        """The plain questions by who answers them."""
        if split is None or not positions:
            return [(route("", split, self._calls.catalogue.stable()), positions)] if positions else []
        outside: list[int] = []
        if split.excluded_segments:
            outside, positions = _parted(questions, positions, segments, split)
        is_candidate = questions.buckets(split.uid, positions) < np.uint64(candidate_buckets(split.candidate_weight_bp))
        places = np.array(positions)
        groups = (
            (Route(split.baseline, split, is_candidate=False), places[~is_candidate].tolist()),
            (Route(split.candidate, split, is_candidate=True), places[is_candidate].tolist()),
            (excluded(split), outside),
        )
        return [(where, found) for where, found in groups if found]

    def _answer_group(self, group: _Group, engine: AnalyzerEngine, call: Call, results: _Results) -> None:
        assert engine.online is not None
        where, positions = group.where, group.positions
        answers = engine.online.answer_many(group.questions, positions, microseconds_since_epoch(group.now))
        codes: dict[str, list[int]] = {}
        if where.split is None and None not in answers:
            codes[_OK] = positions
            for position, answer in zip(positions, answers, strict=True):
                results.answers[position] = answer
        else:
            for position, answer in zip(positions, answers, strict=True):
                codes.setdefault(self._settled(group, position, answer, engine, results), []).append(position)
        if not call.is_active():
            late = "DEADLINE_EXCEEDED" if call.remaining_seconds() <= 0 else "CANCELLED"
            codes[late] = codes.get(late, []) + codes.pop(_OK, [])
        # Every learner took an equal share of what was done for all.
        seconds = (time.monotonic() - call.started) / len(positions)
        limits = where.split.limits_seconds if where.split else ()
        for code, counted in codes.items():
            shards = shards_of(group.questions.buckets(SHARD_SALT, counted))
            counted_as = where.counted_as or where.variant
            self._calls.book.count_many(call.method, counted_as, code, seconds, shards, limits=limits)

    def _settled(
        self, group: _Group, position: int, answer: bytes | None, engine: AnalyzerEngine, results: _Results
    ) -> str:
        """Put a learner's answer or failure among the results; returns the name of its code."""
        question = group.questions.question(position)
        assert question is not None
        try:
            if answer is None:
                now_us = microseconds_since_epoch(group.now)
                raise no_events(question.event_count, now_us if question.as_of_us is None else question.as_of_us)
            if group.where.split is not None:
                segment = question.segment if group.segments is None else group.segments[position]
                answer = self._calls.exposed(question, engine, group.where, segment, group.now, answer)
            results.answers[position] = answer
        except Exception as error:
            return results.fail(position, error)
        return _OK

    def _answer_single(self, questions: Questions, position: int, call: Call, results: _Results) -> None:
        question = _question_at(questions, position)
        if not call.is_active():
            self._calls.forget(question, call)
            results.failures[position] = b""
            return
        try:
            results.answers[position] = written(self._calls.answer(question, call, f"requests[{position}]"))
        except Exception as error:
            results.fail(position, error)


def _parted(
    questions: _core.LearnerQuestions, positions: Sequence[int], segments: Mapping[int, str] | None, split: Split
) -> tuple[list[int], list[int]]:
    """The plain questions of excluded segments, and the others."""
    inside: list[int] = []
    outside: list[int] = []
    for position in positions:
        question = questions.question(position)
        assert question is not None
        segment = question.segment if segments is None else segments[position]
        (outside if split.excludes(segment) else inside).append(position)
    return outside, inside


def _question_at(questions: Questions, position: int) -> Question:
    if not isinstance(questions, _core.LearnerQuestions):
        return questions.requests[position]
    return questions.question(position) or analyzer_pb2.AnalyzeLearnerRequest.FromString(questions.message(position))


_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
