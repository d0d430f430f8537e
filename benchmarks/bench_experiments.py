"""Experiments against what people use: a million units x 8 outcomes x 16 segments, Cox, Kaplan-Meier, bootstrap.

    python benchmarks/bench_experiments.py [--units 1000000] [--rounds 5]

Rivals do less: pandas groups means and variances, to which scipy adds Welch's test for every cell; checks of the table,
the split, shrinkage, harm and corrections are ours alone and are counted in our time. lifelines and
statsmodels fit Cox to 20,000 units; results are compared first. NumPy draws the Poisson weights of
a hundred replicates, taken times ten. Interleaved rounds, medians of ratios; no claim of the README rests on them, and
the promise is one second for the whole analysis by segment.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.stats
from statsmodels.duration.hazard_regression import PHReg

import harness
from covey import _core
from covey.experiment import Design, analyze, analyze_segments, parse_outcome, parse_segment
from covey.experiment.cox import cox
from covey.resampling import poisson_bootstrap

OUTCOMES, SEGMENTS, REPLICATES, MEASURED = 8, 16, 1000, 100


def million(units: int) -> pa.Table:
    """A made-up experiment."""
    random = np.random.default_rng(0)
    segments = np.array([f"s{i:02}" for i in range(SEGMENTS)])
    columns: dict[str, Any] = {
        "unit": np.arange(units),
        "variant": pa.array(np.array(["a", "b"])[random.integers(0, 2, units)]).dictionary_encode(),
        "segment": pa.array(segments[random.integers(0, SEGMENTS, units)]).dictionary_encode(),
    }
    columns |= {f"y{i}": random.lognormal(0, 1, units) for i in range(OUTCOMES)}
    return pa.table(columns)


def with_pandas(frame: pd.DataFrame) -> Any:
    """Means and variances by segment and variant, and Welch's p of every cell."""
    grouped = frame.groupby(["segment", "variant"], observed=True)[[f"y{i}" for i in range(OUTCOMES)]]
    found = grouped.agg(["mean", "var", "count"])
    found.columns = [f"{outcome} {what}" for outcome, what in found.columns]
    wide = found.unstack("variant")
    wide.index = wide.index.astype(str)
    wide = wide.sort_index()
    for i in range(OUTCOMES):
        cells = [wide[f"y{i} {what}"][arm].to_numpy() for arm in ("b", "a") for what in ("mean", "var", "count")]
        cells[1], cells[4] = np.sqrt(cells[1]), np.sqrt(cells[4])
        wide[f"y{i} p"] = scipy.stats.ttest_ind_from_stats(*cells, equal_var=False).pvalue
    return wide


def compared(name: str, contenders: dict[str, Any], rounds: int, factors: dict[str, float]) -> None:
    """Print the median times and ratios to ours."""
    seconds = harness.interleave(contenders, rounds=rounds)
    for rival, times in seconds.items():
        scaled = [t * factors.get(rival, 1.0) for t in times]
        ratios = [theirs / own for theirs, own in zip(scaled, seconds["ours"], strict=True)]
        spread = f"{harness.rounded(min(ratios))} to {harness.rounded(max(ratios))}"
        ratio = "" if rival == "ours" else f"{harness.rounded(statistics.median(ratios))} times ours ({spread})"
        print(f"{name:<44}{rival:<24}{statistics.median(scaled) * 1e3:>10,.1f} ms  {ratio}", flush=True)


def segments(units: int, rounds: int) -> None:
    """A whole deep dive against a table of means."""
    table = million(units)
    design = Design(
        tuple(parse_outcome(f"y{i}=mean:y{i}") for i in range(OUTCOMES)),
        segments=(parse_segment("segment"),),
        threads=2,
    )
    frame = table.to_pandas()
    ours, rival = analyze_segments(table, design), with_pandas(frame)
    for i, found in enumerate(ours.tables):
        expected = (rival[f"y{i} mean"]["b"] - rival[f"y{i} mean"]["a"]).to_numpy()
        np.testing.assert_allclose([row.effect for row in found.rows], expected, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(np.exp([row.log_p for row in found.rows]), rival[f"y{i} p"], rtol=1e-6)
    name = f"{units:,} x {OUTCOMES} outcomes x {SEGMENTS} segments"
    compared(
        name,
        {"ours": lambda: analyze_segments(table, design), "pandas + scipy": lambda: with_pandas(frame)},
        rounds,
        {},
    )
    compared(f"{units:,} x {OUTCOMES} outcomes, all units", {"ours": lambda: analyze(table, design)}, rounds, {})


def hazards(rounds: int) -> None:
    """Cox with one covariate and twenty thousand units."""
    from lifelines import CoxPHFitter

    random = np.random.default_rng(1)
    n = 20_000
    x = random.integers(0, 2, n).astype(float)
    time = np.ceil(random.exponential(60 / (1 - 0.1 * x)))
    duration, event = np.minimum(time, 90), (time <= 90).astype(float)
    frame = pd.DataFrame({"t": duration, "e": event, "x": x})

    def lifelines() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(CoxPHFitter().fit(frame, "t", "e").params_["x"])

    def statsmodels() -> float:
        return float(PHReg(duration, x[:, None], event, ties="efron").fit(disp=0).params[0])

    def ours() -> float:
        return float(cox(duration, event, x).coefficients[0])

    np.testing.assert_allclose([lifelines(), statsmodels()], ours(), rtol=1e-4)
    compared(
        f"Cox, {n:,} units, 90 days", {"ours": ours, "lifelines": lifelines, "statsmodels": statsmodels}, rounds, {}
    )


def bootstrap(units: int, rounds: int) -> None:
    """A thousand replicates of the mean of one column."""
    random = np.random.default_rng(2)
    y = random.lognormal(0, 1, units)
    hashes = _core.hash_integers(np.arange(units))

    def ours() -> Any:
        return poisson_bootstrap({"y": y}, hashes, seed=1, replicates=REPLICATES).mean[0, :, 0]

    def with_numpy() -> Any:
        weights = (random.poisson(1.0, units) for _ in range(MEASURED))
        return np.array([weight @ y / weight.sum() for weight in weights])

    np.testing.assert_allclose(ours().std(), with_numpy().std(), rtol=0.35)
    contenders = {"ours": ours, "numpy, extrapolated": with_numpy}
    factors = {"numpy, extrapolated": REPLICATES / MEASURED}
    compared(f"{REPLICATES:,} Poisson replicates of {units:,}", contenders, rounds, factors)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    segments(asked.units, asked.rounds)
    hazards(asked.rounds)
    bootstrap(min(asked.units, 100_000), asked.rounds)


if __name__ == "__main__":
    main()
