"""A part of the learners in the memory of this process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.cohort_model import weighted_points
from covey.discovery import MAX_ITERATIONS, sample_positions
from covey.engine import engine_named
from covey.fixed_point import group_sums, squared_deviations
from covey.parts.questions import (
    Answer,
    ClusterSums,
    Conclude,
    Conclusion,
    CountLearners,
    DrawSample,
    LloydStep,
    Points,
    Question,
    Race,
    Sample,
    SquareDeviations,
    Winner,
)


class LocalPart:
    """Learners by traits and hashed ids. What it remembers between questions only saves time.

    Args:
        matrix: float32, shape (d, n): traits, unweighted, each in [0, 1].
        hashes: uint64, shape (n,): of the ids (`LearnerIds.hashes`).
        trait_weights: d weights with sum 1.
        threads: of the core.
        isa: implementation of the core's kernels; the best one by default.

    Attributes:
        matrix: as given.
        labels: int32, shape (n,): after `Conclude`.
    """

    def __init__(
        self,
        matrix: NDArray[np.float32],
        hashes: NDArray[np.uint64],
        trait_weights: tuple[float, ...],
        threads: int = 1,
        isa: str | None = None,
    ) -> None:
        self.labels: NDArray[np.int32] | None = None
        self.matrix = matrix
        self._hashes = hashes
        self._points = weighted_points(matrix, trait_weights)
        # Known beforehand and the same for every part: a trait is in [0, 1].
        ones = np.ones((len(matrix), 1), dtype=np.float32)
        self._ranges = np.stack([np.zeros(len(matrix), np.float32), weighted_points(ones, trait_weights)[:, 0]])
        self._threads = threads
        self._isa = isa
        self._race: tuple[int, Points, _core.PartialSeeding] | None = None
        self._clustering: tuple[Points, _core.PartialKMeans] | None = None

    def answer(self, question: Question) -> Answer:
        """See `covey.parts.questions`."""
        match question:
            case CountLearners():
                return len(self._hashes)
            case DrawSample():
                return self._sample(question)
            case Race():
                return self._winner(question)
            case LloydStep():
                return self._step(question)
            case Conclude():
                return self._conclude(question)
            case SquareDeviations():
                return squared_deviations(self.matrix, question.means)

    def _sample(self, question: DrawSample) -> Sample:
        engine = engine_named("native")
        positions = sample_positions(engine, self._points, self._hashes, question.seed, question.size)
        return Sample(self._hashes[positions], np.ascontiguousarray(self._points[:, positions]))

    def _winner(self, question: Race) -> Winner | None:
        centroids = question.centroids
        seed, known, race = self._race or (-1, centroids, None)
        if race is None or seed != question.seed or not _equal(known, centroids[: len(known)]):
            race = _core.PartialSeeding(self._points, self._hashes, question.seed, threads=self._threads, isa=self._isa)
            known = centroids[:0]
        for centroid in centroids[len(known) :]:
            race.add_centroid(np.ascontiguousarray(centroid))
        self._race = (question.seed, centroids, race)
        found = race.winner(len(centroids))
        if found is None:
            return None
        score, id_hash, position = found
        return Winner(score, id_hash, tuple(self._points[:, position].tolist()))

    def _step(self, question: LloydStep) -> ClusterSums:
        self._race = None
        if question.before is None:
            clustering = self._begin(question.centroids)
        else:
            clustering = self._at(question.before)
            clustering.step(question.centroids)
        self._clustering = (question.centroids, clustering)
        return ClusterSums(clustering.sums, clustering.sizes, clustering.changed)

    def _conclude(self, question: Conclude) -> Conclusion:
        labels, squared = self._at(question.centroids).finish()
        self._clustering = None
        self.labels = question.new_labels[labels]
        k = int(question.new_labels.max()) + 1
        return Conclusion(group_sums(self.matrix, self.labels, k), squared)

    def _at(self, centroids: Points) -> _core.PartialKMeans:
        """The iterations where the labels are those for some centroids: the ones under way, or new ones."""
        if self._clustering is not None and _equal(self._clustering[0], centroids):
            return self._clustering[1]
        return self._begin(centroids)

    def _begin(self, centroids: Points) -> _core.PartialKMeans:
        return _core.PartialKMeans(
            self._points, centroids, self._ranges, MAX_ITERATIONS, threads=self._threads, isa=self._isa
        )


def _equal(one: Points, other: Points) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()
