"""The two engines behind one set of functions: "native" (the compiled core) and "reference" (NumPy)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.parameters import TraitParameters

Points = NDArray[np.float32]
Hashes = NDArray[np.uint64]

EngineName = Literal["native", "reference"]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total) during long work."""


class Clustering(Protocol):
    """What `Engine.kmeans` answers."""

    @property
    def centroids(self) -> Points:
        """Float32, shape (k, d)."""

    @property
    def labels(self) -> NDArray[np.int32]:
        """Shape (n,)."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Points per cluster, shape (k,)."""

    @property
    def inertia(self) -> float:
        """Sum of the squared distances to the centroids."""

    @property
    def iterations(self) -> int:
        """Updates of the centroids."""

    @property
    def converged(self) -> bool:
        """Whether the last iteration changed no label."""


class Engine(Protocol):
    """The functions of an engine. Points are float32 of shape (d, n); `threads` plays no part in the reference."""

    def compute_traits(self, columns: dict[str, Any], parameters: TraitParameters, threads: int) -> dict[str, Any]:
        """See `covey._core.compute_traits`; `columns` are its arguments by name, narrow or wide."""

    def hash_integers(self, ids: Any) -> Hashes:
        """FNV-1a 64 of the decimal text of each id."""

    def hash_strings(self, offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> Hashes:
        """FNV-1a 64 of each string."""

    def seed_centroids(self, points: Points, id_hashes: Hashes, k: int, seed: int, threads: int) -> Points:
        """k-means++, shape (k', d); k' < k when fewer distinct points exist."""

    def kmeans(self, points: Points, initial: Points, max_iterations: int, threads: int) -> Clustering:
        """Lloyd's iterations until no label changes."""

    def assign(self, points: Points, centroids: Points, threads: int) -> NDArray[np.int32]:
        """The nearest centroid of each point."""

    def silhouette(self, points: Points, labels: NDArray[np.int32], k: int, threads: int) -> float:
        """The mean silhouette, exact over all points."""

    def silhouettes(self, points: Points, labels: NDArray[np.int32], ks: Sequence[int], threads: int) -> list[float]:
        """`silhouette` of each of the labellings (m, n), whose distances are made once."""

    def smallest_hashes(self, id_hashes: Hashes, seed: int, count: int) -> NDArray[np.int64]:
        """Positions of the `count` smallest mixed hashes."""


class _Native:
    """The compiled core."""

    def __init__(self) -> None:
        from covey import _core

        try:
            _core.active_isa()
        except ValueError as error:
            # COVEY_ISA names an implementation that this machine does not have.
            raise InputError(str(error)) from None
        self._core = _core

    def compute_traits(self, columns: dict[str, Any], parameters: TraitParameters, threads: int) -> dict[str, Any]:
        native_parameters = self._core.TraitParameters(**parameters.to_keywords())
        return dict(self._core.compute_traits(**columns, parameters=native_parameters, threads=threads))

    def hash_integers(self, ids: Any) -> Hashes:
        return self._core.hash_integers(ids)

    def hash_strings(self, offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> Hashes:
        return self._core.hash_strings(offsets, data)

    def seed_centroids(self, points: Points, id_hashes: Hashes, k: int, seed: int, threads: int) -> Points:
        return self._core.seed_centroids(points, id_hashes, k, seed, threads=threads)

    def kmeans(self, points: Points, initial: Points, max_iterations: int, threads: int) -> Clustering:
        return self._core.kmeans(points, initial, max_iterations=max_iterations, threads=threads)

    def assign(self, points: Points, centroids: Points, threads: int) -> NDArray[np.int32]:
        return self._core.assign(points, centroids, threads=threads)[0]

    def silhouette(self, points: Points, labels: NDArray[np.int32], k: int, threads: int) -> float:
        return self._core.silhouette(points, labels, k, threads=threads)

    def silhouettes(self, points: Points, labels: NDArray[np.int32], ks: Sequence[int], threads: int) -> list[float]:
        return [float(score) for score in self._core.silhouettes(points, labels, ks, threads=threads)]

    def smallest_hashes(self, id_hashes: Hashes, seed: int, count: int) -> NDArray[np.int64]:
        return self._core.smallest_hashes(id_hashes, seed, count)


class _Reference:
    """Plain NumPy."""

    def compute_traits(self, columns: dict[str, Any], parameters: TraitParameters, threads: int) -> dict[str, Any]:
        from covey.reference.traits import compute_traits

        return compute_traits(**_wide(columns), parameters=parameters)

    def hash_integers(self, ids: Any) -> Hashes:
        from covey.reference import hashing

        return hashing.hash_integers(ids)

    def hash_strings(self, offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> Hashes:
        from covey.reference import hashing

        return hashing.hash_strings(offsets, data)

    def seed_centroids(self, points: Points, id_hashes: Hashes, k: int, seed: int, threads: int) -> Points:
        from covey.reference import kmeans

        return kmeans.seed_centroids(points, id_hashes, k, seed)

    def kmeans(self, points: Points, initial: Points, max_iterations: int, threads: int) -> Clustering:
        from covey.reference import kmeans

        return kmeans.kmeans(points, initial, max_iterations)

    def assign(self, points: Points, centroids: Points, threads: int) -> NDArray[np.int32]:
        from covey.reference import kmeans

        return kmeans.assign(points, centroids)[0]

    def silhouette(self, points: Points, labels: NDArray[np.int32], k: int, threads: int) -> float:
        from covey.reference.silhouette import silhouette

        return silhouette(points, labels, k)

    def silhouettes(self, points: Points, labels: NDArray[np.int32], ks: Sequence[int], threads: int) -> list[float]:
        from covey.reference.silhouette import silhouettes

        return silhouettes(points, labels, ks)

    def smallest_hashes(self, id_hashes: Hashes, seed: int, count: int) -> NDArray[np.int64]:
        from covey.reference import hashing

        return hashing.smallest_hashes(id_hashes, seed, count)


def _wide(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns with a learner index and microseconds in place of offsets and seconds; no cancellation."""
    wide = dict(columns)
    wide.pop("cancellation", None)
    offsets, origin_us = wide.pop("learner_offsets", None), wide.pop("time_origin_us", 0)
    if offsets is not None:
        wide["learner_index"] = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    if wide["time"].dtype == np.uint32:
        wide["time"] = origin_us + wide["time"].astype(np.int64) * 1_000_000
    return wide


def engine_named(name: str) -> Engine:
    """The engine of that name.

    Raises:
        InputError: for another name than "native" or "reference".
    """
    if name == "native":
        return _Native()
    if name == "reference":
        return _Reference()
    raise InputError(f"there is no engine '{name}'", expected=" or ".join(f"'{known}'" for known in ENGINE_NAMES))


def thread_count(threads: int | None) -> int:
    """Threads to use: the number asked for, or one per processor that this process may run on.

    Raises:
        InputError: for a number below 1.
    """
    if threads is None:
        return len(os.sched_getaffinity(0))
    if threads < 1:
        raise InputError(f"threads is {threads}", expected="a number >= 1")
    return threads
