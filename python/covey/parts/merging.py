"""Answers of several parts as the answer of one: sums are added, the best wins, samples are drawn from together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from covey.discovery import sample_positions
from covey.engine import engine_named
from covey.parts.questions import (
    Answer,
    ClusterSums,
    Conclude,
    Conclusion,
    CountLearners,
    DrawSample,
    LloydStep,
    Part,
    Question,
    Race,
    Sample,
    SquareDeviations,
    Winner,
)


def merged(question: Question, answers: Sequence[Answer]) -> Answer:
    """The answer of all who gave these, at least one of them, in any order."""
    match question:
        case CountLearners():
            return sum(answers)
        case DrawSample():
            return _drawn(question, answers)
        case Race():
            winners: list[Winner] = [winner for winner in answers if winner is not None]
            return min(winners, key=Winner.key, default=None)
        case LloydStep():
            return ClusterSums.from_vector(_added(answers), len(question.centroids))
        case Conclude():
            return Conclusion.from_vector(_added(answers), int(question.new_labels.max()) + 1)
        case SquareDeviations():
            return np.sum(answers, axis=0)


class PartGroup:
    """Parts that answer as one."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def answer(self, question: Question) -> Answer:
        """See `covey.parts.questions`."""
        return merged(question, [part.answer(question) for part in self._parts])


def _added(answers: Sequence[Any]) -> Any:
    return np.sum([answer.to_vector() for answer in answers], axis=0)


def _drawn(question: DrawSample, samples: Sequence[Sample]) -> Sample:
    hashes = np.concatenate([sample.hashes for sample in samples])
    points = np.ascontiguousarray(np.concatenate([sample.points for sample in samples], axis=1))
    positions = sample_positions(engine_named("native"), points, hashes, question.seed, question.size)
    return Sample(hashes[positions], np.ascontiguousarray(points[:, positions]))
