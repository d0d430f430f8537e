"""The compiled arithmetic of covey.stats against SciPy's and NumPy's, by formulas of their own.

Formulas that tests/stats holds against mpmath through the public functions are not repeated here.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from covey import _core

COUNTS = st.floats(0, 1e7)
LEVELS = st.floats(1e-4, 1 - 1e-4)
LOGARITHMS = st.floats(-800, 800) | st.just(-math.inf)


def close(found: object, expected: object, tolerance: float = 1e-12) -> bool:
    values = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    return bool(np.allclose(*values, rtol=tolerance, atol=tolerance, equal_nan=True))


@settings(max_examples=200)
@given(COUNTS, COUNTS, LEVELS)
def test_a_level_is_scipys_beta_functions(events: float, others: float, level: float) -> None:
    """Where SciPy's tail is a double, up to what its large terms lose to cancellation; and so the other way round."""
    a, b = 200 * level, 200 * (1 - level)
    tail, prior = special.betaincc(a + events, b + others, level), special.betaincc(a, b, level)
    terms = (
        special.betaln(a + events, b + others),
        -special.betaln(a, b),
        -events * math.log(level),
        -others * math.log1p(-level),
    )
    found = float(_core.bernoulli_log_e_greater(events, events + others, level, 200.0))
    lost = 1e-9 + 1e-14 * sum(map(abs, terms)) + 1e-15 * float(special.gammaln(200 + events + others))
    if tail > 1e-250:
        assert abs(found - (sum(terms) + math.log(tail) - math.log(prior))) < lost
    mirrored = float(_core.bernoulli_log_e_less(others, events + others, 1 - level, 200.0))
    # 1 - level is rounded, and every event counts that.
    assert abs(mirrored - found) < lost + 1e-15 / min(level, 1 - level) * (events + others)


@pytest.mark.parametrize("level", [1e-3, 0.5])
@pytest.mark.parametrize("trials", [1e4, 1e9])
def test_at_the_level_itself_the_fraction_still_converges(level: float, trials: float) -> None:
    """Half of the posterior lies beyond: ln E is that of the densities there, which Stirling's formula gives."""
    found = float(_core.bernoulli_log_e_greater(trials * level, trials, level, 200.0))
    deviation = math.sqrt(level * (1 - level) / trials)
    a, b = 200 * level, 200 * (1 - level)
    density = math.exp((a - 1) * math.log(level) + (b - 1) * math.log1p(-level) - special.betaln(a, b))
    expected = math.log(density / special.betaincc(a, b, level) * deviation * math.sqrt(math.pi / 2))
    assert found == pytest.approx(expected, abs=20 / math.sqrt(trials * level))


@given(st.lists(LOGARITHMS, min_size=1, max_size=9))
def test_sums_of_exponentials_are_numpys(values: list[float]) -> None:
    assert close(_core.log_sum_exp(np.array(values)), np.logaddexp.reduce(values), 1e-13)
    doubled = _core.log_sum_exp(np.array([values, values]))
    assert doubled.shape == (2,)
    assert doubled[0] == doubled[1]


@given(st.lists(st.tuples(LOGARITHMS, st.floats(-50, 50)), min_size=1, max_size=9), LOGARITHMS, LOGARITHMS)
def test_masses_grow_and_mix_as_numpys(masses: list[tuple[float, float]], starting: float, waiting: float) -> None:
    before, increments = np.array(masses).T.copy()
    weights = np.full(len(before), -math.log(len(before)))
    grown, log_e = _core.advance_start_times(before, increments, weights, 0.0, starting, waiting)
    assert close(grown, np.logaddexp(before, starting) + increments, 1e-13)
    assert close(log_e, np.logaddexp(np.logaddexp.reduce(grown + weights), waiting), 1e-13)
    first, _ = _core.advance_start_times(None, increments, weights, -0.7, starting, waiting)
    assert close(first, np.logaddexp(-0.7, starting) + increments, 1e-13)


@given(COUNTS, COUNTS, st.floats(0, 1), st.floats(0.1, 10), st.floats(0.01, 500))
def test_a_ratio_is_the_binomial_of_its_share(x: float, y: float, share: float, null: float, ratio: float) -> None:
    if 1e-9 < share < 1 - 1e-9:
        theta, under = (r * share / (r * share + 1 - share) for r in (ratio, null))
        expected = x * math.log(theta / under) + y * (
            math.log1p(-theta) - math.log1p(-under) if max(theta, under) < 0.5 else math.log((1 - theta) / (1 - under))
        )
        assert abs(float(_core.rate_ratio_step(x, y, share, null, ratio)) - expected) < 1e-6 + 1e-12 * (x + y) * 100
    for silent in ((x, y, 0.0, null, ratio), (x, y, 1.0, null, ratio), (x, y, 0.5, math.nan, ratio)):
        assert _core.rate_ratio_step(*silent) == 0.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(50, 500)), min_size=2, max_size=30))
def test_a_design_effect_is_the_variance_over_the_binomial_one(ticks: list[tuple[int, int]]) -> None:
    x, n = np.array(ticks, dtype=np.float64).T
    sums = ((x * x / n).sum(), x.sum(), n.sum(), len(x))
    rate = x.sum() / n.sum()
    expected = 1.0
    if 0 < rate < 1:
        expected = max(1.0, (((x - n * rate) ** 2 / n).sum() / (rate * (1 - rate))) / (len(x) - 1))
    assert close(_core.design_effect(*sums, 2), expected, 1e-9)
    assert _core.design_effect(*sums, len(x) + 1) == 1.0, "too few ticks"
    assert _core.shown_design_effect(*sums, 2) in {1.0, _core.design_effect(*sums, 2)}


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), min_size=2, max_size=12))
def test_the_spread_is_brents_root(segments: list[tuple[float, float]]) -> None:
    effects, errors = np.array(segments).T.copy()
    q = _core.generalised_q(effects, errors, 0.0)
    weights = 1 / errors**2
    assert close(q, (weights * (effects - np.average(effects, weights=weights)) ** 2).sum(), 1e-9)
    target = 0.5 * q
    assert _core.tau2_of_q(effects, errors, q) == 0.0
    if q > 1e-6:
        expected = optimize.brentq(lambda tau2: _core.generalised_q(effects, errors, tau2) - target, 0, 1e3, xtol=1e-15)
        assert close(_core.tau2_of_q(effects, errors, target), expected, 1e-10)


def test_arguments_that_no_data_has_are_refused_by_name() -> None:
    for function, arguments, text in (
        (_core.bernoulli_log_e_greater, (3.0, 2.0, 0.1, 200.0), "between 0 and trials"),
        (_core.bernoulli_log_e_less, (1.0, math.nan, 0.1, 200.0), "finite"),
        (_core.bernoulli_log_e_less, (1.0, 2.0, 1.0, 200.0), "p0"),
        (_core.bernoulli_lower_end, (-1.0, 2.0, 3.0, 200.0), "between 0 and trials"),
        (_core.two_sided_half_width, (-1.0, 2.0, 0.1, 5000.0), "variance"),
        (_core.one_sided_half_width, (1.0, 0.0, 0.1, 5000.0), "n must"),
        (_core.one_sided_half_width, (1.0, 2.0, 0.5, 5000.0), "alpha"),
        (_core.advance_start_times, (None, np.array([math.nan]), np.zeros(1), 0.0, 0.0, 0.0), "log_increments"),
        (_core.advance_start_times, (None, np.zeros(2), np.zeros(3), 0.0, 0.0, 0.0), "log_weights"),
        (_core.between_learner_error, (np.zeros((2, 3)), np.zeros(4), np.zeros(1)), "shard_trials"),
        (_core.relative_effects, (np.zeros((2, 6)), np.zeros((2, 6)), np.zeros(2, dtype=bool)), "shape"),
        (_core.log_sum_exp, (np.array(1.0),), "axis"),
    ):
        with pytest.raises(ValueError, match=text):
            function(*arguments)  # type: ignore[operator]
