"""What is claimed about speed, and the bars that hold each claim.

A ratio is written so that more is better. The floor is what continuous integration must not fall below, the target is
when the work counts as done, the moonshot is where it is going.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bars:
    """The three bars of a claim, as ratios."""

    floor: float
    target: float
    moonshot: float


CLAIMS: dict[str, Bars] = {
    "sorted traits, AVX-512, one thread: column bytes/s over readcols": Bars(0.12, 0.20, 0.30),
    "sorted traits, AVX2, one thread: column bytes/s over readcols": Bars(0.06, 0.10, 0.18),
    "sorted traits over polars, equal threads": Bars(80, 130, 200),
    "sorted traits over numpy": Bars(50, 80, 130),
    "arrival-order traits over polars": Bars(30, 45, 80),
    "sorted time over arrival-order time": Bars(0.22, 0.33, 0.5),
    "one thread's time over two threads', traits": Bars(1.7, 1.85, 1.95),
    "k-means to convergence over scikit-learn lloyd, k=5": Bars(5, 8, 20),
    "k-means to convergence over scikit-learn lloyd, k=16": Bars(4, 6, 15),
    "k-means 20 iterations over faiss full data": Bars(10, 16, 25),
    "faiss default subsample's time over ours, to 1.001 x converged inertia": Bars(0.5, 1, 3.3),
    "packed ingest over gRPC, MB/s over a raw echo stream of the same chunks": Bars(0.5, 0.7, 0.9),
    "AnalyzeLearner (packed, 56 events, metrics on) calls/s over an empty handler receiving the same bytes": Bars(
        0.5, 0.8, 0.95
    ),
    "AnalyzeLearners stream, learners/s over AnalyzeLearner learners/s": Bars(5, 10, 30),
    "bytes of the input columns over peak extra bytes, sorted input, 1M learners": Bars(1.6, 3.3, 10),
    "grouped moments (1M rows x 5 metrics x 16 groups) over numpy bincount": Bars(30, 60, 90),
    "1,000 re-randomisations of 1M learners x 5 metrics over numpy (extrapolated from 10)": Bars(30, 66, 150),
}
"""Every claim by its name, in the order of the table."""

NEEDS_INSTRUCTIONS: dict[str, str] = {
    "sorted traits, AVX-512, one thread: column bytes/s over readcols": "avx512",
    "sorted traits, AVX2, one thread: column bytes/s over readcols": "avx2",
}
"""Claims that only a machine with these instructions can show."""
