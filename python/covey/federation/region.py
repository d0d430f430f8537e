"""One region's side of a run: answers what may leave the region, masked, once per question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.federation.masks import Keyring
from covey.federation.questions import Asked, Numbers, StepSizes, StepSums, numbers_of, sizes_of, sums_of
from covey.parts.questions import ClusterSums, Conclude, CountLearners, LloydStep, Part

MINIMUM_GROUP_SIZE = 50
"""Learners that a number must be about, at the least."""


@dataclass(frozen=True, slots=True)
class _Last:
    number: int
    digest: bytes
    answer: NDArray[np.uint64]


class RegionSession:
    """Answers the questions of one run, in order.

    Args:
        part: the region's learners.
        keyring: joined with all regions.
        minimum_group_size: below it the region does not take part.

    Raises:
        InputError: the region has too few learners.
    """

    def __init__(self, part: Part, keyring: Keyring, minimum_group_size: int) -> None:
        count = int(part.answer(CountLearners()))
        if count < minimum_group_size:
            raise InputError(
                f"this region has fewer than {minimum_group_size} learners",
                remedy="leave it out: what it said would be about too few people",
            )
        self._part = part
        self._keyring = keyring
        self._last: _Last | None = None
        self._step: tuple[LloydStep, ClusterSums] | None = None
        self._kept: NDArray[np.bool_] | None = None

    def answer(self, number: int, digest: bytes, asked: Asked) -> NDArray[np.uint64]:
        """The masked answer; the same question again gives the same answer again.

        Args:
            number: of the question in the run, rising.
            digest: of the question as it came.
            asked: the question.

        Raises:
            InputError: the number was used for another question, or the question may not be asked now.
        """
        last = self._last
        if last is not None and number == last.number and digest == last.digest:
            return last.answer
        if number <= (0 if last is None else last.number):
            raise InputError(
                f"question {number} was answered, and this is another one",
                remedy="count questions up: two answers under one mask would betray their difference",
            )
        answer = self._keyring.masked(self._numbers(asked), number)
        self._last = _Last(number, digest, answer)
        return answer

    def _numbers(self, asked: Asked) -> Numbers:
        match asked:
            case StepSizes():
                self._step, self._kept = (asked.step, self._part.answer(asked.step)), None
                return sizes_of(self._step[1])
            case StepSums():
                if self._step is None or not _same(asked.step.centroids, self._step[0].centroids):
                    raise InputError("sums are told only of a step whose sizes were asked for", remedy="ask for sizes")
                self._kept = asked.kept
                return sums_of(self._step[1], asked.kept)
            case Conclude() if len(asked.new_labels) > 1 and not self._may_conclude(asked):
                raise InputError(
                    "a conclusion is told only of clusters whose sums were told",
                    remedy="ask for the sizes and sums of these centroids; all must be large enough",
                )
        return numbers_of(asked, self._part)

    def _may_conclude(self, asked: Conclude) -> bool:
        return (
            self._step is not None
            and self._kept is not None
            and _same(asked.centroids, self._step[0].centroids)
            and bool(self._kept[asked.new_labels >= 0].all())
        )


def _same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape == other.shape and bool((one == other).all())
