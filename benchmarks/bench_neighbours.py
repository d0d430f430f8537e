"""The ten nearest of a million learners, exact: against faiss and scikit-learn, one thread each.

    python benchmarks/bench_neighbours.py [--smoke]

Five traits as points; one query, and 256 together. All contenders look at every point but scikit-learn's k-d tree, a
note: it is made once in seconds, and then asks few points; a filter or an append is another tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import harness
from covey import _core

CLAIMS_HERE = (
    "ten nearest of 1M learners, one query, over faiss exact",
    "ten nearest of 1M learners, 256 queries, over faiss exact",
    "ten nearest of 1M learners, 256 queries, over scikit-learn brute force",
)
COUNT = 10
QUERIES = 256
ROUNDS = 5


def run(smoke: bool) -> list[harness.Row]:
    """The claims; the k-d tree as notes."""
    import faiss
    import sklearn
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    size = 200_000 if smoke else 1_000_000
    rows = (np.random.default_rng(0).beta(2, 3, (size, 5)) / 5**0.5).astype(np.float32)
    points = np.ascontiguousarray(rows.T)
    one, many = rows[7:8].copy(), rows[:QUERIES].copy()
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatL2(5)
    index.add(rows)
    brute = NearestNeighbors(n_neighbors=COUNT, algorithm="brute", n_jobs=1).fit(rows)
    tree = NearestNeighbors(n_neighbors=COUNT, algorithm="kd_tree", n_jobs=1).fit(rows)
    ours = _core.nearest_points(points, many, COUNT, threads=1)
    theirs = tree.kneighbors(many)[0]
    # Distances, as equal ones may stand in another order; faiss takes them from squares, and is the less exact.
    np.testing.assert_allclose(np.sqrt(ours[1]), theirs, atol=1e-5)
    np.testing.assert_allclose(ours[1], index.search(many, COUNT)[0], atol=1e-5)
    contenders: dict[str, Callable[[], Any]] = {
        "ours, one": lambda: _core.nearest_points(points, one, COUNT, threads=1),
        "faiss, one": lambda: index.search(one, COUNT),
        "ours, many": lambda: _core.nearest_points(points, many, COUNT, threads=1),
        "faiss, many": lambda: index.search(many, COUNT),
        "scikit-learn, many": lambda: brute.kneighbors(many),
        "k-d tree, one": lambda: tree.kneighbors(one),
        "k-d tree, many": lambda: tree.kneighbors(many),
    }
    with threadpool_limits(1):
        seconds = harness.interleave(contenders, rounds=ROUNDS)
    for name, times in seconds.items():
        harness.note(f"nearest of {size:,}, {name}: {min(times) * 1e3:.2f} ms at best")
    names = f"faiss {faiss.__version__} IndexFlatL2", f"scikit-learn {sklearn.__version__} brute"
    return [
        harness.claim_result(
            claim, ours=seconds[f"ours, {what}"], rival=seconds[f"{rival}, {what}"], rival_name=name, unit="s", n=size
        )
        for claim, what, rival, name in zip(
            CLAIMS_HERE, ("one", "many", "many"), ("faiss", "faiss", "scikit-learn"), (names[0], *names), strict=True
        )
    ]


if __name__ == "__main__":
    harness.main(run)
