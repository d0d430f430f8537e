"""1,000 random splits of 1M learners x 5 metrics against NumPy: sums and sums of squares of both arms.

    python benchmarks/bench_rerandomisation.py [--smoke]

The rival in its best plain form: per split one vectorised hash of all learners, a boolean mask, and masked sums as a
matrix product of the mask with the terms (5 metrics and their squares, made once). Ten of its splits are measured and
its time is taken times a hundred; ours makes all thousand. Nobody's hash of the learners' ids counts.

What makes the difference: a block of 64 learners has the sums of all 16 subsets of each four neighbours ready (32
KiB), so four bits of a split's mask cost one load and one addition per eight terms; two splits share one 64-bit hash,
compared as two 32-bit halves at once; the sums of 1,024 splits stay in the second cache. The masks of 32 splits are
made before their sums: hashing and adding wait for different things, and side by side they took a quarter longer.
Half of the time at AVX-512 (1.0 cycles per learner and split) goes to hashing, where one port does all products and
shifts, half to the sums. The product form of the rival is its fastest at 1M learners, the compressed sums at 100,000.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import harness
from covey import _core
from covey.reference.moments import candidate_rows

CLAIMS_HERE = ("1,000 re-randomisations of 1M learners x 5 metrics over numpy (extrapolated from 10)",)
METRICS, SPLITS, MEASURED = 5, 1000, 10
SQUARES = [(m, m) for m in range(METRICS)]
SHARE_BASIS_POINTS = 5000
ROUNDS = 5


def with_numpy(metrics: list[Any], squares: list[Any], hashes: Any) -> Any:
    """Candidate's sums and sums of squares of ten splits, shape (10, 10); the baseline's follow from the totals."""
    rows = []
    for split in range(MEASURED):
        chosen = candidate_rows(1, split, SHARE_BASIS_POINTS, hashes)
        rows.append([values.sum(where=chosen) for values in (*metrics, *squares)])
    return np.array(rows)


def with_compression(metrics: list[Any], squares: list[Any], hashes: Any) -> Any:
    """The same, taking the chosen rows out first."""
    rows = []
    for split in range(MEASURED):
        chosen = candidate_rows(1, split, SHARE_BASIS_POINTS, hashes)
        rows.append([values[chosen].sum() for values in (*metrics, *squares)])
    return np.array(rows)


def with_product(terms: Any, hashes: Any) -> Any:
    """The same, as a product of the mask with the terms (n, 10)."""
    return np.array(
        [candidate_rows(1, split, SHARE_BASIS_POINTS, hashes).astype(np.float64) @ terms for split in range(MEASURED)]
    )


def run(smoke: bool) -> list[harness.Row]:
    """The claim, one thread; further ways as notes."""
    learners = 100_000 if smoke else 1_000_000
    random = np.random.default_rng(0)
    metrics = [random.lognormal(0, 1, learners) for _ in range(METRICS)]
    squares = [values * values for values in metrics]
    terms = np.ascontiguousarray(np.stack([*metrics, *squares], axis=1))
    hashes = _core.hash_integers(np.arange(learners))

    def ours(threads: int = 1, isa: str | None = None, splits: int = SPLITS) -> Callable[[], Any]:
        return lambda: _core.rerandomise(
            hashes, metrics, 1, splits, SHARE_BASIS_POINTS, products=SQUARES, threads=threads, isa=isa
        )

    rivals: dict[str, Callable[[], Any]] = {
        "numpy sum(where=)": lambda: with_numpy(metrics, squares, hashes),
        "numpy compressed sums": lambda: with_compression(metrics, squares, hashes),
        "numpy mask @ terms": lambda: with_product(terms, hashes),
    }
    (_, sums, products), _ = ours(splits=MEASURED)()
    found = np.concatenate([sums[0], products[0]], axis=1)
    for rival in rivals.values():
        np.testing.assert_allclose(found, rival(), rtol=1e-9)
    contenders = {"ours": ours()} | rivals
    if not smoke:
        contenders["two threads"] = ours(2)
        contenders |= {isa: ours(isa=isa) for isa in _core.available_isas()[1:]}
    seconds = harness.interleave(contenders, rounds=ROUNDS)
    extrapolated = {name: [time * SPLITS / MEASURED for time in seconds[name]] for name in rivals}
    for name, times in (seconds | extrapolated).items():
        harness.note(f"{SPLITS:,} splits of {learners:,} learners, {name}: {min(times):.2f} s at best")
    best = min(rivals, key=lambda name: sorted(extrapolated[name])[ROUNDS // 2])
    return [
        harness.claim_result(
            CLAIMS_HERE[0],
            ours=seconds["ours"],
            rival=extrapolated[best],
            rival_name=f"{best}, extrapolated",
            unit="s",
            n=learners,
        )
    ]


if __name__ == "__main__":
    harness.main(run)
