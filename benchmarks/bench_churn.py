"""Features of churn at four instants, 1M learners with 56M events, against polars and pandas.

    python benchmarks/bench_churn.py [--smoke]

Ours: the times of all learners put together once, then at each of four weekly instants all 23 columns of every learner
(counts in six windows, silence, pauses, habits, tenure) and the first event after it, one thread. The rivals make less:
events and active days in the last 1, 3, 7, 14 and 28 days and the days since the newest event, of the learners active
in the last 28; each from a frame made outside of what is timed. They read only the rows of those days, and count each
learner's days once for all windows; polars with its lazy engine on one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

import harness
from bench_retention import events_of
from covey import _core
from covey.churn.definition import DAY_US
from covey.churn.features import History
from workload import START_SECONDS, learners

CLAIMS_HERE = ("features of churn at 4 instants (1M learners, 56M events) over polars, equal threads",)
INSTANTS = tuple((START_SECONDS + day * 86_400) * 1_000_000 for day in (28, 35, 42, 49))
WINDOWS = (1, 3, 7, 14, 28)
ROUNDS = 5


def ours(events: Any, threads: int = 1) -> list[tuple[Any, Any]]:
    """Columns and next events at each instant."""
    history = History.of(events, threads)
    return [
        (
            _core.history_features(history.offsets, history.time_us, instant, threads),
            _core.next_events(history.offsets, history.time_us, instant, threads),
        )
        for instant in INSTANTS
    ]


def with_polars(frame: Any) -> list[Any]:
    """Ten counts and the silence at each instant, in polars."""
    import polars as pl

    found = []
    for instant in INSTANTS:
        day = (instant - 1 - pl.col("time")).floordiv(DAY_US).alias("day")
        recent = (pl.col("time") < instant) & (pl.col("time") >= instant - 28 * DAY_US)
        days = (
            frame.lazy()
            .filter(recent)
            .group_by("learner", day)
            .agg(pl.len().alias("events"), pl.col("time").max().alias("last"))
        )
        counts = [
            own
            for window in WINDOWS
            for own in (
                pl.col("events").filter(pl.col("day") < window).sum().alias(f"events_{window}d"),
                (pl.col("day") < window).sum().alias(f"active_days_{window}d"),
            )
        ]
        silent = ((instant - pl.col("last").max()) / DAY_US).alias("silent_days")
        found.append(days.group_by("learner").agg(*counts, silent).sort("learner").collect())
    return found


def with_pandas(frame: Any) -> list[Any]:
    """The same in pandas."""
    import pandas as pd

    found = []
    for instant in INSTANTS:
        recent = frame[(frame.time < instant) & (frame.time >= instant - 28 * DAY_US)]
        day = (instant - 1 - recent.time) // DAY_US
        days = recent.assign(day=day).groupby(["learner", "day"]).time.agg(["size", "max"]).reset_index()
        columns = {}
        for window in WINDOWS:
            inside = days[days.day < window].groupby("learner")["size"]
            columns[f"events_{window}d"] = inside.sum()
            columns[f"active_days_{window}d"] = inside.size()
        columns["silent_days"] = (instant - days.groupby("learner")["max"].max()) / DAY_US
        found.append(pd.DataFrame(columns).fillna(0))
    return found


def check(answer: list[tuple[Any, Any]], other: list[Any]) -> None:
    """A rival is right before it is slow.

    Raises:
        AssertionError: it says something else.
    """
    for (columns, _), theirs in zip(answer, other, strict=True):
        silent = columns[:, 15]
        active = np.flatnonzero(silent <= 28)
        assert np.array_equal(active, theirs["learner"].to_numpy())
        for place, window in enumerate(WINDOWS):
            assert np.array_equal(columns[active, place], theirs[f"events_{window}d"].to_numpy())
            assert np.array_equal(columns[active, 6 + place], theirs[f"active_days_{window}d"].to_numpy())
        assert np.allclose(silent[active], theirs["silent_days"].to_numpy(), rtol=1e-6)


def run(smoke: bool) -> list[harness.Row]:
    """The claim; pandas on a tenth of the learners, and two threads, as notes."""
    os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported, which asks once
    import pandas as pd
    import polars as pl

    assert pl.thread_pool_size() == 1
    work = learners(100_000 if smoke else 1_000_000)
    events = events_of(work)
    frame = pl.DataFrame({"learner": work.learner_index, "time": work.time_us})
    check(ours(events), with_polars(frame))
    few = slice(0, int(np.searchsorted(work.learner_index, work.learner_count // 10)))
    pandas_frame = pd.DataFrame({"learner": work.learner_index[few], "time": work.time_us[few]})
    contenders: dict[str, Callable[[], Any]] = {"ours": lambda: ours(events), "polars": lambda: with_polars(frame)}
    if not smoke:
        contenders["two threads"] = lambda: ours(events, 2)
    seconds = harness.interleave(contenders, rounds=ROUNDS)
    for name, times in seconds.items():
        harness.note(f"features of churn, {len(work):,} events, {name}: {min(times) * 1e3:.0f} ms at best")
    pandas_seconds = harness.interleave({"pandas": lambda: with_pandas(pandas_frame)}, rounds=1)
    harness.note(
        f"features of churn, {len(pandas_frame):,} events, pandas: {min(pandas_seconds['pandas']) * 1e3:.0f} ms"
    )
    return [
        harness.claim_result(
            CLAIMS_HERE[0],
            ours=seconds["ours"],
            rival=seconds["polars"],
            rival_name=f"polars {pl.__version__}",
            unit="s",
            n=work.learner_count,
        )
    ]


if __name__ == "__main__":
    harness.main(run)
