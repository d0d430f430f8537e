"""The search of `covey tune`, trials one after another, against polars, scikit-learn and the same trials.

    python benchmarks/bench_tuning.py [--smoke]

Ours: `covey.tune.search.choose`, 24 trials of trait parameters, weights and k by differential evolution, each judged by
three inner folds: traits of 20,000 learners with 1.1M events, k-means to convergence of the training learners, and of
the held-out ones the silhouette of a sample of 2,000 (separation), or how far cohorts of two halves agree (stability).
The rival replays the very trials: traits by polars (`rivals.polars_traits`, rows by learner), scikit-learn's `KMeans`
from the same first centroids, which it is given, its `silhouette_score` of the same sample and its
`adjusted_rand_score`. Optuna would choose other trials; to choose costs nothing beside a trial. Everything on one
thread.

Scores must agree to 1e-6 in nine of ten trials and to 1e-3 in all: where rounding puts a learner on the other side of a
border, k-means goes on from there, and a label counts whole. Among 20,000 learners that was one trial of 24 for each
objective, by 2e-5 to 4e-5 and by 3e-4; the others agreed to 2e-8, and all ranks were the same.

What a profile said. Six tenths of a search were silhouettes of 10,000 training learners that come with cohorts and that
the search never looked at, another eighth a count of the training learners that differ, which the seeding of k-means
finds anyway. Without both the same scores take a fraction of the time (docs/tuning.md). In what is left traits,
k-means and silhouettes share most of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import harness
from bench_retention import events_of
from covey import Events
from covey.cohort_model import weighted_points
from covey.discovery import Run
from covey.engine import engine_named
from covey.parameters import TRAIT_NAMES
from covey.tune.configuration import Configuration, Knobs
from covey.tune.objectives import Goal, Problem
from covey.tune.search import Choice, choose, outer_folds
from workload import CAPABILITY_COUNT, learners

CLAIMS_HERE = (
    "a search of 24 trials for separation over polars and scikit-learn, same trials",
    "a search of 24 trials for stability over polars and scikit-learn, same trials",
)
TRIALS = 24
INNER_FOLDS = 3
SILHOUETTE_SAMPLE = 2_000
MOST_ITERATIONS = 300
SEED = 0
ROUNDS = 5
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """Learners whose cohorts are made, and the centroids to begin with."""

    learners: Numbers
    initial: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fold:
    """One inner fold of a trial: one part for separation, two for stability; and who is judged."""

    parts: tuple[Part, ...]
    held_out: Numbers
    sample: Numbers


def ours(events: Events, goal: Goal) -> tuple[Problem, Choice]:
    """The search, from the events."""
    problem = Problem.of(events, goal, threads=1)
    return problem, choose(problem, Knobs(Configuration.default(5)), problem.known, TRIALS, SEED)


def folds_of(problem: Problem, configuration: Configuration) -> list[Fold]:
    """What the rival is given of a trial: who is in which part, and where k-means begins."""
    points = problem.points(configuration)
    found = []
    for training, held_out in outer_folds(problem, problem.known, INNER_FOLDS, SEED + 1):
        halves = np.random.default_rng(SEED).permutation(len(training)) < len(training) // 2
        chosen = [training] if problem.goal is Goal.separation else [training[halves], training[~halves]]
        parts = []
        for own in chosen:
            taken = np.ascontiguousarray(points[:, own])
            run = Run(engine_named("native"), taken, problem.hashes[own], SEED, 1)
            parts.append(Part(own, run.seed_centroids(configuration.k)))
        sample = held_out[np.argsort(problem.hashes[held_out])[:SILHOUETTE_SAMPLE]]
        found.append(Fold(tuple(parts), held_out, sample))
    return found


def theirs(frame: Any, as_of_us: int, trials: list[tuple[Configuration, list[Fold]]], goal: Goal) -> list[float]:
    """The score of every trial."""
    from rivals import polars_traits

    scores = []
    for configuration, folds in trials:
        table = polars_traits.traits(frame, CAPABILITY_COUNT, as_of_us, configuration.parameters)
        matrix = np.stack([table[name].to_numpy() for name in TRAIT_NAMES]).astype(np.float32)
        rows = np.ascontiguousarray(weighted_points(matrix, configuration.weights).T)
        scores.append(float(np.mean([_score(rows, fold, goal) for fold in folds])))
    return scores


def _score(rows: NDArray[np.float32], fold: Fold, goal: Goal) -> float:
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    models = [
        KMeans(len(part.initial), init=part.initial, n_init=1, max_iter=MOST_ITERATIONS, tol=0).fit(rows[part.learners])
        for part in fold.parts
    ]
    if goal is Goal.stability:
        return float(adjusted_rand_score(*(model.predict(rows[fold.held_out]) for model in models)))
    own = rows[fold.sample]
    labels = models[0].predict(own)
    return float(silhouette_score(own, labels)) if len(np.unique(labels)) > 1 else 0.0


def run(smoke: bool) -> list[harness.Row]:
    """Both claims."""
    os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported, which asks once
    import polars as pl
    import sklearn
    from threadpoolctl import threadpool_limits

    from rivals import polars_traits

    assert pl.thread_pool_size() == 1
    work = learners(1_000 if smoke else 20_000)
    events = replace(events_of(work), kind=work.kind, action_taken=work.action_taken)
    frame = polars_traits.frame(work.columns, by_learner=True)
    rows = []
    with threadpool_limits(1):
        for claim, goal in zip(CLAIMS_HERE, (Goal.separation, Goal.stability), strict=True):
            problem, choice = ours(events, goal)
            trials = [(configuration, folds_of(problem, configuration)) for configuration, _ in choice.tried]
            own = [score for _, score in choice.tried]
            differences = np.abs(np.subtract(own, theirs(frame, problem.as_of_us, trials, goal)))
            worst = float(differences.max())
            assert np.mean(differences <= 1e-6) >= 0.9 and worst <= 1e-3, f"{goal}: scores differ by {differences}"
            contenders: dict[str, Callable[[], Any]] = {
                "ours": lambda goal=goal: ours(events, goal),
                "rival": lambda trials=trials, goal=goal, at=problem.as_of_us: theirs(frame, at, trials, goal),
            }
            seconds = harness.interleave(contenders, rounds=3 if smoke else ROUNDS)
            best = {name: min(times) / len(trials) * 1e3 for name, times in seconds.items()}
            harness.note(
                f"tuning for {goal}, {len(trials)} trials: {best['ours']:.1f} ms a trial at best, the rival "
                f"{best['rival']:.1f} ms; scores differ by {worst:.1g}"
            )
            rows.append(
                harness.claim_result(
                    claim,
                    ours=seconds["ours"],
                    rival=seconds["rival"],
                    rival_name=f"polars {pl.__version__}, scikit-learn {sklearn.__version__}",
                    unit="s",
                    n=work.learner_count,
                )
            )
    return rows


if __name__ == "__main__":
    harness.main(run)
