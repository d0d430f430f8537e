"""Silhouettes of the compiled core against their definition and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core
from covey.reference.silhouette import silhouettes as reference_silhouettes

from .cohort_points import Floats, Labels, random_points
from .event_columns import every_way


def silhouette_oracle(points: Floats, labels: Labels) -> float:
    distances = np.sqrt(((points[:, :, None].astype(float) - points[:, None, :]) ** 2).sum(axis=0))
    values = []
    for i, label in enumerate(labels):
        own = labels == label
        if own.sum() == 1:
            values.append(0.0)
            continue
        a = distances[i, own].sum() / (own.sum() - 1)
        b = min(distances[i, labels == other].mean() for other in set(labels.tolist()) - {label})
        values.append((b - a) / max(a, b) if max(a, b) > 0 else 0.0)
    return math.fsum(values) / len(values)


@settings(max_examples=60)
@given(st.integers(2, 150), st.integers(2, 8), st.sampled_from([1, 2, 5, 7]), st.integers(0, 2**32))
def test_silhouette_equals_the_definition_in_any_order(count: int, k: int, dimensions: int, random_seed: int) -> None:
    points, _ = random_points(count, random_seed, dimensions)
    random = np.random.default_rng(random_seed)
    labels = random.integers(0, k, count).astype(np.int32)
    labels[:2] = [0, 1]
    order = random.permutation(count)
    expected = _core.silhouette(points, labels, k)
    assert expected == pytest.approx(silhouette_oracle(points, labels), abs=1e-6)
    for way in every_way():
        assert _core.silhouette(points, labels, k, **way) == expected
        assert _core.silhouette(points[:, order].copy(), labels[order], k, **way) == expected


@settings(max_examples=40)
@given(st.integers(2, 150), st.lists(st.integers(2, 8), min_size=1, max_size=5), st.integers(0, 2**32))
def test_silhouettes_equal_one_at_a_time(count: int, ks: list[int], random_seed: int) -> None:
    points, _ = random_points(count, random_seed)
    random = np.random.default_rng(random_seed)
    labels = np.stack([random.integers(0, k, count) for k in ks]).astype(np.int32)
    labels[:, :2] = [0, 1]
    expected = [_core.silhouette(points, own, k) for own, k in zip(labels, ks, strict=True)]
    assert reference_silhouettes(points, labels, ks) == pytest.approx(expected, abs=1e-6)
    for way in every_way():
        assert _core.silhouettes(points, labels, ks, **way).tolist() == expected


def test_silhouettes_of_nested_and_of_equal_labellings() -> None:
    points, hashes = random_points(2_000, 15)
    seeds = _core.seed_centroids(points, hashes, 12, 0)
    ks = [2, 5, 12, 5]
    labels = np.stack([_core.assign(points, seeds[:k].copy())[0] for k in ks])
    together = _core.silhouettes(points, labels, ks, threads=2)
    assert together.tolist() == [_core.silhouette(points, own, k) for own, k in zip(labels, ks, strict=True)]
    assert together[1] == together[3]


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6, 1e15])
def test_silhouette_knows_no_scale(scale: float) -> None:
    points, _ = random_points(200, 5, 2)
    labels = (points[0] > np.median(points[0])).astype(np.int32)
    scaled = (points * scale).astype(np.float32)
    assert _core.silhouette(scaled, labels, 2) == pytest.approx(_core.silhouette(points, labels, 2), abs=1e-5)


def test_silhouette_where_all_points_coincide() -> None:
    points = np.full((5, 6), 0.3, np.float32)
    assert _core.silhouette(points, np.array([0, 0, 0, 1, 1, 1], np.int32), 2) == 0.0
