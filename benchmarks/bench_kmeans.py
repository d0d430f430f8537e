"""k-means of a million learners on one thread: to convergence, for twenty iterations, and to within 0.1 %.

Rivals start from the same centroids. scikit-learn runs Lloyd with tol=0; faiss runs on the full data, and by its
default (a subsample of 256 points per centroid, then one assignment of everyone), k=5. Ours of the last claim is
k-means on the 32,768 learners of the smallest id hashes, then one assignment of everyone: `sample_then_assign`.

The first iterations are passes over everyone, and at k=5 a pass is little more than reading the columns once. What
else cost time there, and no longer does: two passes that checked for finite values and for their range (now one, in
vectors), a scalar search for the points that moved (now a bit per point from the kernel), sums and an assignment after
the last update that only the inertia needed. Once fewer than 1 in 64 labels change, groups of 16 points whose labels
cannot have changed are left alone; with 8 centroids or more the points are first sorted along a Morton curve. Of 16
centroids about 5 then stay in a block's box, and half of the time of k=16 to convergence is distances to those.

The cost of k="auto" contains the run at the k it chose, usually cheaper than one at 12. The silhouettes of the eleven
k share the distances of the sample.
"""

from __future__ import annotations

import statistics
import warnings
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

import harness
from covey import _core
from covey.discovery import find_clusters, sample_then_assign
from covey.engine import engine_named

CLAIMS_HERE = (
    "k-means to convergence over scikit-learn lloyd, k=5",
    "k-means to convergence over scikit-learn lloyd, k=16",
    "k-means 20 iterations over faiss full data",
    "faiss default subsample's time over ours, to 1.001 x converged inertia",
)
MOST_ITERATIONS = 1000
SEED = 2
AUTO_BAR = 4.0
SMOKE_LEARNERS = 300_000
Floats = NDArray[np.float32]


def trait_points(count: int) -> tuple[Floats, NDArray[np.uint64]]:
    """Six broad, overlapping kinds of learner; frequency in days of 28, feedback by few answers, as traits are."""
    random = np.random.default_rng(1)
    centre = np.array(
        [
            [0.75, 0.45, 0.50, 0.60, 0.70],
            [0.30, 0.85, 0.25, 0.50, 0.55],
            [0.55, 0.35, 0.85, 0.70, 0.85],
            [0.25, 0.30, 0.15, 0.45, 0.20],
            [0.45, 0.55, 0.40, 0.80, 0.60],
            [0.20, 0.60, 0.60, 0.30, 0.75],
        ]
    )
    traits = np.clip(centre[random.integers(0, 6, count)] + random.normal(0, 0.14, (count, 5)), 0, 1)
    traits[:, 2] = np.rint(traits[:, 2] * 28) / 28
    asked = random.integers(0, 9, count)
    traits[:, 3] = (random.binomial(asked, traits[:, 3]) + 1) / (asked + 2)
    weights = np.sqrt(np.array([0.30, 0.25, 0.15, 0.15, 0.15])).astype(np.float32)
    points = np.ascontiguousarray((traits.astype(np.float32) * weights).T)
    return points, _core.hash_integers(np.arange(count, dtype=np.int64))


def converged_rows(points: Floats, rows: Floats, hashes: NDArray[np.uint64], rounds: int) -> list[harness.Row]:
    """Against scikit-learn, k=5 and k=16."""
    found = []
    for claim, k in zip(CLAIMS_HERE[:2], (5, 16), strict=True):
        initial = _core.seed_centroids(points, hashes, k, SEED)

        def rival(initial: Floats = initial, k: int = k) -> Any:
            return KMeans(k, init=initial, n_init=1, max_iter=MOST_ITERATIONS, tol=0, algorithm="lloyd").fit(rows)

        def ours(initial: Floats = initial) -> _core.KMeansResult:
            return _core.kmeans(points, initial, MOST_ITERATIONS)

        result = ours()
        assert result.converged
        assert abs(result.inertia / float(rival().inertia_) - 1) < 1e-3
        seconds = harness.interleave({"ours": ours, "scikit-learn": rival}, rounds)
        found.append(row(claim, seconds, "scikit-learn", "scikit-learn KMeans lloyd, tol=0, 1 thread", points))
    return found


def faiss_full_seconds(
    points: Floats, rows: Floats, hashes: NDArray[np.uint64], k: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of twenty iterations over everyone."""
    initial = _core.seed_centroids(points, hashes, k, SEED)

    def rival() -> faiss.Kmeans:
        training = faiss.Kmeans(5, k, niter=20, max_points_per_centroid=len(rows))
        training.train(rows, init_centroids=initial)
        return training

    def ours() -> _core.KMeansResult:
        return _core.kmeans(points, initial, 20)

    inertia = float(rival().index.search(rows, 1)[0].sum(dtype=np.float64))
    assert abs(ours().inertia / inertia - 1) < 2e-3
    seconds: dict[str, list[float]] = harness.interleave({"ours": ours, "faiss": rival}, rounds)
    return seconds


def faiss_rows(points: Floats, rows: Floats, hashes: NDArray[np.uint64], rounds: int) -> list[harness.Row]:
    """Against faiss on everyone (20 iterations) and against its default, k=5."""
    seconds = faiss_full_seconds(points, rows, hashes, 5, rounds)
    found = [row(CLAIMS_HERE[2], seconds, "faiss", "faiss Kmeans, full data, k=5, 1 thread", points)]
    seconds = faiss_full_seconds(points, rows, hashes, 16, rounds)
    ratios = sorted(theirs / own for theirs, own in zip(seconds["faiss"], seconds["ours"], strict=True))
    harness.note(
        f"k-means, k=16, 20 iterations over faiss full data: {statistics.median(ratios):.1f} "
        f"({ratios[0]:.1f} to {ratios[-1]:.1f}), {points.shape[1]:,} learners"
    )

    start = _core.seed_centroids(points, hashes, 5, SEED)
    engine = engine_named("native")

    def default() -> None:
        rival = faiss.Kmeans(5, 5)
        rival.train(rows, init_centroids=start)
        rival.index.search(rows, 1)

    def sampled() -> Any:
        return sample_then_assign(engine, points, hashes, start, SEED, threads=1)

    assert sampled().inertia <= 1.001 * _core.kmeans(points, start, MOST_ITERATIONS).inertia
    seconds = harness.interleave({"ours": sampled, "faiss": default}, rounds)
    found.append(row(CLAIMS_HERE[3], seconds, "faiss", "faiss Kmeans default subsample and search, k=5", points))
    return found


def row(claim: str, seconds: dict[str, list[float]], rival: str, rival_name: str, points: Floats) -> harness.Row:
    """The row of two contenders, of which one is "ours"."""
    return harness.claim_result(
        claim, ours=seconds["ours"], rival=seconds[rival], rival_name=rival_name, unit="s", n=points.shape[1]
    )


def check_auto_cost(points: Floats, hashes: NDArray[np.uint64], rounds: int) -> None:
    """The choice of k among 2 ... 12 costs no more than four runs at k = 12."""
    seconds = harness.interleave(
        {
            "auto": lambda: find_clusters(points, hashes, "auto", SEED, "native", 1, None),
            "k=12": lambda: find_clusters(points, hashes, 12, SEED, "native", 1, None),
        },
        rounds,
    )
    pairs = zip(seconds["auto"], seconds["k=12"], strict=True)
    ratios = sorted(auto / single for auto, single in pairs)
    ratio = statistics.median(ratios)
    harness.note(
        f"k='auto' costs {ratio:.2f} runs at k=12 ({ratios[0]:.2f} to {ratios[-1]:.2f}; bar: {AUTO_BAR:g}), "
        f"{points.shape[1]:,} learners"
    )
    assert ratio <= AUTO_BAR


def run(smoke: bool) -> list[harness.Row]:
    """Measure the four claims on one thread, correctness first."""
    points, hashes = trait_points(SMOKE_LEARNERS if smoke else 1_000_000)
    rows = np.ascontiguousarray(points.T)
    rounds = 3 if smoke else 5
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        assert faiss.omp_get_max_threads() == 1
        assert all(pool["num_threads"] == 1 for pool in threadpool_info())
        warnings.simplefilter("ignore")
        found = converged_rows(points, rows, hashes, rounds) + faiss_rows(points, rows, hashes, rounds)
    for count in (50_000,) if smoke else (50_000, 1_000_000):
        check_auto_cost(np.ascontiguousarray(points[:, :count]), hashes[:count], rounds)
    return found


if __name__ == "__main__":
    harness.main(run)
