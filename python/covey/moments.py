"""Sums, squares and products of metrics per group, exact once the terms are rounded.

    >>> import numpy as np
    >>> moments = grouped_moments({"revenue": np.array([1.0, 2.0, 4.0])}, np.array([0, 1, 1], np.uint8), 2)
    >>> moments.mean.tolist()
    [[1.0], [3.0]]

The same bits for any order of the rows, any number of threads and any instruction set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError

if TYPE_CHECKING:
    from covey._core import Cancellation

Metric = NDArray[np.float32] | NDArray[np.float64]
Metrics = Mapping[str, Metric]
Groups = NDArray[np.uint8] | NDArray[np.int32]
Include = NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.int8]
Pairs = tuple[tuple[int, int], ...]
Products = Literal["all", "squares", "none"] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums per cell; `...` are the leading axes: groups, or groups and replicates.

    Attributes:
        names: of the metrics.
        pairs: which products were summed, as pairs of metric numbers.
        count: rows, int64 of shape (...); of a bootstrap the sum of the weights.
        sum: of each metric, shape (..., metrics).
        product: of each pair, shape (..., pairs).
    """

    names: tuple[str, ...]
    pairs: Pairs
    count: NDArray[np.int64]
    sum: NDArray[np.float64]
    product: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Shape (..., metrics); NaN where there is no row."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.sum / self.count[..., None])

    @property
    def variance(self) -> NDArray[np.float64]:
        """Sample variances, shape (..., metrics); NaN below two rows. Needs every metric's squares."""
        return np.stack([self.covariance(name, name) for name in self.names], axis=-1)

    def covariance(self, first: str, second: str) -> NDArray[np.float64]:
        """Sample covariance of two metrics, shape (...); NaN below two rows.

        From sums: it loses the digits that mean² / variance has, so centre metrics that are far from 0.

        Raises:
            InputError: a name that is no metric, or a product that was not asked for.
        """
        i, j = _number(self.names, first), _number(self.names, second)
        which = [p for p, pair in enumerate(self.pairs) if pair in {(i, j), (j, i)}]
        if not which:
            raise InputError(f"no sum of {first!r} x {second!r} was made", remedy="ask for it in `products`")
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = self.product[..., which[0]] - self.sum[..., i] * (self.sum[..., j] / self.count)
            value = np.where(self.count > 1, spread / (self.count - 1), np.nan)
        return np.maximum(value, 0.0) if i == j else value


def grouped_moments(
    metrics: Metrics,
    group_index: Groups | None = None,
    group_count: int = 1,
    *,
    products: Products = "all",
    include: Include | None = None,
    threads: int = 1,
    cancellation: Cancellation | None = None,
) -> Moments:
    """Rows, sums and sums of products per group.

    Args:
        metrics: 1 ... 8 columns of one length n, float32 or float64, contiguous; read where they are.
        group_index: shape (n,), below `group_count`, uint8 or int32; None: one group.
        group_count: 1 ... 64.
        products: "all" pairs, each metric's "squares", "none", or pairs of names.
        include: shape (n,), false or 0 where a row plays no part whatever it holds; None: every row does.
        threads: at most this many.
        cancellation: ends the call early with `_core.Cancelled`.

    Returns:
        Cells are groups. A term is rounded once to a step of 2^-51 of its metrics' bounds (the power of two above the
        largest magnitude); sums of the rounded terms are exact.

    Raises:
        InputError: a value that is not finite or not below 2^480, a code that is no group, more metrics or groups than
            these; the message names column and row.
        TypeError: another dtype, or columns that are not contiguous.
    """
    from covey import _core

    names, columns = tuple(metrics), list(metrics.values())
    pairs = pair_numbers(names, products)
    with naming_input():
        sums = _core.grouped_moments(
            group_index, group_count, columns, pairs, include, names, threads, cancellation=cancellation
        )
    return Moments(names, pairs, *sums)


def pair_numbers(names: Sequence[str], products: Products) -> Pairs:
    """The pairs of metric numbers that `products` asks for.

    Raises:
        InputError: a word that is none of the three, or a name that is no metric.
    """
    count = len(names)
    if products == "all":
        return tuple((i, j) for i in range(count) for j in range(i, count))
    if products == "squares":
        return tuple((i, i) for i in range(count))
    if products == "none":
        return ()
    if isinstance(products, str):
        raise InputError(f"products is {products!r}", expected="'all', 'squares', 'none' or pairs of metric names")
    return tuple((_number(names, first), _number(names, second)) for first, second in products)


def _number(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise InputError(f"{name!r} is no metric", expected="one of " + ", ".join(names))
    return names.index(name)


class naming_input:  # noqa: N801 - read as the words it is
    """What the core refuses, as the library's own error."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Turns a ValueError into an InputError with the same words."""
        if isinstance(error, ValueError) and not isinstance(error, InputError):
            raise InputError(str(error)) from None
