"""What a region may be asked, and its answer as one vector of integers that can be masked and added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.parts.questions import (
    Answer,
    ClusterSums,
    Conclude,
    Conclusion,
    CountLearners,
    LloydStep,
    Part,
    Question,
    SquareDeviations,
)

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class StepSizes:
    """How many learners each cluster has after a step, and how many changed theirs."""

    step: LloydStep


@dataclass(frozen=True, eq=False, slots=True)
class StepSums:
    """The sums of the clusters that are large enough.

    Attributes:
        step: whose sizes were asked for before.
        kept: bool, shape (k,): clusters with enough learners over all regions.
    """

    step: LloydStep
    kept: NDArray[np.bool_]


Asked = CountLearners | StepSizes | StepSums | Conclude | SquareDeviations
"""Never `DrawSample` or `Race`, which single learners answer."""


def sizes_of(sums: ClusterSums) -> Numbers:
    """The answer to `StepSizes`."""
    return np.append(sums.sizes, sums.changed).astype(np.int64)


def sums_of(sums: ClusterSums, kept: NDArray[np.bool_]) -> Numbers:
    """The answer to `StepSums`: zeros for clusters that are not kept."""
    return np.where(kept[:, None], sums.coordinates, 0).astype(np.int64).ravel()


def numbers_of(asked: CountLearners | Conclude | SquareDeviations, part: Part) -> Numbers:
    """The answer of a part to a question that needs no other one before it."""
    answer: Any = part.answer(asked)
    if isinstance(asked, Conclude):
        concluded: Conclusion = answer
        return concluded.to_vector()
    return np.atleast_1d(np.asarray(answer, np.int64))


def answer_of(question: Question, numbers: Numbers) -> Answer:
    """The answer to a question of `covey.parts` that such numbers are; a Lloyd step has two, see `step_answer`."""
    match question:
        case CountLearners():
            return int(numbers[0])
        case Conclude():
            return Conclusion.from_vector(numbers, int(question.new_labels.max()) + 1)
        case SquareDeviations():
            return numbers
    raise InputError(f"{type(question).__name__} is answered by single learners", remedy="give k and initial centroids")


def step_answer(sizes_and_changed: Numbers, coordinates: Numbers) -> ClusterSums:
    """The answer to a Lloyd step."""
    sizes = sizes_and_changed[:-1]
    return ClusterSums(coordinates.reshape(len(sizes), -1), sizes, int(sizes_and_changed[-1]))
