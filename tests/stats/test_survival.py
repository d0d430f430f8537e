"""Published numbers, statsmodels as a second route, and how often the bands cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from covey.stats.survival import LifeTable, SurvivalCurve, kaplan_meier, kaplan_meier_of, log_rank, log_rank_of

# Freireich et al. (1963), weeks of remission of 42 children: 6-mercaptopurine and placebo; negative: censored.
TREATED = [6, 6, 6, -6, 7, -9, 10, -10, -11, 13, 16, -17, -19, -20, 22, 23, -25, -32, -32, -34, -35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def freireich() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weeks = np.array(TREATED + PLACEBO)
    return np.abs(weeks), weeks > 0, np.repeat([0, 1], 21)


def test_the_leukaemia_trial_as_it_is_printed() -> None:
    """Kleinbaum and Klein, Survival Analysis, chapter 2; the log-log limits as Stata and R print them."""
    weeks, relapsed, group = freireich()
    curve = kaplan_meier(weeks[group == 0], relapsed[group == 0])
    assert curve.durations.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert curve.events.tolist() == [3, 1, 1, 1, 1, 1, 1]
    assert np.round(curve.survival, 4).tolist() == [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    assert np.round(curve.standard_error, 4).tolist() == [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346]
    assert np.round(curve.low, 3).tolist() == [0.620, 0.563, 0.503, 0.432, 0.368, 0.268, 0.188]
    assert np.round(curve.high, 3).tolist() == [0.952, 0.923, 0.889, 0.849, 0.805, 0.747, 0.680]
    assert curve.quantile(0.5) == 23
    assert kaplan_meier(weeks[group == 1], relapsed[group == 1]).quantile(0.5) == 8


def test_the_log_rank_test_of_the_leukaemia_trial_as_it_is_printed() -> None:
    found = log_rank(*freireich())
    assert round(found.statistic, 2) == 16.79
    assert found.degrees_of_freedom == 1
    assert found.observed == (9, 21)
    assert [round(value, 2) for value in found.expected] == [19.25, 10.75]
    assert found.p_value == pytest.approx(4.17e-5, abs=5e-8)


units = st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.integers(0, 2)), min_size=1, max_size=60)


@settings(max_examples=150)
@given(units)
def test_curves_are_those_of_statsmodels(rows: list[tuple[int, bool, int]]) -> None:
    spans, happened, _ = (np.array(column) for column in zip(*rows, strict=True))
    curve = kaplan_meier(spans, happened)
    with np.errstate(divide="ignore", invalid="ignore"):
        oracle = SurvfuncRight(spans + 1, happened)  # its durations are above 0
    steps = np.asarray(oracle.n_events) > 0
    np.testing.assert_array_equal(curve.durations + 1, np.asarray(oracle.surv_times)[steps])
    np.testing.assert_allclose(curve.survival, np.asarray(oracle.surv_prob)[steps], rtol=1e-12)
    left = curve.survival > 0
    np.testing.assert_allclose(curve.standard_error[left], np.asarray(oracle.surv_prob_se)[steps][left], rtol=1e-9)
    assert ((curve.low >= 0) & (curve.low <= curve.survival)).all()
    assert ((curve.survival <= curve.high) & (curve.high <= 1)).all()


@settings(max_examples=150)
@given(units)
def test_the_log_rank_test_is_that_of_statsmodels(rows: list[tuple[int, bool, int]]) -> None:
    spans, happened, group = (np.array(column) for column in zip(*rows, strict=True))
    found = log_rank(spans, happened, group)
    assert sum(found.observed) == happened.sum() == pytest.approx(sum(found.expected))
    if found.degrees_of_freedom < len(np.unique(group)) - 1 or len(np.unique(group)) == 1:
        return  # statsmodels has no answer where a group is never at risk beside another
    statistic, p_value = survdiff(spans + 1, happened, group)
    assert found.statistic == pytest.approx(statistic, rel=1e-7, abs=1e-9)
    assert found.p_value == pytest.approx(p_value, rel=1e-6, abs=1e-9)


def test_counted_units_give_what_single_ones_give() -> None:
    weeks, relapsed, group = freireich()
    weights = np.array([[1, 2], [3, 0]])
    repeated = kaplan_meier(np.repeat([4.0, 9.0], [3, 3]), np.repeat([1, 0, 1], [1, 2, 3]))
    table = LifeTable(np.array([4.0, 9.0]), np.array([6, 3]), weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(kaplan_meier_of(table).survival, repeated.survival)
    times = np.unique(weeks)
    at_risk = [[((weeks >= t) & (group == g)).sum() for g in (0, 1)] for t in times]
    events = [[((weeks == t) & relapsed & (group == g)).sum() for g in (0, 1)] for t in times]
    assert log_rank_of(at_risk, events) == log_rank(weeks, relapsed, group)


def test_nothing_is_said_beyond_the_data() -> None:
    curve = kaplan_meier([2, 3, 5], [1, 0, 0])
    survival, low, high = curve.at([0, 1.9, 2, 5, 5.1])
    np.testing.assert_allclose(survival, [1, 1, 2 / 3, 2 / 3, np.nan])
    assert np.isnan(low[-1]) and np.isnan(high[-1]) and low[2] < 2 / 3 < high[2]
    assert low[0] == pytest.approx(0.025 ** (1 / 3)), "no event among three says little"
    assert np.isnan(curve.quantile(0.5))
    assert curve.restricted_mean(5) == pytest.approx(2 + 3 * 2 / 3)
    assert np.isnan(curve.restricted_mean(6))


def test_all_censored_and_nobody_are_curves_too() -> None:
    censored = kaplan_meier([3, 4], [0, 0])
    assert len(censored.durations) == 0 and censored.unit_count == 2 and np.isnan(censored.quantile(0.5))
    assert censored.at([4])[0].tolist() == [1.0]
    nobody = kaplan_meier([], [])
    assert nobody.unit_count == 0 and np.isnan(nobody.at([1])[0]).all()
    same = log_rank([3, 4], [0, 0], [0, 1])
    assert (same.statistic, same.degrees_of_freedom, same.p_value) == (0.0, 0, 1.0)


def test_where_everybody_is_gone_the_band_goes_down_to_0() -> None:
    curve = kaplan_meier([1, 2], [1, 1])
    assert curve.survival.tolist() == [0.5, 0.0]
    assert curve.low[-1] == 0 and curve.high[-1] == curve.high[0] and curve.standard_error[-1] == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kaplan_meier([-1], [1]), "durations must not be negative; found -1"),
        (lambda: kaplan_meier([np.nan], [1]), "durations must be finite"),
        (lambda: kaplan_meier([1, 2], [1]), "durations and observed must have one shape"),
        (lambda: kaplan_meier([1], [2]), "observed must be True"),
        (lambda: kaplan_meier([1], [1], 1.0), "confidence is 1.0"),
        (lambda: log_rank([1], [1], [-1]), "groups must be whole numbers from 0 on"),
        (lambda: log_rank([1], [1], [0.5]), "groups must be whole numbers from 0 on"),
        (lambda: log_rank([1], [1], [0, 1]), "groups must have shape"),
        (lambda: log_rank_of([[1, 2]], [[2, 0]]), "events must not be negative nor exceed at_risk"),
        (lambda: log_rank_of([1, 2], [2, 0]), "at_risk and events must have one shape"),
    ],
)
def test_nonsense_is_refused_by_name(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


RUNS = 5_000


def inside_the_band(covered: int, runs: int = RUNS, level: float = 0.95) -> bool:
    """Whether so many runs that cover are within the central 99.9 % of what the level promises."""
    return bool(binom.ppf(0.0005, runs, level) <= covered <= binom.ppf(0.9995, runs, level))


def simulated_curves(runs: int, units: int) -> list[SurvivalCurve]:
    random = np.random.default_rng(11)
    lifetimes = random.exponential(1.0, (runs, units))
    ends = random.uniform(0.0, 2.5, (runs, units))
    spans, happened = np.minimum(lifetimes, ends), lifetimes <= ends
    return [kaplan_meier(spans[run], happened[run]) for run in range(runs)]


def test_the_band_covers_as_often_as_it_says() -> None:
    """Exponential lifetimes, a third censored, 150 units: where survival is 0.78, 0.5 and 0.3."""
    curves = simulated_curves(RUNS, 150)
    for duration in (0.25, 0.7, 1.2):
        limits = [curve.at([duration])[1:] for curve in curves]
        covered = sum(bool(low[0] <= np.exp(-duration) <= high[0]) for low, high in limits)
        assert inside_the_band(covered), f"at {duration}: {covered} of {RUNS}"


def test_the_plain_band_would_not_cover_so_often_at_thirty_units() -> None:
    """Why the band is symmetric for ln(-ln S): survival +- 1.96 standard errors covers less than it says."""
    plain = log_log = 0
    for curve in simulated_curves(RUNS, 30):
        survival, low, high = (float(values[0]) for values in curve.at([0.25]))
        step = np.searchsorted(curve.durations, 0.25, side="right") - 1
        half = 1.96 * curve.standard_error[step] if step >= 0 else 0.0
        plain += abs(survival - np.exp(-0.25)) <= half
        log_log += low <= np.exp(-0.25) <= high
    assert not inside_the_band(plain)
    assert abs(log_log / RUNS - 0.95) < abs(plain / RUNS - 0.95)


def test_the_log_rank_test_holds_its_level() -> None:
    random = np.random.default_rng(3)
    group = np.repeat([0, 1, 2], 50)
    rejected = 0
    for _ in range(RUNS):
        lifetimes, ends = random.exponential(1.0, 150), random.uniform(0.0, 2.5, 150)
        spans = np.minimum(lifetimes, ends)
        rejected += log_rank(spans, lifetimes <= ends, group).p_value <= 0.05
    assert inside_the_band(RUNS - rejected), f"{rejected} of {RUNS}"
