"""Grouped moments against `numpy.bincount`: rows, sums and all sums of products of 5 metrics in 16 groups.

    python benchmarks/bench_moments.py [--smoke]

The rival in its best plain form: codes already of the dtype that it wants, one call per metric and per product,
products of the upper triangle only. Ours gets the same float64 columns and the codes as bytes, and checks both.

What a profile says (columns in the cache, per row at AVX-512): bounds of the columns 1.5 cycles, the rest 11.6, of 18
when every term had a place of its own and all of them were transposed; now only the columns are transposed and
products come from a row times itself moved by 0, 1 and 2 places. On 1M rows of float64 the 40 MB are read twice, which
is a third of the time on a quiet machine and more than half on a busy one. Four additions to memory per row remain.

One thread needs 7.1 ms of processor time at AVX-512, 8.6 at AVX2, 15.5 at baseline, the rival 52 (21 calls of 2.5 ns
per row). The floor of 30 would be 1.7 ms, less than one reading of the columns from memory: the bars were set against
a bincount of 0.945 s, which this rival's best form is far ahead of. Floating point sums in a fixed order would save
the first reading, and with it exactness in any order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import harness
from covey import _core

CLAIMS_HERE = ("grouped moments (1M rows x 5 metrics x 16 groups) over numpy bincount",)
METRICS, GROUPS = 5, 16
PAIRS = [(i, j) for i in range(METRICS) for j in range(i, METRICS)]
ROUNDS = 15


def workload(rows: int) -> tuple[Any, list[Any]]:
    """Codes and metrics of `rows` learners: heavy-tailed, as revenue is."""
    random = np.random.default_rng(0)
    codes = random.integers(0, GROUPS, rows)
    return codes, [random.lognormal(0, 1, rows) for _ in range(METRICS)]


def with_bincount(codes: Any, metrics: list[Any]) -> tuple[Any, Any, Any]:
    """What the rival is asked for: count (16,), sums (5, 16) and products (15, 16)."""
    count = np.bincount(codes, minlength=GROUPS)
    sums = [np.bincount(codes, weights=values, minlength=GROUPS) for values in metrics]
    products = [np.bincount(codes, weights=metrics[i] * metrics[j], minlength=GROUPS) for i, j in PAIRS]
    return count, np.array(sums), np.array(products)


def run(smoke: bool) -> list[harness.Row]:
    """The claim, one thread; further ways as notes."""
    rows = 200_000 if smoke else 1_000_000
    codes, metrics = workload(rows)
    narrow = codes.astype(np.uint8)

    def ours(threads: int = 1, isa: str | None = None, columns: list[Any] = metrics) -> Callable[[], Any]:
        return lambda: _core.grouped_moments(narrow, GROUPS, columns, PAIRS, threads=threads, isa=isa)

    count, sums, products = ours()()
    true_count, true_sums, true_products = with_bincount(codes, metrics)
    assert (count == true_count).all()
    np.testing.assert_allclose(sums, true_sums.T, rtol=1e-11)
    np.testing.assert_allclose(products, true_products.T, rtol=1e-11)
    contenders = {"ours": ours(), "bincount": lambda: with_bincount(codes, metrics)}
    if not smoke:
        contenders["two threads"] = ours(2)
        contenders["float32"] = ours(columns=[values.astype(np.float32) for values in metrics])
        contenders |= {isa: ours(isa=isa) for isa in _core.available_isas()}
    seconds = harness.interleave(contenders, rounds=ROUNDS)
    for name, times in seconds.items():
        harness.note(f"grouped moments, {rows:,} rows, {name}: {min(times) * 1e3:.2f} ms at best")
    return [
        harness.claim_result(
            CLAIMS_HERE[0],
            ours=seconds["ours"],
            rival=seconds["bincount"],
            rival_name=f"numpy {np.__version__} bincount per metric and product",
            unit="s",
            n=rows,
        )
    ]


if __name__ == "__main__":
    harness.main(run)
