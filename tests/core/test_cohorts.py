"""Seeding, k-means and assignment of the compiled core against plain NumPy."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from threading import Timer
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from covey import _core
from covey.reference.kmeans import kmeans as reference_kmeans

from .cohort_points import Floats, Hashes, Labels, random_points
from .event_columns import every_way

STEP = 2.0**-32


# ---- the oracle: the engines' common definitions, in NumPy float32 ----


def squared_distances(points: Floats, centroids: Floats) -> Floats:
    total = np.zeros((len(centroids), points.shape[1]), np.float32)
    for d in range(len(points)):
        difference = points[d] - centroids[:, d, None]
        total = difference * difference if d == 0 else total + difference * difference
    return total


def assign_oracle(points: Floats, centroids: Floats) -> tuple[Labels, Floats]:
    distances = squared_distances(points, centroids)
    labels = np.argmin(distances, axis=0).astype(np.int32)
    return labels, np.take_along_axis(distances, labels[None], axis=0)[0]


def steps(values: Floats) -> NDArray[np.int64]:
    return np.rint(values.astype(np.float64) * 2.0**32).astype(np.int64)


def kmeans_oracle(points: Floats, centroids: Floats, max_iterations: int) -> dict[str, Any]:
    centroids = centroids.copy()
    labels, _ = assign_oracle(points, centroids)
    iterations, converged = 0, False
    while iterations < max_iterations and not converged:
        for c in range(len(centroids)):
            members = labels == c
            if members.any():
                sums = steps(points[:, members]).sum(axis=1)
                centroids[c] = (sums.astype(np.float64) / members.sum() * STEP).astype(np.float32)
        previous = labels
        labels, _ = assign_oracle(points, centroids)
        iterations += 1
        converged = bool((labels == previous).all())
    distances = assign_oracle(points, centroids)[1]
    return {
        "centroids": centroids,
        "labels": labels,
        "sizes": np.bincount(labels, minlength=len(centroids)),
        "inertia": float(steps(distances).sum()) * STEP,
        "iterations": iterations,
        "converged": converged,
    }


def mix_oracle(seed: int, race: int, hashed: int) -> int:
    mask = 2**64 - 1
    x = (hashed + 0x9E3779B97F4A7C15 * (seed * 65536 + race + 1)) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def seed_oracle(points: Floats, hashes: Hashes, k: int, seed: int) -> Floats:
    nearest: NDArray[np.float32] | None = None
    chosen: list[int] = []
    for race in range(k):
        u = [((mix_oracle(seed, race, int(h)) >> 11) + 0.5) * 2.0**-53 for h in hashes]
        weights = [1.0] * len(u) if nearest is None else nearest.astype(float).tolist()
        racers = [(-math.log(u[i]) / w, int(hashes[i]), i) for i, w in enumerate(weights) if w > 0]
        if not racers:
            break
        chosen.append(min(racers)[2])
        distances = squared_distances(points, points[:, chosen[-1:]].T.copy())[0]
        nearest = distances if nearest is None else np.minimum(nearest, distances)
    return points[:, chosen].T.copy()


def same_result(found: _core.KMeansResult, expected: dict[str, Any]) -> None:
    assert found.centroids.tobytes() == expected["centroids"].tobytes()
    assert found.labels.tobytes() == expected["labels"].astype(np.int32).tobytes()
    assert found.sizes.tolist() == expected["sizes"].tolist()
    assert (found.inertia, found.iterations) == (expected["inertia"], expected["iterations"])
    assert found.converged is expected["converged"]


# ---- assignment and k-means ----


@settings(max_examples=60)
@given(
    st.integers(1, 300), st.integers(1, 9), st.sampled_from([1, 2, 5, 7, 32]), st.integers(0, 5), st.integers(0, 2**32)
)
def test_kmeans_equals_numpy_bit_for_bit(
    count: int, k: int, dimensions: int, max_iterations: int, random_seed: int
) -> None:
    points, _ = random_points(count, random_seed, dimensions)
    centroids = np.random.default_rng(random_seed).random((k, dimensions)).astype(np.float32)
    expected = kmeans_oracle(points, centroids, max_iterations)
    labels, distances = assign_oracle(points, centroids)
    for way in every_way():
        same_result(_core.kmeans(points, centroids, max_iterations, **way), expected)
        found_labels, found_distances = _core.assign(points, centroids, **way)
        assert found_labels.tobytes() == labels.tobytes()
        assert found_distances.tobytes() == distances.tobytes()


@pytest.mark.parametrize(("k", "max_iterations"), [(2, 300), (5, 300), (16, 10)])
def test_kmeans_of_many_points_has_the_same_bits_in_any_order_and_way(k: int, max_iterations: int) -> None:
    points, hashes = random_points(60_011, 1)
    seeds = _core.seed_centroids(points, hashes, k, 3)
    expected = kmeans_oracle(points, seeds, max_iterations)
    assert expected["converged"] == (max_iterations == 300)
    order = np.random.default_rng(2).permutation(points.shape[1])
    shuffled, shuffled_hashes = points[:, order].copy(), hashes[order]
    for way in every_way():
        same_result(_core.kmeans(points, seeds, max_iterations, **way), expected)
        assert _core.seed_centroids(points, hashes, k, 3, **way).tobytes() == seeds.tobytes()
        assert _core.seed_centroids(shuffled, shuffled_hashes, k, 3, **way).tobytes() == seeds.tobytes()
        elsewhere = expected | {"labels": expected["labels"][order]}
        same_result(_core.kmeans(shuffled, seeds, max_iterations, **way), elsewhere)


def adversarial(name: str, count: int = 12_000) -> tuple[Floats, Floats]:
    """Points that try the shortcuts, and centroids to begin with."""
    random = np.random.default_rng(11)
    points = random.random((5, count)).astype(np.float32)
    centroids = points[:, :12].T.copy()
    if name == "all equal":
        points[:] = 0.3
    elif name == "duplicate centroids":
        centroids[6:] = centroids[:6]
    elif name == "grid of ties":
        points = np.rint(points * 4).astype(np.float32) / 4
        centroids = np.rint(centroids * 2).astype(np.float32) / 2
    elif name == "far outliers":
        points[:, :3] = np.array([[30, -30, 36]], np.float32)
    elif name == "far centroids":
        centroids[3:] += 100
    elif name == "tiny":
        points *= np.float32(1e-9)
        centroids *= np.float32(1e-9)
    elif name == "more clusters than the kept contenders":
        centroids = points[:, :40].T.copy()
    return points, centroids


@pytest.mark.parametrize(
    "name",
    [
        "uniform",
        "all equal",
        "duplicate centroids",
        "grid of ties",
        "far outliers",
        "far centroids",
        "tiny",
        "more clusters than the kept contenders",
    ],
)
def test_leaving_blocks_alone_changes_no_bit(name: str) -> None:
    points, centroids = adversarial(name)
    expected = kmeans_oracle(points, centroids, 60)
    for isa in _core.available_isas():
        same_result(_core.kmeans(points, centroids, 60, isa=isa, threads=2), expected)


@pytest.mark.parametrize("name", ["duplicate centroids", "grid of ties", "far outliers", "all equal"])
def test_many_adversarial_points_on_several_threads_equal_the_reference(name: str) -> None:
    points, centroids = adversarial(name, 70_003)
    expected = asdict(reference_kmeans(points, centroids, 40))
    for isa in _core.available_isas():
        for threads in (2, 3):
            same_result(_core.kmeans(points, centroids, 40, isa=isa, threads=threads), expected)


@pytest.mark.parametrize("k", [5, 16])
@pytest.mark.parametrize("max_iterations", [0, 1, 4])
def test_the_last_assignment_equals_the_oracle(k: int, max_iterations: int) -> None:
    points, hashes = random_points(40_007, 13)
    seeds = _core.seed_centroids(points, hashes, k, 1)
    expected = kmeans_oracle(points, seeds, max_iterations)
    for way in every_way():
        same_result(_core.kmeans(points, seeds, max_iterations, **way), expected)


def test_every_point_its_own_cluster() -> None:
    points, _ = random_points(300, 9)
    distinct = np.unique(points, axis=1)
    result = _core.kmeans(points, np.ascontiguousarray(distinct.T))
    assert result.inertia == 0.0
    assert result.converged
    assert (result.sizes > 0).all()


def test_cancelled_calls_raise() -> None:
    points, hashes = random_points(40_000, 12)
    seeds = _core.seed_centroids(points, hashes, 4, 0)
    labels = _core.assign(points, seeds)[0]
    cancellation = _core.Cancellation()
    cancellation.cancel()
    for threads in (1, 2):
        options: dict[str, Any] = {"threads": threads, "cancellation": cancellation}
        with pytest.raises(_core.Cancelled):
            _core.seed_centroids(points, hashes, 4, 0, **options)
        with pytest.raises(_core.Cancelled):
            _core.kmeans(points, seeds, **options)
        with pytest.raises(_core.Cancelled):
            _core.assign(points, seeds, **options)
        with pytest.raises(_core.Cancelled):
            _core.silhouette(points, labels, 4, **options)


@pytest.mark.parametrize("threads", [1, 2])
def test_kmeans_is_cancelled_from_another_thread_while_it_works(threads: int) -> None:
    points = np.random.default_rng(14).random((5, 400_000)).astype(np.float32)
    seeds = np.ascontiguousarray(points[:, :64].T)
    cancellation = _core.Cancellation()
    cancelled_at: list[float] = []

    def cancel() -> None:
        cancelled_at.append(time.monotonic())
        cancellation.cancel()

    timer = Timer(0.02, cancel)
    timer.start()
    with pytest.raises(_core.Cancelled):
        _core.kmeans(points, seeds, 100_000, threads=threads, cancellation=cancellation)
    assert time.monotonic() - cancelled_at[0] < 1.0
    timer.join()


def test_an_empty_cluster_keeps_its_centroid_and_ties_go_to_the_lowest_label() -> None:
    points = np.array([[0.25, 0.5, 0.75]], np.float32)
    result = _core.kmeans(points, np.array([[0.5], [0.5], [7.0]], np.float32))
    assert result.labels.tolist() == [0, 0, 0]
    assert result.sizes.tolist() == [3, 0, 0]
    assert result.centroids.tolist() == [[0.5], [0.5], [7.0]]
    assert (result.iterations, result.converged) == (1, True)


def test_no_update_is_an_assignment() -> None:
    points, hashes = random_points(500, 4)
    seeds = _core.seed_centroids(points, hashes, 4, 0)
    result = _core.kmeans(points, seeds, max_iterations=0)
    assert result.centroids.tobytes() == seeds.tobytes()
    assert result.labels.tobytes() == _core.assign(points, seeds)[0].tobytes()
    assert (result.iterations, result.converged) == (0, False)


# ---- seeding ----


@settings(max_examples=60)
@given(st.integers(1, 200), st.integers(1, 12), st.integers(0, 2**64 - 1), st.integers(0, 2**32))
@example(count=3, k=3, seed=2**64 - 1, random_seed=0)
def test_seeds_equal_the_race_in_any_order(count: int, k: int, seed: int, random_seed: int) -> None:
    points, hashes = random_points(count, random_seed)
    k = min(k, count)
    expected = seed_oracle(points, hashes, k, seed)
    order = np.random.default_rng(random_seed).permutation(count)
    shuffled = points[:, order].copy()
    for way in every_way():
        assert _core.seed_centroids(points, hashes, k, seed, **way).tobytes() == expected.tobytes()
        assert _core.seed_centroids(shuffled, hashes[order], k, seed, **way).tobytes() == expected.tobytes()
    for fewer in range(1, len(expected)):
        assert _core.seed_centroids(points, hashes, fewer, seed).tobytes() == expected[:fewer].tobytes()


def test_fewer_distinct_points_give_fewer_seeds() -> None:
    points = np.repeat(np.array([[0.1, 0.9]], np.float32), 10, axis=1)
    seeds = _core.seed_centroids(points, _core.hash_integers(np.arange(20)), 5, 0)
    assert sorted(seeds[:, 0].tolist()) == sorted(set(points[0].tolist()))


def test_equal_hashes_do_not_make_position_matter() -> None:
    points = np.array([[0.0, 0.0, 0.5, 1.0]], np.float32)
    hashes = np.full(4, 77, np.uint64)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        seeds = _core.seed_centroids(points[:, order].copy(), hashes, 3, 5)
        assert seeds[:, 0].tolist() == [0.0, 1.0, 0.5]


# ---- silhouette ----


# ---- bad input ----


def test_errors_name_the_argument() -> None:
    points, hashes = random_points(10, 6)
    labels = np.zeros(10, np.int32)
    centroids = points[:, :2].T.copy()
    with pytest.raises(TypeError, match="points must have dtype float32, not float64"):
        _core.kmeans(points.astype(np.float64), centroids)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="points must be C-contiguous"):
        _core.assign(points.T.copy().T, centroids)
    with pytest.raises(ValueError, match=r"points must have 1 \.\.\. 32 rows .* not shape \(33, 10\)"):
        _core.kmeans(np.zeros((33, 10), np.float32), np.zeros((1, 33), np.float32))
    with pytest.raises(ValueError, match=r"centroids must have shape \(n, 5\) with n >= 1, not \(5, 2\)"):
        _core.assign(points, np.ascontiguousarray(centroids.T))
    with pytest.raises(ValueError, match=r"initial_centroids must have shape \(n, 5\) with n >= 1, not \(0, 5\)"):
        _core.kmeans(points, centroids[:0].copy())
    with pytest.raises(ValueError, match="max_iterations is -1"):
        _core.kmeans(points, centroids, -1)
    with pytest.raises(ValueError, match=r"k is 11, expected 1 \.\.\. 10 for 10 points"):
        _core.seed_centroids(points, hashes, 11, 0)
    with pytest.raises(ValueError, match="id_hashes must have 10 elements, not 9"):
        _core.seed_centroids(points, hashes[:9].copy(), 2, 0)
    with pytest.raises(ValueError, match=r"labels\[9\] is 2, expected a cluster in \[0, 2\)"):
        _core.silhouette(points, np.array([0, 1] * 4 + [0, 2], np.int32), 2)
    with pytest.raises(ValueError, match=r"labels\[1, 9\] is 2, expected a cluster in \[0, 2\)"):
        _core.silhouettes(points, np.array([[0, 1] * 5, [0, 1] * 4 + [0, 2]], np.int32), [2, 2])
    with pytest.raises(ValueError, match=r"labels must have shape \(2, 10\), a row per k, not \(1, 10\)"):
        _core.silhouettes(points, labels[None], [2, 2])
    with pytest.raises(ValueError, match=r"labels\[1\] name 1 non-empty clusters"):
        _core.silhouettes(points, np.array([[0, 1] * 5, [0] * 10], np.int32), [2, 2])
    with pytest.raises(ValueError, match="labels name 1 non-empty clusters; a silhouette needs at least two"):
        _core.silhouette(points, labels, 3)


def test_values_that_no_sum_can_hold_are_refused() -> None:
    points, hashes = random_points(10, 7)
    centroids = points[:, :2].T.copy()
    broken = points.copy()
    broken[2, 7] = np.nan
    for call in (
        lambda: _core.kmeans(broken, centroids),
        lambda: _core.assign(broken, centroids),
        lambda: _core.seed_centroids(broken, hashes, 2, 0),
        lambda: _core.silhouette(broken, np.array([0, 1] * 5, np.int32), 2),
    ):
        with pytest.raises(ValueError, match=r"points\[2, 7\] is nan, expected a finite number"):
            call()
    with pytest.raises(ValueError, match="a centroid holds inf"):
        _core.kmeans(points, np.full((1, 5), np.inf, np.float32))
    with pytest.raises(ValueError, match="too large for fixed-point sums over 10 points"):
        _core.kmeans(points * np.float32(1e9), centroids)
