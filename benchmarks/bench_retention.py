"""Retention of 1M learners with 56M events against reading the columns twice, and against polars and pandas.

    python benchmarks/bench_retention.py [--smoke]

The question: of each weekly start cohort, who came back in each of the seven weeks after their first day, of those who
have completed it. Ours: days of activity and counts, one thread, from the learner and time columns as they are. The
first rival reads these two columns twice and does nothing else. The others get a frame made outside of what is timed;
polars its lazy engine with as many threads, pandas what it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import harness
from covey import Events
from covey.identifiers import LearnerIds
from covey.retention import days_of_activity, weekly
from covey.retention.groups import Period, start_cohorts
from covey.retention.table import counts
from readcols import reader
from workload import CAPABILITY_COUNT, DOMAIN_COUNT, START_SECONDS, Workload, learners

CLAIMS_HERE = (
    "retention (1M learners, 56M events) over two readings of its columns",
    "retention over polars, equal threads",
)
WEEKS = 7
ROUNDS = 7
DAY_US = 86_400_000_000


def events_of(work: Workload) -> Events:
    """The workload as the library holds it."""
    return Events(
        learner_ids=LearnerIds(integers=np.arange(work.learner_count)),
        learner_index=work.learner_index,
        time=work.time_us,
        domain_index=work.domain_index,
        domains=tuple(map(str, range(DOMAIN_COUNT))),
        capability_index=work.capability_index,
        capabilities=tuple(map(str, range(CAPABILITY_COUNT))),
    )


def ours(events: Events, as_of_us: int, threads: int = 1) -> tuple[Any, Any]:
    """Eligible and retained learners by start cohort and week."""
    activity = days_of_activity(events, as_of_us, days=64, threads=threads)
    cohorts = start_cohorts(activity, Period.week)
    return counts(activity, cohorts.codes, len(cohorts.names), weekly(WEEKS), threads)


def with_polars(frame: Any, last_complete_day: int) -> Any:
    """The same in polars: first days, then distinct (learner, week) pairs."""
    import polars as pl

    day = pl.col("time").floordiv(DAY_US)
    weeks = (day - day.min()).floordiv(7).unique().alias("week")
    learner = frame.lazy().group_by("learner").agg(day.min().alias("first"), weeks)
    cohort = (pl.col("first") - (pl.col("first") + 3) % 7).alias("cohort")
    is_completed = pl.col("first") + pl.col("week") * 7 + 6 <= last_complete_day
    pairs = learner.with_columns(cohort).explode("week").filter((pl.col("week") >= 1) & is_completed)
    return pairs.group_by("cohort", "week").len().sort("cohort", "week").collect()


def with_pandas(frame: Any, last_complete_day: int) -> Any:
    """The same in pandas."""
    day = frame.time // DAY_US
    first = day.groupby(frame.learner).transform("min")
    week = (day - first) // 7
    pairs = frame.assign(first=first, week=week)[["learner", "first", "week"]].drop_duplicates()
    pairs = pairs[
        (pairs.week >= 1) & (pairs.week <= WEEKS) & (pairs["first"] + pairs.week * 7 + 6 <= last_complete_day)
    ]
    cohort = pairs["first"] - (pairs["first"] + 3) % 7
    return pairs.groupby([cohort, "week"]).size()


def run(smoke: bool) -> list[harness.Row]:
    """Both claims, one thread; further ways as notes."""
    import pandas as pd
    import polars as pl

    work = learners(100_000 if smoke else 1_000_000)
    events = events_of(work)
    as_of_us = (START_SECONDS + 56 * 86_400) * 1_000_000 - 1
    last_complete_day = (as_of_us + 1) // DAY_US - 1
    frame = pl.DataFrame({"learner": work.learner_index, "time": work.time_us})
    small = work.learner_count // 10 if not smoke else work.learner_count
    few = slice(0, int(np.searchsorted(work.learner_index, small)))
    pandas_frame = pd.DataFrame({"learner": work.learner_index[few], "time": work.time_us[few]})
    truth = with_polars(frame, last_complete_day)
    retained = ours(events, as_of_us)[1]
    assert retained.sum() == truth["len"].sum()
    assert retained[retained > 0].tolist() == truth["len"].to_list()
    read = reader([work.learner_index, work.time_us])

    def read_twice() -> int:
        return read() + read()

    contenders: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(events, as_of_us),
        "two readings": read_twice,
        "polars": lambda: with_polars(frame, last_complete_day),
    }
    if not smoke:
        shuffled = events_of(work.arrival_order())
        contenders["two threads"] = lambda: ours(events, as_of_us, 2)
        contenders["arrival order"] = lambda: ours(shuffled, as_of_us)
        contenders["days of activity alone"] = lambda: days_of_activity(events, as_of_us, threads=1)
    seconds = harness.interleave(contenders, rounds=ROUNDS)
    for name, times in seconds.items():
        harness.note(f"retention, {len(work):,} events, {name}: {min(times) * 1e3:.0f} ms at best")
    pandas_seconds = harness.interleave({"pandas": lambda: with_pandas(pandas_frame, last_complete_day)}, rounds=1)
    harness.note(f"retention, {len(pandas_frame):,} events, pandas: {min(pandas_seconds['pandas']) * 1e3:.0f} ms")
    return [
        harness.claim_result(
            CLAIMS_HERE[0],
            ours=seconds["ours"],
            rival=seconds["two readings"],
            rival_name="readcols, learner and time columns twice",
            unit="s",
            n=work.learner_count,
        ),
        harness.claim_result(
            CLAIMS_HERE[1],
            ours=seconds["ours"],
            rival=seconds["polars"],
            rival_name=f"polars {pl.__version__}",
            unit="s",
            n=work.learner_count,
        ),
    ]


if __name__ == "__main__":
    harness.main(run)
