from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import mixture_sprt

scales = st.integers(-30, 30).map(lambda exponent: 10.0**exponent)


@settings(max_examples=100)
@given(st.floats(-1e6, 1e6), scales, scales)
def test_it_is_the_formula(z: float, variance: float, tau2: float) -> None:
    difference = z * math.sqrt(variance)
    with mpmath.workdps(80):
        v, t, d = mpmath.mpf(variance), mpmath.mpf(tau2), mpmath.mpf(difference)
        expected = float(mpmath.log(v / (v + t)) / 2 + t * d**2 / (2 * v * (v + t)))
        largest = float(t * d**2 / (2 * v * (v + t)))
    found = float(mixture_sprt(difference, variance, tau2))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-14 * largest)


@pytest.mark.parametrize(("difference", "variance", "tau2"), [(0.0, 1.0, 1.0), (3.0, 2.0, 0.5), (-1.0, 0.1, 4.0)])
def test_it_is_the_mixture_of_likelihood_ratios(difference: float, variance: float, tau2: float) -> None:
    def ratio(effect: mpmath.mpf) -> mpmath.mpf:
        return mpmath.npdf(effect, 0, mpmath.sqrt(tau2)) * mpmath.exp(
            (effect * difference - effect**2 / 2) / mpmath.mpf(variance)
        )

    integral = mpmath.quad(ratio, [-40, -10, -3, 0, 3, 10, 40])
    assert float(mixture_sprt(difference, variance, tau2)) == pytest.approx(float(mpmath.log(integral)), abs=1e-9)


def test_the_expectation_under_the_null_is_one() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    for variance in (0.5, 2.0, 10.0):
        e = np.exp(mixture_sprt(nodes * math.sqrt(variance), variance, 0.3))
        assert float(weights @ e) / math.sqrt(2 * math.pi) == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=40)
@given(st.floats(-100, 100), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), scales)
def test_the_unit_does_not_matter(difference: float, variance: float, tau2: float, unit: float) -> None:
    found = mixture_sprt(difference * unit, variance * unit**2, tau2 * unit**2)
    assert float(found) == pytest.approx(float(mixture_sprt(difference, variance, tau2)), rel=1e-9, abs=1e-9)


def test_no_effect_is_seldom_seen_however_often_one_looks() -> None:
    random = np.random.default_rng(14)
    n = np.arange(1, 1001)
    means = random.standard_normal((1000, 1000)).cumsum(axis=1) / n
    ever = (mixture_sprt(means, 1 / n, 0.01) >= math.log(20)).any(axis=1)
    assert ever.sum() <= 50 + 3 * math.sqrt(50)
    assert (mixture_sprt(means[:, -1] + 0.2, 1e-3, 0.01) >= math.log(20)).mean() > 0.99


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mixture_sprt(0, 0, 1), "variance_of_difference"),
        (lambda: mixture_sprt(0, [1, -1], 1), "variance_of_difference"),
        (lambda: mixture_sprt(0, 1, 0), "tau2"),
        (lambda: mixture_sprt(math.nan, 1, 1), "difference"),
        (lambda: mixture_sprt(0, math.inf, 1), "variance_of_difference"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
