from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import ADVANCE_RATIOS, ROLLBACK_RATIOS, rate_ratio, rate_ratio_increments

Ticks = list[tuple[int, int, float]]

ticks_of_counts = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(1e-6, 1 - 1e-6)), min_size=1, max_size=5
)


def columns(ticks: Ticks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, share = (np.array(column, dtype=float) for column in zip(*ticks, strict=True))
    return x, y, share


def oracle(ticks: Ticks, r0: float, ratios: list[float], weights: list[float]) -> float:
    """The definition, in 60 digits."""
    with mpmath.workdps(60):

        def theta(r: float, s: float) -> mpmath.mpf:
            return mpmath.mpf(r) * mpmath.mpf(s) / (mpmath.mpf(r) * mpmath.mpf(s) + 1 - mpmath.mpf(s))

        total = mpmath.mpf(0)
        for r, w in zip(ratios, weights, strict=True):
            log_e = mpmath.mpf(0)
            for x, y, s in ticks:
                log_e += x * mpmath.log(theta(r, s) / theta(r0, s))
                log_e += y * mpmath.log((1 - theta(r, s)) / (1 - theta(r0, s)))
            total += mpmath.mpf(w) * mpmath.exp(log_e)
        return float(mpmath.log(total))


@settings(max_examples=80)
@given(ticks_of_counts, st.sampled_from([0.5, 1.0, 1.2, 2.0]), st.booleans())
def test_it_is_the_definition(ticks: Ticks, r0: float, rollback: bool) -> None:
    ratios = [r0 * ratio for ratio in ROLLBACK_RATIOS] if rollback else [r for r in ADVANCE_RATIOS if r < r0]
    weights = np.arange(1.0, len(ratios) + 1)
    weights /= weights.sum()
    found = float(rate_ratio(*columns(ticks), r0, ratios=ratios, weights=weights))
    scale = 1 + 4 * sum(x + y for x, y, _ in ticks)
    assert found == pytest.approx(oracle(ticks, r0, ratios, list(weights)), rel=1e-11, abs=1e-15 * scale)


def test_small_shares_keep_their_digits() -> None:
    """A candidate with a millionth of the traffic beside 1e9 baseline errors."""
    ticks = [(1003, 10**9, 1e-6)]
    found = float(rate_ratio(*columns(ticks), ratios=[1.25, 1.000001]))
    assert found == pytest.approx(oracle(ticks, 1.0, [1.25, 1.000001], [0.5, 0.5]), rel=1e-9)


@pytest.mark.parametrize(
    ("r0", "ratios", "null"),
    [
        (1.0, ROLLBACK_RATIOS, (1.0, 0.7, 0.0)),
        (1.3, tuple(1.3 * r for r in ROLLBACK_RATIOS), (1.3, 1.0)),
        (2.0, ADVANCE_RATIOS, (2.0, 3.0, 50.0)),
    ],
)
def test_exact_for_poisson_counts(r0: float, ratios: tuple[float, ...], null: tuple[float, ...]) -> None:
    """Expectation at most 1, by enumeration of two ticks; the second share is chosen by what the first one showed."""
    means = (0.7, 1.1)
    for true in null:
        expectation = 0.0
        for x1, y1 in np.ndindex(16, 16):
            first = _poisson(x1, true * means[0] * 0.3) * _poisson(y1, means[0] * 0.7)
            share = 0.05 if x1 > y1 else 0.6
            grid = np.indices((22, 22)).reshape(2, -1)
            second = _poisson(grid[0], true * means[1] * share) * _poisson(grid[1], means[1] * (1 - share))
            x, y = np.broadcast_arrays(x1, grid[0])[0], np.broadcast_arrays(y1, grid[1])[0]
            log_e = rate_ratio(np.stack([x, grid[0]], -1), np.stack([y, grid[1]], -1), [0.3, share], r0, ratios=ratios)
            expectation += float(np.sum(first * second * np.exp(log_e)))
        assert expectation <= 1 + 1e-9
        if true == r0:
            assert expectation == pytest.approx(1.0, abs=2e-3)  # what the enumeration leaves out


def _poisson(count: np.ndarray | int, mean: float) -> np.ndarray:
    counts = np.atleast_1d(np.asarray(count, dtype=float))
    if mean == 0:
        return np.where(counts == 0, 1.0, 0.0)
    factorials = np.array([math.lgamma(value + 1) for value in counts])
    return np.asarray(np.exp(counts * np.log(mean) - mean - factorials))


def _bernoulli_expectations(candidate: int, baseline: int, p: float, r0: float, r: tuple[float, ...]) -> np.ndarray:
    x, y = np.indices((candidate + 1, baseline + 1)).reshape(2, -1)
    chance = np.exp(_log_binomial(candidate, x, p * r0) + _log_binomial(baseline, y, p))
    share = candidate / (candidate + baseline)
    increments = rate_ratio_increments(x[:, np.newaxis], y[:, np.newaxis], share, r0, ratios=r)[:, 0, :]
    return np.asarray(chance @ np.exp(increments))


def _log_binomial(n: int, k: np.ndarray, p: float) -> np.ndarray:
    choose = np.array([math.lgamma(n + 1) - math.lgamma(v + 1) - math.lgamma(n - v + 1) for v in k])
    return np.asarray(choose + k * math.log(p) + (n - k) * math.log1p(-p))


@pytest.mark.parametrize("p", [0.001, 0.05, 0.3, 0.9])
@pytest.mark.parametrize(("candidate", "baseline"), [(1, 1), (5, 25), (20, 20)])
def test_conservative_for_bernoulli_trials_at_equality(p: float, candidate: int, baseline: int) -> None:
    expectations = _bernoulli_expectations(candidate, baseline, p, 1.0, ROLLBACK_RATIOS)
    assert (expectations <= 1 + 1e-12).all()


@pytest.mark.parametrize("p", [0.001, 0.025, 0.3])
@pytest.mark.parametrize(("candidate", "baseline"), [(5, 25), (80, 20)])
def test_conservative_for_bernoulli_trials_at_the_margin(p: float, candidate: int, baseline: int) -> None:
    """Not only at r0 = 1: 1 + z <= e^z holds for every tick at exactly the null's ratio."""
    expectations = _bernoulli_expectations(candidate, baseline, p, 2.0, ADVANCE_RATIOS)
    assert (expectations <= 1 + 1e-12).all()


@settings(max_examples=40)
@given(ticks_of_counts, st.randoms())
def test_order_of_ticks_and_names_of_arms_do_not_matter(ticks: Ticks, random) -> None:  # type: ignore[no-untyped-def]
    x, y, share = columns(ticks)
    tolerance = 1e-13 * (1 + 4 * float(x.sum() + y.sum()))
    found = float(rate_ratio(x, y, share, 1.1, ratios=[1.5, 4.0]))
    mirrored = float(rate_ratio(y, x, 1 - share, 1 / 1.1, ratios=[1 / 1.5, 1 / 4.0]))
    assert mirrored == pytest.approx(found, rel=1e-9, abs=10 * tolerance)
    random.shuffle(ticks)
    assert float(rate_ratio(*columns(ticks), 1.1, ratios=[1.5, 4.0])) == pytest.approx(found, rel=1e-12, abs=tolerance)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_ticks_of_one_share_may_be_merged(counts: list[tuple[int, int]], share: float) -> None:
    x, y = (np.array(column) for column in zip(*counts, strict=True))
    apart = rate_ratio(x, y, share, ratios=ROLLBACK_RATIOS)
    merged = rate_ratio(x.sum(), y.sum(), share, ratios=ROLLBACK_RATIOS)
    assert float(apart) == pytest.approx(float(merged), rel=1e-10, abs=1e-10)


def test_a_further_candidate_event_speaks_against_it() -> None:
    log_e = rate_ratio(np.arange(50)[:, np.newaxis], np.full((50, 1), 300), 0.1, ratios=ROLLBACK_RATIOS)
    assert all(later > earlier for earlier, later in pairwise(log_e))


def test_incremental_is_batch_and_axes_are_kept() -> None:
    random = np.random.default_rng(5)
    x, y = random.poisson(2, (3, 4, 30)), random.poisson(9, (3, 4, 30))
    share = random.uniform(0.05, 0.5, 30)
    increments = rate_ratio_increments(x, y, share, ratios=ROLLBACK_RATIOS)
    assert increments.shape == (3, 4, 30, 9)
    totals = sum(
        rate_ratio_increments(x[..., t : t + 1], y[..., t : t + 1], share[t], ratios=ROLLBACK_RATIOS)[..., 0, :]
        for t in range(30)
    )
    expected = np.log(np.exp(totals).mean(axis=-1))
    assert rate_ratio(x, y, share, ratios=ROLLBACK_RATIOS) == pytest.approx(expected)
    widened = rate_ratio(x, y, share, np.full((3, 4, 1), 1.2), ratios=[1.5, 2.0])
    assert widened == pytest.approx(rate_ratio(x, y, share, 1.2, ratios=[1.5, 2.0]))


def test_a_tick_of_one_arm_says_nothing() -> None:
    """At 100 % there is no baseline: the increments are exactly 0."""
    increments = rate_ratio_increments([7, 0, 3], [0, 9, 5], [1.0, 0.0, 0.25], ratios=ROLLBACK_RATIOS)
    assert (increments[:2] == 0).all()
    assert (increments[2] != 0).all()


def test_figures_of_the_gates() -> None:
    """Alpha 1 %, 100 candidate requests per 30 s at 1 % of the traffic, 0.085 % errors: seldom a false rollback; three
    times the errors are found in 99.9 % of the rollouts, by median after 26 min."""
    random = np.random.default_rng(2)

    def first_seen(multiple: float) -> np.ndarray:
        x = random.binomial(100, 0.00085 * multiple, (500, 240))
        y = random.binomial(9900, 0.00085, (500, 240))
        sums = rate_ratio_increments(x, y, 0.01, ratios=ROLLBACK_RATIOS).cumsum(axis=1)
        seen = np.logaddexp.reduce(sums, axis=-1) - math.log(9) >= math.log(100)
        return np.where(seen.any(axis=1), seen.argmax(axis=1) + 1.0, np.inf)

    assert np.isfinite(first_seen(1.0)).sum() <= 5 + 3 * math.sqrt(5)
    delays = first_seen(3.0) / 2
    assert np.isfinite(delays).mean() >= 0.99
    assert 22 <= np.median(delays) <= 30


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rate_ratio([1], [1], [0.5], ratios=[0.5, 2]), "gains on the null"),
        (lambda: rate_ratio([1], [1], [0.5], ratios=[1, 2]), "gains on the null"),
        (lambda: rate_ratio([1], [1], [0.5], 1.2, ratios=ADVANCE_RATIOS), "gains on the null"),
        (lambda: rate_ratio([1], [1], [0.5], ratios=[]), "one or more"),
        (lambda: rate_ratio([1], [1], [0.5], 0.0, ratios=[2]), "r0"),
        (lambda: rate_ratio([1], [1], [0.5], ratios=[-2]), "ratios"),
        (lambda: rate_ratio([1], [1], [1.5], ratios=[2]), "candidate_share"),
        (lambda: rate_ratio([1], [1], [-0.1], ratios=[2]), "candidate_share"),
        (lambda: rate_ratio([1], [1], [math.nan], ratios=[2]), "candidate_share"),
        (lambda: rate_ratio([1], [0], [0.0], ratios=[2]), "no exposure"),
        (lambda: rate_ratio([0], [1], [1.0], ratios=[2]), "no exposure"),
        (lambda: rate_ratio([1, 2], [1, 2], [0.1, 0.2, 0.3], ratios=[2]), "per tick"),
        (lambda: rate_ratio([1, 2], [1], 0.1, ratios=[2]), "one length"),
        (lambda: rate_ratio([-1], [1], [0.5], ratios=[2]), "candidate_events"),
        (lambda: rate_ratio([1], [math.nan], [0.5], ratios=[2]), "baseline_events"),
        (lambda: rate_ratio([], [], [], ratios=[2]), "length 0"),
        (lambda: rate_ratio([1], [1], [0.5], ratios=[2, 3], weights=[0.5, 0.6]), "sum to 1"),
        (lambda: rate_ratio([1], [1], [0.5], ratios=[2, 3], weights=[1.5, -0.5]), "negative"),
        (lambda: rate_ratio([1], [1], [0.5], ratios=[2, 3], weights=[1.0]), "one per alternative"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
