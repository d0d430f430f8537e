"""Plans against published sizes, other formulas and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from covey.errors import InputError
from covey.experiment import PlannedOutcome, plan
from covey.experiment.planning import inflation
from covey.experiment.spending import boundaries


def test_a_textbook_size() -> None:
    """Kohavi, Tang, Xu (2020): n = 16 sigma^2 / delta^2 in each arm for 80 % power at 5 %, rounded up."""
    (line,) = plan([PlannedOutcome("y", 10.0, 30.0, 0.05)]).lines
    rule = 2 * 16 * 30.0**2 / 0.5**2
    assert 0.96 < line.fixed_units / rule < 1.0
    exact = 2 * 2 * (norm.isf(0.025) + norm.ppf(0.8)) ** 2 * 30.0**2 / 0.5**2
    assert line.fixed_units == pytest.approx(exact, rel=1e-4)


def test_what_looks_cost() -> None:
    """Jennison and Turnbull (2000): five looks with O'Brien-Fleming boundaries cost 2 to 3 % more units at most,
    and save about a sixth of them on average at 80 % power."""
    most, expected = inflation((0.2, 0.4, 0.6, 0.8, 1.0), 0.05, 0.8)
    assert 1.02 < most < 1.03
    assert 0.80 < expected < 0.85
    # By simulation of the z statistics with that drift.
    random = np.random.default_rng(1)
    fractions = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    drift = (norm.isf(0.025) + norm.ppf(0.8)) * np.sqrt(most)
    paths = np.cumsum(random.normal(0.2 * drift, np.sqrt(0.2), (20_000, 5)), axis=1) / np.sqrt(fractions)
    crossed = paths >= np.array(boundaries(tuple(fractions)))
    assert crossed.any(axis=1).mean() == pytest.approx(0.8, abs=0.012)


def test_many_comparisons_and_an_uneven_split_cost_units() -> None:
    one = PlannedOutcome("y", 10.0, 30.0, 0.05)
    alone = plan([one]).lines[0]
    several = plan([one, PlannedOutcome("kept", 0.2, None, 0.05)], variants=3)
    assert several.comparisons == 4
    assert several.lines[0].fixed_units > 1.5 * alone.fixed_units
    assert plan([one], control_share=0.9).lines[0].fixed_units > 2.5 * alone.fixed_units
    adjusted = plan([PlannedOutcome("y", 10.0, 30.0, 0.05, rho2=0.5)]).lines[0]
    assert adjusted.fixed_units == pytest.approx(alone.fixed_units / 2, rel=1e-3)
    assert alone.always_valid_units > 1.5 * alone.fixed_units
    detectable = plan([one], units=alone.fixed_units).lines[0].detectable
    assert detectable == pytest.approx(0.05, rel=1e-3)
    assert plan([one], units_per_day=1000).lines[0].fixed_days == pytest.approx(alone.fixed_units / 1000, rel=1e-3)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (("y", 0.0, 1.0, 0.1), "the mean is 0"),
        (("y", 1.5, None, 0.1), "the share is 1.5"),
        (("y", 1.0, 0.0, 0.1), "the deviation is 0"),
        (("y", 1.0, 1.0, -0.1), "the minimum effect is -0.1"),
        (("y", 1.0, 1.0, 0.1, 1.0), "rho2 is 1"),
    ],
)
def test_outcomes_that_cannot_be_planned(outcome: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PlannedOutcome(*outcome)  # type: ignore[arg-type]


def test_plans_that_are_none() -> None:
    one = PlannedOutcome("y", 10.0, 30.0, 0.05)
    for changes in ({"variants": 1}, {"looks": 0}, {"units_per_day": 0.0}, {"control_share": 1.0}, {"power": 0.01}):
        with pytest.raises(InputError):
            plan([one], **changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no outcome"):
        plan([])
