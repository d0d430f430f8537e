"""Hazards against another library on data that Hypothesis makes up; what they cannot be made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.hazard_regression import PHReg

from covey.errors import InputError
from covey.experiment.cox import cox
from covey.experiment.survival import survival_arm


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 3), st.sampled_from(["efron", "breslow"]))
def test_cox_as_another_library(seed: int, p: int, ties: str) -> None:
    random = np.random.default_rng(seed)
    n = 60
    x = random.normal(0, 1, (n, p))
    time = np.ceil(6 * random.exponential(1, n) * np.exp(-0.4 * x[:, 0]))
    event = (random.random(n) < 0.7).astype(float)
    fit = cox(time, event, x, ties)  # type: ignore[arg-type]
    other = PHReg(time, x, event, ties=ties).fit(disp=0)
    np.testing.assert_allclose(fit.coefficients, other.params, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(fit.standard_errors, other.bse, rtol=2e-4)


def test_cox_is_as_good_for_covariates_far_from_0() -> None:
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (80, 2))
    time, event = random.exponential(1, 80), np.ones(80)
    plain, moved = cox(time, event, x), cox(time, event, 1e6 + 1e-3 * x)
    np.testing.assert_allclose(moved.coefficients, plain.coefficients * 1e3, rtol=1e-4)


def test_what_no_hazard_ratio_can_be_made_of() -> None:
    time, arm = np.arange(1.0, 21.0), np.repeat([0.0, 1.0], 10)
    with pytest.raises(InputError, match="every unit was censored"):
        cox(time, np.zeros(20), arm)
    with pytest.raises(InputError, match="same for all units"):
        cox(time, np.ones(20), np.ones(20))
    with pytest.raises(InputError, match="the events do not tell"):
        cox(time, arm, arm)
    with pytest.raises(InputError, match="one arm has no event"):
        cox(time, np.tile([0.0, 1.0], 10), np.tile([0.0, 1.0], 10))
    with pytest.raises(InputError, match=r"the (events|data) do not (tell|say)"):
        cox(time, np.ones(20), np.column_stack([np.sin(time), 2 * np.sin(time)]))


def test_a_horizon_beyond_the_data_is_refused() -> None:
    with pytest.raises(InputError, match="nobody was followed for 30"):
        survival_arm(np.arange(1.0, 20.0), np.array([1.0, 0.0] * 9 + [0.0]), 30.0)
