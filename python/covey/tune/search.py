"""Nested validation: what is chosen on some learners is judged on others, and only that is promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.tune.configuration import Configuration, Knobs
from covey.tune.objectives import Goal, Numbers, Problem

POPULATION = 12
_INNER_FOLDS = 3
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False, slots=True)
class Gain:
    """What tuning brought, over outer folds.

    Attributes:
        default, tuned: score of each fold, on its held-out learners.
        low, high: limits of the mean gain.
        p_value: of no gain, one-sided.
        confidence: of the limits.
    """

    default: NDArray[np.float64]
    tuned: NDArray[np.float64]
    low: float
    high: float
    p_value: float
    confidence: float

    @property
    def mean(self) -> float:
        """Mean gain."""
        return float((self.tuned - self.default).mean())

    @property
    def is_shown(self) -> bool:
        """Whether the limits are above 0."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Choice:
    """A configuration, and what it was chosen among.

    Attributes:
        best: the one with the best score.
        tried: (configuration, mean score of the inner folds) of all, in the order in which they were tried; the first
            is the default. The best score of many is too good by luck.
    """

    best: Configuration
    tried: tuple[tuple[Configuration, float], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Tuned:
    """A configuration, and what choosing one this way is worth.

    Attributes:
        problem: what was tuned for.
        default, best: before and after, chosen on all learners.
        tried: what `best` was chosen among, see `Choice`.
        chosen: of each outer fold; where they differ much, the data do not say which is best.
        gain: on held-out learners.
        trials: configurations tried for each choice.
        seed: of the folds and of the search.
    """

    problem: Problem
    default: Configuration
    best: Configuration
    tried: tuple[tuple[Configuration, float], ...]
    chosen: tuple[Configuration, ...]
    gain: Gain
    trials: int
    seed: int


def tune(
    problem: Problem,
    knobs: Knobs,
    *,
    trials: int = 60,
    folds: int = 5,
    seed: int = 0,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> Tuned:
    """Choose a configuration by differential evolution (scipy) and judge that way of choosing on held-out learners.

    Args:
        problem: what is to be good.
        knobs: what is turned; its base is the default that is compared.
        trials: configurations tried for each choice, in generations of 12; the default is always one of them.
        folds: outer folds, 3 or more: each learner is held out once.
        seed: of the folds and of the search.
        confidence: of the limits of the gain.
        progress: called with (what, done, total).

    Raises:
        InputError: for a number out of range.
    """
    if trials < 2 * POPULATION:
        raise InputError(f"{trials} trials", expected=f"{2 * POPULATION} or more")
    if not 3 <= folds <= 20:
        raise InputError(f"{folds} folds", expected="3 to 20")
    told = progress or (lambda *_: None)
    parts = outer_folds(problem, problem.known, folds, seed)
    chosen, default, tuned = [], [], []
    for number, (training, held_out) in enumerate(parts):
        told("tuning", number, folds + 1)
        own = choose(problem, knobs, training, trials, seed).best
        chosen.append(own)
        default.append(problem.score(knobs.base, training, held_out, seed))
        tuned.append(problem.score(own, training, held_out, seed))
    told("tuning", folds, folds + 1)
    found = choose(problem, knobs, problem.known, trials, seed)
    gain = gain_of(np.array(default), np.array(tuned), 1 / (folds - 1), confidence)
    return Tuned(problem, knobs.base, found.best, found.tried, tuple(chosen), gain, trials, seed)


def choose(problem: Problem, knobs: Knobs, learners: Numbers, trials: int, seed: int) -> Choice:
    """The best of some configurations by inner folds of these learners."""
    from scipy.optimize import differential_evolution
    from scipy.stats import qmc

    inner = outer_folds(problem, learners, _INNER_FOLDS, seed + 1)
    known: dict[Configuration, float] = {}

    def cost(point: NDArray[np.float64]) -> float:
        configuration = knobs.at(point)
        if configuration not in known:
            scores = [problem.score(configuration, training, held_out, seed) for training, held_out in inner]
            known[configuration] = -float(np.mean(scores))
        return known[configuration]

    start = qmc.LatinHypercube(knobs.dimensions, seed=np.random.default_rng(seed)).random(POPULATION)
    start[0] = knobs.point_of(knobs.base)
    # As it is, and not as the cube rounds it: it is what everything else must beat.
    known[knobs.at(start[0])] = -float(np.mean([problem.score(knobs.base, *own, seed) for own in inner]))
    differential_evolution(
        cost, [(0.0, 1.0)] * knobs.dimensions, init=start, maxiter=trials // POPULATION - 1, tol=0.0, polish=False,
        seed=np.random.default_rng(seed),
    )  # fmt: skip
    best = min(known, key=known.__getitem__)
    rounded = knobs.at(start[0])
    tried = tuple((knobs.base if own == rounded else own, -value) for own, value in known.items())
    return Choice(knobs.base if best == rounded else best, tried)


def outer_folds(problem: Problem, learners: Numbers, count: int, seed: int) -> list[tuple[Numbers, Numbers]]:
    """(training, held out) of each fold: learners by chance, the values of a yes-or-no outcome in equal parts."""
    order = np.random.default_rng(seed).permutation(learners)
    if problem.goal is Goal.outcome and problem.is_binary:
        assert problem.outcome is not None
        order = order[np.argsort(problem.outcome[order], kind="stable")]
    return [(np.sort(np.delete(order, np.s_[fold::count])), np.sort(order[fold::count])) for fold in range(count)]


def gain_of(default: NDArray[np.float64], tuned: NDArray[np.float64], held_out_share: float, confidence: float) -> Gain:
    """The mean gain over folds with limits that allow for training learners that folds share.

    Args:
        default: score of each fold.
        tuned: the same after tuning.
        held_out_share: held-out over training learners.
        confidence: of the limits.

    The corrected resampled t-test: Nadeau and Bengio, *Machine Learning* 52 (2003), equation 9.
    """
    from scipy.stats import t

    difference = tuned - default
    count = len(difference)
    spread = float(np.sqrt(difference.var(ddof=1) * (1 / count + held_out_share)))
    mean = float(difference.mean())
    if spread == 0.0:
        return Gain(default, tuned, mean, mean, 0.5 if mean == 0 else float(mean < 0), confidence)
    half = float(t.ppf((1 + confidence) / 2, count - 1)) * spread
    return Gain(default, tuned, mean - half, mean + half, float(t.sf(mean / spread, count - 1)), confidence)
