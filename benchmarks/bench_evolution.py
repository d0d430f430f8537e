"""Cohorts and moves of 1M learners with 56M events at eight weekly instants, against polars, scikit-learn and pandas.

    python benchmarks/bench_evolution.py [--smoke]

Ours: traits at each instant (`covey.traits_over_time`), the nearest centroid of a model found at the first one, moves
between neighbouring instants with limits that allow for learners who differ. The rival makes less, counts of moves
without limits: one polars query over the events up to each instant (`rivals.polars_traits`, rows by learner, as ours),
scikit-learn's `KMeans.predict` with the same centroids, `pandas.crosstab`. Everything on one thread, from frames made
outside of what is timed.

What a profile said. One `TraitState` that meets each event once was thought to be the cheap way; it took 335 ns an
event and 1 to 2 us a learner and question, where the batch kernels read an event in 8 to 30 ns: reading all events
again at each of eight instants took a fifth of the time. `traits_at` now chooses (`is_read_again`), and both ways stand
in the notes. In what is left the kernels take seven tenths, moves and their limits most of the rest. Events after an
instant cost them twice to four times what a log that ends there does: blocks with such events go the general way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import harness
from bench_retention import events_of
from covey import Events
from covey.cohort_model import CohortModel, weighted_points
from covey.evolve import snapshots, transitions
from covey.parameters import TRAIT_NAMES, TraitParameters
from covey.traits_over_time import advanced, read_again
from workload import CAPABILITY_COUNT, START_SECONDS, WEEK_SECONDS, WEEKS, assert_same_traits, learners

CLAIMS_HERE = ("cohorts and moves at 8 weekly instants (1M learners, 56M events) over polars, scikit-learn and pandas",)
INSTANTS = tuple((START_SECONDS + (week + 1) * WEEK_SECONDS) * 1_000_000 - 1 for week in range(WEEKS))
COHORTS = 5
ROUNDS = 5
TIE = 1e-5
"""Of distances to the two nearest centroids: below it either may be called the nearest."""


def ours(events: Events, model: CohortModel, threads: int = 1) -> tuple[Any, Any]:
    """Snapshots and moves."""
    found = snapshots(events, INSTANTS, fixed_model=model, away_after_days=None, threads=threads)
    return found, transitions(found)


def polars_traits_at(frame: Any) -> Iterator[Any]:
    """One query per instant, over the events up to it."""
    import polars as pl

    from rivals import polars_traits

    for instant in INSTANTS:
        yield polars_traits.traits(frame.filter(pl.col("time_us") <= instant), CAPABILITY_COUNT, instant)


def theirs(tables: Iterable[Any], kmeans: Any, model: CohortModel) -> tuple[NDArray[np.int32], Any]:
    """Labels, shape (instants, n), and counts of moves, from a table of traits per instant."""
    import pandas as pd

    found = [
        kmeans.predict(np.ascontiguousarray(weighted_points(_matrix(table), model.trait_weights).T)) for table in tables
    ]
    labels = np.stack(found)
    return labels, pd.crosstab(labels[:-1].ravel(), labels[1:].ravel())


def _matrix(table: Any) -> NDArray[np.float32]:
    return np.stack([table[name].to_numpy() for name in TRAIT_NAMES]).astype(np.float32)


def fitted(model: CohortModel) -> Any:
    """scikit-learn's k-means that knows these centroids."""
    from sklearn.cluster import KMeans

    return KMeans(model.k, init=model.centroids, n_init=1, max_iter=1).fit(model.centroids)


def check(events: Events, frame: Any, model: CohortModel) -> None:
    """Both ways of ours and the rival say the same.

    Raises:
        AssertionError: a trait differs by more than 1e-6, or a state or a move by more than ties allow.
    """
    found, moves = ours(events, model)
    tables = list(polars_traits_at(frame))
    for item, table in zip(found.items, tables, strict=True):
        assert_same_traits({name: item.traits[name] for name in TRAIT_NAMES}, {n: table[n] for n in TRAIT_NAMES})
    labels, counts = theirs(tables, fitted(model), model)
    different = found.states != labels
    for number, learner in np.argwhere(different):
        point = weighted_points(found.items[number].traits.matrix[:, [learner]], model.trait_weights)
        distances = np.sort(np.linalg.norm(model.centroids - point.T, axis=1))
        assert distances[1] - distances[0] < TIE, f"learner {learner}: {distances[:2]}"
    whole = np.zeros_like(moves.counts)
    whole[np.ix_(counts.index, counts.columns)] = counts
    assert np.abs(moves.counts - whole).sum() <= 4 * different.sum()


def run(smoke: bool) -> list[harness.Row]:
    """The claim; the two ways to the traits, the moves alone, and two threads, as notes."""
    os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported, which asks once
    import pandas as pd
    import polars as pl
    import sklearn
    from threadpoolctl import threadpool_limits

    from rivals import polars_traits

    assert pl.thread_pool_size() == 1
    work = learners(10_000 if smoke else 1_000_000)
    events = replace(events_of(work), kind=work.kind, action_taken=work.action_taken)
    frame = polars_traits.frame(work.columns, by_learner=True)
    model = events.traits(INSTANTS[0]).discover(k=COHORTS).model
    parameters = TraitParameters()
    with threadpool_limits(1):
        check(events, frame, model)
        kmeans = fitted(model)
        found = ours(events, model)[0]
        states = found.states
        contenders: dict[str, Callable[[], Any]] = {
            "ours": lambda: ours(events, model),
            "polars, scikit-learn, pandas": lambda: theirs(polars_traits_at(frame), kmeans, model),
        }
        seconds = harness.interleave(contenders, rounds=3 if smoke else ROUNDS)
        parts: dict[str, Callable[[], Any]] = {
            "our traits, events read again": lambda: list(read_again(events, INSTANTS, parameters, 1)),
            "our moves with limits": lambda: transitions(found),
            "counts of moves by pandas.crosstab": lambda: pd.crosstab(states[:-1].ravel(), states[1:].ravel()),
        }
        if not smoke:
            parts["ours, two threads"] = lambda: ours(events, model, 2)
            parts["our traits, one state"] = lambda: list(advanced(events, INSTANTS, parameters))
        notes = seconds | harness.interleave(parts, rounds=1)
    for name, times in notes.items():
        harness.note(f"evolution, {len(work):,} events, {len(INSTANTS)} instants, {name}: {min(times):.3g} s at best")
    return [
        harness.claim_result(
            CLAIMS_HERE[0],
            ours=seconds["ours"],
            rival=seconds["polars, scikit-learn, pandas"],
            rival_name=f"polars {pl.__version__}, scikit-learn {sklearn.__version__}, pandas {pd.__version__}",
            unit="s",
            n=work.learner_count,
        )
    ]


if __name__ == "__main__":
    harness.main(run)
