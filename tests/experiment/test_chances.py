"""Logarithms of p values where the p values themselves are 0, against mpmath."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from covey.experiment.chances import log_p_chi2, log_p_normal, log_p_student, p_words


@pytest.mark.parametrize("z", [0.0, 0.5, 3.0, 38.0, 200.0, 1e5])
def test_normal(z: float) -> None:
    with mpmath.workdps(40):
        exact = mpmath.log(mpmath.erfc(z / mpmath.sqrt(2)))
    assert float(log_p_normal(z)) == pytest.approx(float(exact), rel=1e-12, abs=1e-12)
    assert float(log_p_normal(-z)) == float(log_p_normal(z))


@pytest.mark.parametrize("t", [0.0, 1.0, 12.0, 40.0, 300.0, 1e4])
@pytest.mark.parametrize("degrees", [1.0, 4.5, 60.0, 2e3, 1e6])
def test_student(t: float, degrees: float) -> None:
    with mpmath.workdps(60):
        x = mpmath.mpf(degrees) / (degrees + mpmath.mpf(t) ** 2)
        exact = mpmath.log(mpmath.betainc(degrees / 2, 0.5, 0, x, regularized=True)) if degrees < 1e5 else None
    found = float(log_p_student(t, degrees))
    assert math.isfinite(found)
    if exact is not None:
        assert found == pytest.approx(float(exact), rel=1e-9, abs=1e-9)
    elif t < 20:
        assert found == pytest.approx(float(log_p_normal(t)), rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("statistic", [0.0, 1.0, 30.0, 1390.0, 1500.0, 1e5])
@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 30])
def test_chi2(statistic: float, degrees: int) -> None:
    with mpmath.workdps(60):
        exact = mpmath.log(mpmath.gammainc(mpmath.mpf(degrees) / 2, mpmath.mpf(statistic) / 2, regularized=True))
    assert float(log_p_chi2(statistic, degrees)) == pytest.approx(float(exact), rel=1e-10, abs=1e-12)


def test_no_p_is_printed_as_0() -> None:
    assert p_words(0.0) == "1"
    assert p_words(math.log(0.034)) == "0.034"
    assert p_words(math.log(1.8e-6)) == "1.8e-06"
    assert p_words(-5000.0) == "3.4e-2172"
    assert p_words(math.log(9.97e-9)) == "1e-08"
    for log_p in np.linspace(-3000, 0, 700):
        assert float(p_words(log_p).split("e")[0]) > 0
