from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import asymptotic_cs, minimum_detectable_effect, required_n


def quantile(chance: float) -> mpmath.mpf:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(chance) - 1)


@settings(max_examples=80)
@given(
    st.floats(0.01, 100),
    st.floats(1e-4, 10),
    st.floats(1e-6, 0.3),
    st.floats(0.4, 0.999),
    st.floats(0, 0.95),
    st.floats(0.001, 0.999),
    st.sampled_from([1, 2]),
)
def test_it_is_the_formula(  # type: ignore[no-untyped-def]
    cv: float, effect: float, alpha: float, power: float, rho2: float, allocation: float, sides
) -> None:
    options = {"alpha": alpha, "power": power, "rho2": rho2, "allocation": allocation, "sides": sides}
    with mpmath.workdps(40):
        reach = quantile(power) - quantile(alpha / sides)
        arms = 1 + mpmath.mpf(allocation) / (1 - mpmath.mpf(allocation))
        expected = float(reach**2 * mpmath.mpf(cv) ** 2 / mpmath.mpf(effect) ** 2 * arms * (1 - mpmath.mpf(rho2)))
    found = required_n(cv, effect, **options)
    assert float(found) == pytest.approx(expected, rel=1e-9)
    assert float(required_n(cv, -effect, **options)) == float(found)
    for always_valid in (False, True):
        n = required_n(cv, effect, **options, always_valid=always_valid)
        assert float(minimum_detectable_effect(cv, n, **options, always_valid=always_valid)) == pytest.approx(
            effect, rel=1e-9
        )


def test_figures() -> None:
    """The textbook's sixteen, and the million learners of GATES for 3 % of revenue with 2 % payers."""
    assert float(required_n(1.0, 1.0)) == pytest.approx(15.698, abs=1e-3)
    cv = math.sqrt(2 / 0.02 - 1)  # of what 2 % payers spend, with a CV of 1 among them
    assert 1.2e6 < float(required_n(cv, 0.03, sides=1)) < 1.5e6
    assert float(required_n(cv, 0.03, sides=1, rho2=0.5)) == pytest.approx(float(required_n(cv, 0.03, sides=1)) / 2)
    assert float(minimum_detectable_effect(cv, 5_000)) == pytest.approx(0.557, abs=1e-3)
    assert float(minimum_detectable_effect(cv, 50_000, allocation=0.1)) == pytest.approx(0.131, abs=1e-3)


def test_shapes() -> None:
    n = required_n(np.array([[1.0], [2.0]]), [0.01, 0.02, 0.05], always_valid=True)
    assert n.shape == (2, 3)
    assert n[1, 2] == pytest.approx(float(required_n(2.0, 0.05, always_valid=True)))
    assert minimum_detectable_effect(1.0, [100, 1000]).shape == (2,)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("cv", [0.3, 10.0])
def test_looking_at_any_time_costs_more(sides, cv: float) -> None:  # type: ignore[no-untyped-def]
    effects = [0.001, 0.01, 0.1]
    cost = required_n(cv, effects, sides=sides, always_valid=True) / required_n(cv, effects, sides=sides)
    assert ((cost > 1.3) & (cost < 6)).all()


@pytest.mark.parametrize(("sides", "always_valid"), [(1, False), (2, False), (1, True), (2, True)])
def test_the_promised_power_is_there(sides, always_valid: bool) -> None:  # type: ignore[no-untyped-def]
    """Relative differences of two arms at the n that it says, decided by the planned test or the sequence's bound."""
    random = np.random.default_rng(21)
    cv, effect, allocation = 1.5, 0.04, 0.25
    n = float(required_n(cv, effect, allocation=allocation, sides=sides, always_valid=always_valid))
    variance = cv**2 * (1 / n + allocation / (1 - allocation) / n)
    estimates = effect + math.sqrt(variance) * random.standard_normal(4000)
    if always_valid:
        side = "two" if sides == 2 else "lower"
        found = asymptotic_cs(estimates, variance * n, n, 0.05, side=side)[0] > 0  # type: ignore[arg-type]
    else:
        found = estimates > math.sqrt(variance) * float(-quantile(0.05 / sides))
    assert found.mean() == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 4000))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: required_n(0, 0.1), "cv"),
        (lambda: required_n(math.nan, 0.1), "cv"),
        (lambda: required_n(1, 0.0), "relative_effect"),
        (lambda: required_n(1, math.inf), "relative_effect"),
        (lambda: required_n(1, 0.1, alpha=0), "alpha"),
        (lambda: required_n(1, 0.1, power=1), "power"),
        (lambda: required_n(1, 0.1, power=0.02), "power"),
        (lambda: required_n(1, 0.1, rho2=1.0), "rho2"),
        (lambda: required_n(1, 0.1, rho2=-0.1), "rho2"),
        (lambda: required_n(1, 0.1, allocation=1.0), "allocation"),
        (lambda: required_n(1, 0.1, sides=3), "sides"),  # type: ignore[arg-type]
        (lambda: required_n(1, 0.1, alpha=0.6, sides=1, always_valid=True, power=0.9), "alpha"),
        (lambda: minimum_detectable_effect(1, 0), "n must"),
        (lambda: minimum_detectable_effect(-1, 10), "cv"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
