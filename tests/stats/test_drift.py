"""Drift over splits: none is found equivalent to none, one that is there is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from covey import _core
from covey.stats.drift import Drift, drift_of
from covey.stats.rerandomisation import rerandomisation_check

SIZE = 3000
HASHES = _core.hash_integers(np.arange(SIZE))


def test_it_is_the_mean_difference_over_the_mean_of_all() -> None:
    values = np.random.default_rng(0).lognormal(0, 1, SIZE)
    report = rerandomisation_check({"spend": values}, HASHES, seed=1, splits=400, share_basis_points=2000)
    (check,) = report.metrics
    found = drift_of(report, check)
    assert found is not None
    from covey.reference.moments import candidate_rows

    by_hand = []
    for split in range(400):
        rows = candidate_rows(1, split, 2000, HASHES)
        by_hand.append((values[rows].mean() - values[~rows].mean()) / values.mean())
    assert found.estimate == pytest.approx(np.mean(by_hand), rel=1e-6)
    error = np.std(by_hand, ddof=1) / 20
    assert (found.lower, found.upper) == pytest.approx(
        (found.estimate - 1.645 * error, found.estimate + 1.645 * error), rel=1e-3
    )
    assert found.margin == pytest.approx((1.645 + 3.29) * error, rel=1e-3)
    assert found.equivalent


def test_a_measurement_that_favours_an_arm_is_found() -> None:
    values = np.random.default_rng(2).lognormal(0, 0.5, SIZE)
    report = rerandomisation_check({"spend": values}, HASHES, seed=3, splits=400)
    (check,) = report.metrics
    biased = replace(check, effects=(1 + check.effects) * 1.01 - 1)
    found = drift_of(report, biased)
    assert found is not None
    assert found.estimate == pytest.approx(0.01, abs=0.003)
    assert not found.equivalent
    assert drift_of(report, replace(check, effects=np.full(400, np.nan))) is None


def test_both_sides_must_hold() -> None:
    assert Drift(0.0, -0.1, 0.1, 0.2).equivalent
    assert not Drift(0.15, 0.05, 0.25, 0.2).equivalent
    assert not Drift(-0.15, -0.25, -0.05, 0.2).equivalent
