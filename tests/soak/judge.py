"""Does a process keep its memory? A robust slope of its samples, and its peak, against the promise: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MEBIBYTE = float(1 << 20)
SLOPE_MEBIBYTES_PER_TEN_MINUTES = 1.0
HEADROOM_MEBIBYTES = 64.0
_TEN_MINUTES = 600.0
# All pairs of so many points: 1.1 million slopes.
_MOST_POINTS = 1500


@dataclass(frozen=True)
class Samples:
    """The memory of one process over time.

    Attributes:
        process: its name.
        seconds: since the load began, ascending, shape (n,).
        mebibytes: resident at those times, shape (n,).
        rest_mebibytes: resident once everything had been used once, before any load.
        peak_mebibytes: the most that was ever resident, as the kernel counts it.
    """

    process: str
    seconds: Sequence[float]
    mebibytes: Sequence[float]
    rest_mebibytes: float
    peak_mebibytes: float


@dataclass(frozen=True)
class Verdict:
    """What the samples say.

    Attributes:
        process: its name.
        slope_mebibytes: per ten minutes, after the warm-up.
        slope_interval_mebibytes: 95 % interval of that, as if samples were independent.
        rest_mebibytes: as in `Samples`.
        peak_mebibytes: as in `Samples`.
        problems: what was promised and is not so; empty where all is well.
    """

    process: str
    slope_mebibytes: float
    slope_interval_mebibytes: tuple[float, float]
    rest_mebibytes: float
    peak_mebibytes: float
    problems: tuple[str, ...]


def judge(samples: Samples, *, warm_up_seconds: float, budget_mebibytes: float) -> Verdict:
    """Hold samples against the promise.

    The slope is Theil and Sen's: the median of the slopes of all pairs of points (Sen 1968, doi:10.2307/2285891). Up
    to 29 % of the points may lie anywhere without moving it far, so a burst of large calls is no growth, and growth
    that is hidden by bursts is found.

    Args:
        samples: of one process.
        warm_up_seconds: samples before this are not judged: caches fill, modules are imported.
        budget_mebibytes: for calls in flight; the peak may lie so much and 64 MiB above the process at rest.

    Raises:
        ValueError: fewer than three samples after the warm-up.
    """
    seconds, mebibytes = np.asarray(samples.seconds, float), np.asarray(samples.mebibytes, float)
    is_judged = seconds >= warm_up_seconds
    seconds, mebibytes = seconds[is_judged], mebibytes[is_judged]
    if len(seconds) < 3:
        raise ValueError(
            f"{samples.process}: {len(seconds)} samples after the warm-up of {warm_up_seconds:g} s, 3 at least"
        )
    step = -(-len(seconds) // _MOST_POINTS)
    slope, _, low, high = stats.theilslopes(mebibytes[::step], seconds[::step])
    per_ten_minutes = float(slope) * _TEN_MINUTES
    grown, allowed = samples.peak_mebibytes - samples.rest_mebibytes, budget_mebibytes + HEADROOM_MEBIBYTES
    problems = []
    if per_ten_minutes >= SLOPE_MEBIBYTES_PER_TEN_MINUTES:
        problems.append(
            f"{samples.process} grows by {per_ten_minutes:.2f} MiB in 10 min; less than "
            f"{SLOPE_MEBIBYTES_PER_TEN_MINUTES:g} is promised"
        )
    if grown > allowed:
        problems.append(
            f"{samples.process} took {grown:.0f} MiB more than at rest; {allowed:.0f} (the budget and "
            f"{HEADROOM_MEBIBYTES:g}) are promised"
        )
    return Verdict(
        process=samples.process,
        slope_mebibytes=per_ten_minutes,
        slope_interval_mebibytes=(float(low) * _TEN_MINUTES, float(high) * _TEN_MINUTES),
        rest_mebibytes=samples.rest_mebibytes,
        peak_mebibytes=samples.peak_mebibytes,
        problems=tuple(problems),
    )
