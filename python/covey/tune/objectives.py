"""What a configuration is worth, on learners who had no part in making its cohorts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from covey.agreement import adjusted_rand_index
from covey.cohort_model import weighted_points
from covey.discovery import Run, by_descending_size
from covey.engine import engine_named, thread_count
from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.parameters import TraitParameters
from covey.tune.configuration import Configuration

if TYPE_CHECKING:
    from covey.events import Events

Numbers = NDArray[np.int64]

FEWEST_LEARNERS = 100
_SILHOUETTE_SAMPLE = 2_000
_PRIOR_LEARNERS = 5.0  # a cohort's mean outcome is drawn to that of all by so many
_MOST_KEPT = 64
_KEPT_BYTES = 256 * 1024 * 1024  # of matrices of traits; searches of all folds begin with the same configurations


class Goal(StrEnum):
    """Objectives."""

    stability = "stability"
    separation = "separation"
    outcome = "outcome"


@dataclass(eq=False, slots=True)
class Problem:
    """Events, an instant, and what is to be good.

    Attributes:
        events: of the learners.
        goal: "stability": adjusted Rand index of cohorts found on one half of the training learners with cohorts found
            on the other, on held-out learners; "separation": their silhouette; "outcome": how well the mean outcome of
            a learner's cohort foretells the learner's own: the area under the ROC curve of a yes-or-no outcome, else
            the part of the variance.
        as_of_us: of the traits.
        outcome: float64, a value per learner of the traits, not a number where it is not known; of that goal.
        threads: of the kernels.
    """

    events: Events
    goal: Goal
    as_of_us: int
    outcome: NDArray[np.float64] | None = None
    threads: int = 1
    ids: LearnerIds = field(init=False)
    hashes: NDArray[np.uint64] = field(init=False)
    _matrices: dict[TraitParameters, NDArray[np.float32]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        traits = self.events.traits(self.as_of_us, threads=self.threads)
        self.ids, self.hashes = traits.learner_ids, traits.learner_ids.hashes()
        self._matrices[traits.parameters] = traits.matrix

    @classmethod
    def of(
        cls, events: Events, goal: Goal, as_of: Any = None, outcomes: Any = None, threads: int | None = None
    ) -> Problem:
        """A problem.

        Args:
            events: of the learners.
            goal: what is to be good.
            as_of: instant of the traits; the newest event by default. With outcomes it must be given.
            outcomes: for that goal a pyarrow table of two columns, learner and value, a row per learner.
            threads: one per processor by default.

        Raises:
            InputError: an outcome without its goal or the other way round, without an instant, or one that is constant,
                no number, or known of too few learners; too few learners.
        """
        from covey.instants import instant_to_us

        if (goal is Goal.outcome) != (outcomes is not None):
            raise InputError(f"the goal is {goal} and outcomes are {'given' if outcomes is not None else 'not given'}",
                             expected="outcomes with the goal outcome, and only with it")  # fmt: skip
        if outcomes is not None and as_of is None:
            # At the newest event traits would hold what was done after the outcome, and foretell it by that.
            raise InputError("no as_of is given with the outcomes",
                             remedy="say until when events are looked at; outcomes must come after it")  # fmt: skip
        as_of_us = events.newest_us if as_of is None else instant_to_us(as_of)
        found = cls(events, goal, as_of_us, None, thread_count(threads))
        if outcomes is not None:
            found.outcome = _aligned(found.ids, outcomes)
        known = found.known
        if len(known) < FEWEST_LEARNERS:
            what = " whose outcome is known" if outcomes is not None else ""
            raise InputError(
                f"{len(known)} learners{what} are too few to tune by", expected=f"{FEWEST_LEARNERS} or more"
            )
        return found

    @property
    def known(self) -> Numbers:
        """Positions of the learners who can be judged."""
        if self.outcome is None:
            return np.arange(len(self.ids))
        return np.flatnonzero(np.isfinite(self.outcome))

    @property
    def unit(self) -> str:
        """What the score is."""
        if self.goal is Goal.outcome:
            return "area under the ROC curve" if self.is_binary else "part of the variance"
        return {Goal.stability: "adjusted Rand index", Goal.separation: "silhouette"}[self.goal]

    @property
    def is_binary(self) -> bool:
        """Whether the outcome is 0 or 1."""
        assert self.outcome is not None
        return bool(np.isin(self.outcome[self.known], (0.0, 1.0)).all())

    def points(self, configuration: Configuration) -> NDArray[np.float32]:
        """All learners in the weighted space of a configuration, shape (5, n)."""
        matrix = self._matrices.pop(configuration.parameters, None)
        if matrix is None:
            matrix = self.events.traits(self.as_of_us, configuration.parameters, threads=self.threads).matrix
            most = min(max(_KEPT_BYTES // matrix.nbytes, 2), _MOST_KEPT)
            while len(self._matrices) >= most:  # the one that was not asked for longest goes
                del self._matrices[next(iter(self._matrices))]
        self._matrices[configuration.parameters] = matrix
        return weighted_points(matrix, configuration.weights)

    def score(self, configuration: Configuration, training: Numbers, held_out: Numbers, seed: int) -> float:
        """The goal on held-out learners, of cohorts that were made of the training learners; larger is better."""
        points = self.points(configuration)
        if self.goal is Goal.stability:
            half = np.random.default_rng(seed).permutation(len(training)) < len(training) // 2
            one, other = (
                self._assigned(points, self._centroids(points, np.sort(part), configuration.k, seed), held_out)
                for part in (training[half], training[~half])
            )
            return adjusted_rand_index(one, other)
        centroids = self._centroids(points, training, configuration.k, seed)
        labels = self._assigned(points, centroids, held_out)
        if self.goal is Goal.separation:
            return self._silhouette(points, labels, held_out)
        before = self._assigned(points, centroids, training)
        return self._foretold(before, labels, training, held_out, configuration.k)

    def _centroids(self, points: NDArray[np.float32], training: Numbers, k: int, seed: int) -> NDArray[np.float32]:
        own = np.ascontiguousarray(points[:, training])
        run = Run(engine_named("native"), own, self.hashes[training], seed, self.threads)
        # Those of `find_clusters`, without the silhouette that it adds and that takes most of its time here. Where
        # fewer than k learners differ, there are fewer.
        found = run.cluster(run.seed_centroids(k))
        return by_descending_size(found.centroids, found.labels)[0]

    def _assigned(
        self, points: NDArray[np.float32], centroids: NDArray[np.float32], learners: Numbers
    ) -> NDArray[np.int32]:
        own = np.ascontiguousarray(points[:, learners])
        return engine_named("native").assign(own, centroids, self.threads)

    def _silhouette(self, points: NDArray[np.float32], labels: NDArray[np.int32], held_out: Numbers) -> float:
        chosen = np.argsort(self.hashes[held_out])[:_SILHOUETTE_SAMPLE]
        codes = np.unique(labels[chosen], return_inverse=True)[1].astype(np.int32)
        if codes.max() == 0:
            return 0.0
        own = np.ascontiguousarray(points[:, held_out[chosen]])
        return float(engine_named("native").silhouette(own, codes, int(codes.max()) + 1, self.threads))

    def _foretold(
        self, before: NDArray[np.int32], labels: NDArray[np.int32], training: Numbers, held_out: Numbers, k: int
    ) -> float:
        """From cohorts of the training learners and of those held out."""
        assert self.outcome is not None
        known, truth = self.outcome[training], self.outcome[held_out]
        count = np.bincount(before, minlength=k)
        mean = (np.bincount(before, known, k) + _PRIOR_LEARNERS * known.mean()) / (count + _PRIOR_LEARNERS)
        told = mean[labels]
        if not self.is_binary:
            return float(1 - ((truth - told) ** 2).sum() / max(((truth - known.mean()) ** 2).sum(), 1e-300))
        from scipy.stats import rankdata

        good = truth > 0
        pairs = int(good.sum()) * int((~good).sum())
        if not pairs:
            return 0.5
        return float((rankdata(told)[good].sum() - good.sum() * (good.sum() + 1) / 2) / pairs)


def _aligned(ids: LearnerIds, table: Any) -> NDArray[np.float64]:
    """A value per learner.

    Raises:
        InputError: see `Problem.of`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    name = table.column_names[1]
    values = table[name].combine_chunks()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):  # of a CSV file
        try:
            values = values.cast(pa.float64())
        except pa.ArrowInvalid as error:
            raise InputError(str(error).splitlines()[0], column=name, expected="numbers, such as 0 and 1") from None
    if not (pa.types.is_boolean(values.type) or pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise InputError("an outcome is a number, or true and false", column=name, expected="a numeric column")
    keys = table[table.column_names[0]].combine_chunks().cast(pa.large_string())
    if pc.count_distinct(keys, mode="all").as_py() < len(keys):
        raise InputError("a learner has two outcomes", column=table.column_names[0], expected="one row per learner")
    rows = pc.index_in(ids.to_arrow().cast(pa.large_string()), keys)
    taken = values.take(rows).cast(pa.int8() if pa.types.is_boolean(values.type) else values.type)
    aligned: NDArray[np.float64] = taken.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False).copy()
    known = aligned[np.isfinite(aligned)]
    if len(known) and known.min() == known.max():
        raise InputError(f"the outcome is {known[0]:g} for every learner: nothing foretells it", column=name)
    return aligned
