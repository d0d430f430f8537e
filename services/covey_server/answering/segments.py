"""Which segment a learner belongs to: what the caller names, or the stable variant's cohort when first met.

A cohort is a segment only if nothing that the rollout does can move a learner between cohorts. So it is computed before
the learner is routed, by the baseline (which is the stable variant) for both arms alike, and what is noted with the
first exposure is what holds from then on, in every phase of the rollout.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from covey import _core
from covey.v1 import analyzer_pb2, cohorts_pb2
from covey_server.answering.histories import history_of, microseconds_since_epoch
from covey_server.answering.online import as_message
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey_server.answering.histories import LearnerHistories
    from covey_server.answering.online import Question
    from covey_server.answering.variants_at_work import VariantsAtWork
    from covey_server.outcomes.exposures import ExposureLedger
    from covey_server.split import Split

NO_SEGMENT = ""
"""Of a learner whose cohort cannot be told: the question, or the stable variant, has no answer."""

_PART_OF_THE_TIME = 0.5


class LearnerSegments:
    """Tells the segment of a learner before the learner is routed.

    Args:
        at_work: runs the stable variant.
        histories: events of datasets.
        ledger: what was noted at first exposures.
    """

    def __init__(self, at_work: VariantsAtWork, histories: LearnerHistories, ledger: ExposureLedger) -> None:
        self._at_work = at_work
        self._histories = histories
        self._ledger = ledger

    def of(self, question: Question, split: Split | None, now: datetime, seconds_left: float = 0.0) -> str:
        """The segment of a question's learner.

        Args:
            question: about the learner.
            split: the traffic split in force.
            now: the instant for inline events of a question that names none.
            seconds_left: for the whole answer; 0: only what is known already is told.
        """
        if split is None or not split.segments_by_cohort:
            return question.segment
        if not split.phase or not question.learner_id:
            return NO_SEGMENT
        known = self._ledger.first_segment(split, question.learner_id)
        if known is not None or seconds_left <= 0:
            return known or NO_SEGMENT
        try:
            segment = self._computed(question, split.baseline, now, seconds_left * _PART_OF_THE_TIME)
        except CallError:
            # What is wrong with the question is for its answer to say.
            return NO_SEGMENT
        self._keep(split, question.learner_id, segment, now)
        return segment

    def of_many(
        self, questions: _core.LearnerQuestions, positions: Sequence[int], split: Split, now: datetime
    ) -> dict[int, str]:
        """Segments by position of plain questions; those that must be asked one by one are left out."""
        found: dict[int, str] = {}
        fresh: list[int] = []
        for position in positions:
            question = questions.question(position)
            known = self._ledger.first_segment(split, question.learner_id) if question and split.phase else NO_SEGMENT
            if known is None:
                fresh.append(position)
            else:
                found[position] = known
        engine = self._at_work.at_once(split.baseline, is_candidate=False) if fresh else None
        if engine is not None and engine.online is not None:
            answers = engine.online.answer_many(questions, fresh, microseconds_since_epoch(now))
            for position, answer in zip(fresh, answers, strict=True):
                found[position] = _of_answer(answer)
                question = questions.question(position)
                assert question is not None
                self._keep(split, question.learner_id, found[position], now)
        return found

    def _keep(self, split: Split, learner_id: str, segment: str, now: datetime) -> None:
        """Note the segment of a learner who gets no exposure that would."""
        if segment and split.excludes(segment):
            self._ledger.set_aside(split, learner_id, segment, now)

    def _computed(self, question: Question, stable: str, now: datetime, seconds: float) -> str:
        engine = self._at_work.at_once(stable, is_candidate=False)
        if isinstance(question, _core.LearnerQuestion) and engine is not None and engine.online is not None:
            as_of_us = microseconds_since_epoch(now) if question.as_of_us is None else question.as_of_us
            return _of_answer(engine.online.answer(question, as_of_us))
        events, as_of_us = history_of(as_message(question), self._histories, now)
        cohort = self._at_work.analyze(stable, events, as_of_us, is_candidate=False, timeout_seconds=seconds).cohort
        return NO_SEGMENT if cohort is None else segment_of_cohort(cohort)


def segment_of_cohort(cohort: cohorts_pb2.Cohort) -> str:
    """The name of a cohort as a segment, such as "cohort-2-specialist"."""
    if not cohort.archetype:
        return f"cohort-{cohort.index}"
    archetype = cohorts_pb2.Archetype.Name(cohort.archetype).removeprefix("ARCHETYPE_")
    return f"cohort-{cohort.index}-{archetype.lower().replace('_', '-')}"


def _of_answer(answer: bytes | None) -> str:
    if answer is None:
        return NO_SEGMENT
    response = analyzer_pb2.AnalyzeLearnerResponse.FromString(answer)
    return segment_of_cohort(response.cohort) if response.HasField("cohort") else NO_SEGMENT
