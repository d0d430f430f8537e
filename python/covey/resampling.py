"""Random splits and random weights of learners: what an experiment without any effect looks like.

Chance is a function of (seed, replicate, learner), never of a position: the learners may come in any order, in any
partition and with any thread count, and each replicate can be drawn alone.

    bucket(r, h) = half of mix(seed XOR purpose, r // 2, h): the low 32 bits for even r, the high ones for odd r

with `mix` as in `covey.reference.hashing` and h the FNV-1a 64 hash of the learner's id. `purpose` keeps the draws of
one seed apart. This is the traffic split's rule on another hash: MurmurHash3 of every id and salt would cost more than
all sums. Rows of one learner are drawn alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covey.moments import Groups, Include, Metrics, Moments, Products, naming_input, pair_numbers

if TYPE_CHECKING:
    from covey._core import Cancellation


class Arms(NamedTuple):
    """The two arms of every split."""

    candidate: Moments
    baseline: Moments


def rerandomise(
    metrics: Metrics,
    id_hashes: NDArray[np.uint64],
    *,
    seed: int,
    replicates: int,
    share_basis_points: int = 5000,
    first_replicate: int = 0,
    products: Products = "squares",
    group_index: Groups | None = None,
    group_count: int = 1,
    include: Include | None = None,
    threads: int = 1,
    cancellation: Cancellation | None = None,
) -> Arms:
    """Sums of both arms of many random splits of the same learners.

    A learner is the candidate's iff bucket < floor(share_basis_points * 2^32 / 10000).

    Args:
        metrics: 1 ... 8 columns of shape (n,), as in `covey.moments.grouped_moments`.
        id_hashes: shape (n,), of the learners' ids (`_core.hash_integers`, `_core.hash_strings`).
        seed: 0 ... 2^48 - 1.
        replicates: how many splits.
        share_basis_points: the candidate's share, 0 ... 10000.
        first_replicate: number of the first split; all numbers are below 131072.
        products: as `grouped_moments`.
        group_index: as `grouped_moments`.
        group_count: as `grouped_moments`.
        include: as `grouped_moments`.
        threads: at most this many.
        cancellation: ends the call early with `_core.Cancelled`.

    Returns:
        Cells of both arms: (groups, replicates). The arms' fixed-point sums add up to the groups' exactly.

    Raises:
        InputError: as `grouped_moments`; a seed, share or number of replicates out of range.
        TypeError: as `grouped_moments`.
    """
    from covey import _core

    names, columns = tuple(metrics), list(metrics.values())
    pairs = pair_numbers(names, products)
    check_draws(seed, replicates, first_replicate)
    with naming_input():
        candidate, baseline = _core.rerandomise(
            id_hashes, columns, seed, replicates, share_basis_points, first_replicate, pairs, group_index, group_count,
            include, names, threads, cancellation=cancellation,
        )  # fmt: skip
    return Arms(Moments(names, pairs, *candidate), Moments(names, pairs, *baseline))


def poisson_bootstrap(
    metrics: Metrics,
    id_hashes: NDArray[np.uint64],
    *,
    seed: int,
    replicates: int,
    first_replicate: int = 0,
    products: Products = "none",
    group_index: Groups | None = None,
    group_count: int = 1,
    include: Include | None = None,
    threads: int = 1,
    cancellation: Cancellation | None = None,
) -> Moments:
    """Sums in which every learner counts W times, W Poisson with mean 1, drawn anew in each replicate.

    W is the number of k >= 1 with bucket < floor(2^32 P(W >= k)), at most 12. The spread of means (or of ratios of
    sums) over the replicates estimates their standard error. Source: Chamandy, Muralidharan, Najmi, Naidu (2012),
    "Estimating uncertainty for massive data streams".

    Args:
        metrics: as `rerandomise`.
        id_hashes: as `rerandomise`.
        seed: as `rerandomise`.
        replicates: as `rerandomise`.
        first_replicate: as `rerandomise`.
        products: as `rerandomise`.
        group_index: as `rerandomise`.
        group_count: as `rerandomise`.
        include: as `rerandomise`.
        threads: as `rerandomise`.
        cancellation: as `rerandomise`.

    Returns:
        Cells: (groups, replicates); `count` is the sum of the weights, so `mean` is the weighted mean.

    Raises:
        InputError: as `rerandomise`.
        TypeError: as `rerandomise`.
    """
    from covey import _core

    names, columns = tuple(metrics), list(metrics.values())
    pairs = pair_numbers(names, products)
    check_draws(seed, replicates, first_replicate)
    with naming_input():
        sums = _core.poisson_bootstrap(
            id_hashes, columns, seed, replicates, first_replicate, pairs, group_index, group_count, include, names,
            threads, cancellation=cancellation,
        )  # fmt: skip
    return Moments(names, pairs, *sums)


def check_draws(seed: int, replicates: int, first_replicate: int) -> None:
    """Refuse seeds and replicates that the core's integers cannot even take.

    Raises:
        InputError: naming the argument.
    """
    from covey import _core
    from covey.errors import InputError

    if not 0 <= seed < 2**48:
        raise InputError(f"seed is {seed}", expected="0 ... 2^48 - 1")
    if replicates < 1 or first_replicate < 0 or first_replicate + replicates > _core.REPLICATE_LIMIT:
        raise InputError(
            f"replicates are {first_replicate} ... {first_replicate + replicates - 1}",
            expected=f"at least one, numbered below {_core.REPLICATE_LIMIT}",
        )
