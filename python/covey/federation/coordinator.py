"""The one who asks: puts each question to every region at once, and reads only the total of what they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.federation.masks import unmasked
from covey.federation.questions import Asked, Numbers, StepSizes, StepSums, answer_of, step_answer
from covey.federation.region import MINIMUM_GROUP_SIZE
from covey.parts.questions import Answer, LloydStep, Question

Result = TypeVar("Result")


class Region(Protocol):
    """A region as its coordinator sees it, usually over gRPC."""

    def open(self) -> bytes:
        """Begin, for the region's public key."""

    def join(self, public_keys: Mapping[str, bytes]) -> None:
        """Tell the keys of all regions."""

    def ask(self, number: int, asked: Asked) -> NDArray[np.uint64]:
        """The masked answer to a question."""

    def close(self) -> None:
        """End; what the region kept for the run is forgotten."""


class RegionRefusedError(Exception):
    """A region did not answer, so that nothing can be read of what the others said.

    Attributes:
        region: its name.
        reason: what it, or the way to it, said.
    """

    def __init__(self, region: str, reason: Exception) -> None:
        super().__init__(f"region {region}: {reason}")
        self.region = region
        self.reason = reason


class Federation:
    """Regions that answer together: a context whose `ask` is for `discover_without_learners`.

    Args:
        regions: by name.
        minimum_group_size: learners over all regions that a sum must be about.

    Raises:
        RegionRefusedError: at entering it or at a question.
    """

    def __init__(self, regions: Mapping[str, Region], minimum_group_size: int = MINIMUM_GROUP_SIZE) -> None:
        if not regions:
            raise InputError("a federation needs a region")
        self._regions = dict(regions)
        self._minimum = minimum_group_size
        self._number = 0
        self._threads = ThreadPoolExecutor(len(self._regions), thread_name_prefix="region")

    def __enter__(self) -> Federation:
        try:
            keys = self._each(lambda _, region: region.open())
            self._each(lambda _, region: region.join(keys))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, question: Question) -> Sequence[Answer]:
        """The one answer of all regions together; see `covey.parts.questions.Ask`.

        Raises:
            InputError: for a question that single learners answer.
            RegionRefusedError: a region did not answer.
        """
        if not isinstance(question, LloydStep):
            return [answer_of(question, self._total(_allowed(question)))]
        sizes = self._total(StepSizes(question))
        kept = sizes[:-1] >= self._minimum
        return [step_answer(sizes, self._total(StepSums(question, kept)))]

    def _total(self, asked: Asked) -> Numbers:
        self._number += 1
        number = self._number
        answers = self._each(lambda _, region: region.ask(number, asked))
        return unmasked(list(answers.values()))

    def _each(self, work: Callable[[str, Region], Result]) -> dict[str, Result]:
        tasks = {name: self._threads.submit(work, name, region) for name, region in self._regions.items()}
        found = {}
        for name, task in tasks.items():
            try:
                found[name] = task.result()
            except Exception as error:
                raise RegionRefusedError(name, error) from error
        return found

    def _end(self) -> None:
        tasks = [self._threads.submit(region.close) for region in self._regions.values()]
        # A region that cannot be reached forgets by itself.
        for task in tasks:
            task.exception()
        self._threads.shutdown()


def _allowed(question: Question) -> Asked:
    if isinstance(question, Asked):
        return question
    raise InputError(f"{type(question).__name__} is answered by single learners", remedy="give k and initial centroids")
