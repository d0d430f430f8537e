"""The friendly side of grouped moments, resampling and the quantile sketch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core
from covey.errors import InputError
from covey.moments import grouped_moments
from covey.reference import moments as reference
from covey.reference.sketch import quantile
from covey.resampling import poisson_bootstrap, rerandomise
from covey.sketch import DEFAULT_GROWTH, QuantileSketch

SIZE = 5000
RANDOM = np.random.default_rng(1)
METRICS = {"revenue": RANDOM.lognormal(0, 1, SIZE), "hours": RANDOM.normal(5, 1, SIZE).astype(np.float32)}
HASHES = _core.hash_integers(np.arange(SIZE))


def test_means_variances_and_covariances_are_numpys() -> None:
    codes = RANDOM.integers(0, 4, SIZE).astype(np.uint8)
    moments = grouped_moments(METRICS, codes, 5)
    for group in range(4):
        rows = [values[codes == group].astype(float) for values in METRICS.values()]
        assert moments.count[group] == len(rows[0])
        assert moments.mean[group] == pytest.approx([values.mean() for values in rows], rel=1e-13)
        assert moments.variance[group] == pytest.approx([values.var(ddof=1) for values in rows], rel=1e-11)
        assert moments.covariance("hours", "revenue")[group] == pytest.approx(np.cov(*rows)[0, 1], rel=1e-9)
    assert moments.count[4] == 0
    assert np.isnan(moments.mean[4]).all()
    assert np.isnan(moments.variance[4]).all()


def test_only_the_products_asked_for_are_there() -> None:
    assert grouped_moments(METRICS, products="none").product.shape == (1, 0)
    assert grouped_moments(METRICS, products="squares").pairs == ((0, 0), (1, 1))
    moments = grouped_moments(METRICS, products=[("hours", "revenue")])
    assert moments.covariance("revenue", "hours").shape == (1,)
    with pytest.raises(InputError, match="no sum of 'hours' x 'hours' was made"):
        moments.covariance("hours", "hours")
    with pytest.raises(InputError, match="'days' is no metric; expected one of revenue, hours"):
        grouped_moments(METRICS, products=[("days", "hours")])
    with pytest.raises(InputError, match="products is 'some'"):
        grouped_moments(METRICS, products="some")  # type: ignore[arg-type]


def test_bad_values_are_named_by_metric_and_row() -> None:
    broken = METRICS | {"hours": METRICS["hours"].copy()}
    broken["hours"][17] = np.nan
    for call in (
        lambda: grouped_moments(broken),
        lambda: rerandomise(broken, HASHES, seed=1, replicates=2),
        lambda: poisson_bootstrap(broken, HASHES, seed=1, replicates=2),
    ):
        with pytest.raises(InputError, match=r"hours\[17\] is nan"):
            call()
    grouped_moments(broken, include=np.isfinite(broken["hours"]))


def test_arms_of_a_split_are_the_learners_of_its_rule() -> None:
    arms = rerandomise(METRICS, HASHES, seed=7, replicates=20, share_basis_points=2500, first_replicate=3)
    for r in range(20):
        rows = reference.candidate_rows(7, r + 3, 2500, HASHES)
        assert arms.candidate.count[0, r] == rows.sum()
        assert arms.baseline.count[0, r] == SIZE - rows.sum()
        # A split's arms as groups give the same sums, bit for bit.
        both = grouped_moments(METRICS, rows.astype(np.uint8), 2, products="squares")
        for arm, group in ((arms.baseline, 0), (arms.candidate, 1)):
            assert arm.sum[0, r].tobytes() == both.sum[group].tobytes()
            assert arm.product[0, r].tobytes() == both.product[group].tobytes()


def test_the_bootstrap_finds_the_standard_error() -> None:
    means = poisson_bootstrap(METRICS, HASHES, seed=3, replicates=2000).mean[0]
    truth = [values.std() / np.sqrt(SIZE) for values in METRICS.values()]
    assert means.std(axis=0) == pytest.approx(truth, rel=0.08)


def test_draws_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="seed is -1"):
        rerandomise(METRICS, HASHES, seed=-1, replicates=1)
    with pytest.raises(InputError, match="expected at least one, numbered below 131072"):
        rerandomise(METRICS, HASHES, seed=0, replicates=0)
    with pytest.raises(InputError, match="numbered below 131072"):
        poisson_bootstrap(METRICS, HASHES, seed=0, replicates=2, first_replicate=131_071)
    with pytest.raises(InputError, match="share_basis_points is 10001"):
        rerandomise(METRICS, HASHES, seed=0, replicates=1, share_basis_points=10_001)


# ---- sketch ----


@settings(max_examples=60)
@given(
    st.lists(
        st.floats(-1e300, 1e300).filter(lambda x: x == 0 or abs(x) > 1e-300) | st.floats(-9, 9).map(round).map(float),
        min_size=1,
        max_size=300,
    ),
    st.sampled_from([1.001, DEFAULT_GROWTH, 2.0]),
)
def test_quantiles_keep_their_bound_and_merges_their_bits(numbers: list[float], growth: float) -> None:
    values = np.array(numbers)
    sketch = QuantileSketch.of(values, growth)
    assert sketch.count == len(values)
    for q in (0.0, 0.01, 0.5, 0.9, 0.99, 1.0):
        truth = quantile(values, q)
        assert abs(sketch.quantile(q) - truth) <= abs(truth) * (sketch.relative_error + 1e-12)
    parts = [QuantileSketch.of(values[start::3].copy(), growth) for start in range(3)]
    merged = parts[2].merged(QuantileSketch(growth)).merged(parts[0]).merged(parts[1])
    assert merged.to_bytes() == sketch.to_bytes()
    assert QuantileSketch.from_bytes(sketch.to_bytes()).to_bytes() == sketch.to_bytes()


def test_the_largest_float_has_a_quantile() -> None:
    largest = np.finfo(np.float64).max
    sketch = QuantileSketch.of(np.array([largest, -largest, 1e-320]))
    assert sketch.zeros == 1
    assert sketch.quantile(1.0) == pytest.approx(largest, rel=0.025)
    assert sketch.quantile(0.0) == pytest.approx(-largest, rel=0.025)
    assert sketch.quantile(0.5) == 0.0


def test_sketches_refuse_what_they_cannot_answer() -> None:
    sketch = QuantileSketch.of(np.arange(1.0, 100.0))
    with pytest.raises(InputError, match=r"q is 1\.5"):
        sketch.quantile(1.5)
    with pytest.raises(InputError, match="is empty"):
        QuantileSketch().quantile(0.5)
    with pytest.raises(InputError, match="cannot be merged"):
        sketch.merged(QuantileSketch(1.02))
    with pytest.raises(InputError, match=r"seconds\[1\] is nan"):
        QuantileSketch.of(np.array([1.0, np.nan]), name="seconds")
    with pytest.raises(InputError, match=r"growth is 1\.0"):
        QuantileSketch.of(np.ones(2), 1.0)
    data = sketch.to_bytes()
    with pytest.raises(InputError, match="are no quantile sketch"):
        QuantileSketch.from_bytes(b"x" * len(data))
    with pytest.raises(InputError, match="cut off or damaged"):
        QuantileSketch.from_bytes(data[:-1])
    with pytest.raises(InputError, match="that none can have"):
        QuantileSketch.from_bytes(data[:-8] + (-1).to_bytes(8, "little", signed=True))
