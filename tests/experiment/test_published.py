"""Numbers in print, to their printed precision, each by two routes: ours, and another library or the plain formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from covey.experiment import DecideBy, Design, Verdict, analyze, parse_outcome
from covey.experiment.chances import p_words
from covey.experiment.cox import cox
from covey.experiment.effects import Arm, mean_arm, newcombe_interval, proportion_effect, proportion_log_p
from covey.experiment.spending import boundaries
from covey.experiment.split import check_split
from covey.stats import heterogeneity

from . import published


def proportion(events: int, n: int) -> Arm:
    p = np.array([events / n])
    return Arm(p, p * (1 - p), np.array([float(n)]))


def test_freireich_as_an_experiment() -> None:
    """Kleinbaum and Klein (2012), "Survival analysis", chapter 2: medians 23 and 8 weeks, log-rank 16.793."""
    (weeks, ended), (weeks_b, ended_b) = published.remissions(published.SIX_MP), published.remissions(published.PLACEBO)
    table = {
        "unit": np.arange(42),
        "variant": ["6-MP"] * 21 + ["placebo"] * 21,
        "weeks": np.r_[weeks, weeks_b],
        "relapsed": np.r_[ended, ended_b],
    }
    outcomes = (parse_outcome("remission=time:weeks,relapsed"), parse_outcome("free=time:weeks,relapsed;horizon=10"))
    design = Design(outcomes, control="placebo", decide_by=DecideBy.fixed)
    hazard, free = analyze(table, design).comparisons
    assert (hazard.candidate.median, hazard.control.median) == (23, 8)
    assert (hazard.candidate.events, hazard.control.events) == (9, 21)
    chi2, _ = survdiff(np.r_[weeks, weeks_b], np.r_[ended, ended_b], np.repeat([0, 1], 21))
    assert round(float(chi2), 3) == 16.793
    assert hazard.reading(DecideBy.fixed).log_p == pytest.approx(scipy.stats.chi2.logsf(chi2, 1), rel=1e-9)
    assert hazard.verdict is Verdict.improved
    # Tables 2.1 and 2.2: 0.7529 (0.0963) on the drug, 8 of 21 without it.
    assert (round(free.candidate.value or 0, 4), round(free.candidate.standard_error or 0, 4)) == (0.7529, 0.0963)
    other = SurvfuncRight(weeks, ended)
    assert free.candidate.value == pytest.approx(other.surv_prob[other.surv_times == 10][0])
    assert free.control.value == pytest.approx(8 / 21)


@pytest.mark.parametrize(("ties", "printed"), [("breslow", (1.509, 0.410, 4.523)), ("efron", (1.572, 0.412, 4.817))])
def test_freireich_cox(ties: str, printed: tuple[float, float, float]) -> None:
    """Kleinbaum and Klein (2012), chapter 3, model 1 (Breslow's ties); R's survival prints the same with Efron's."""
    (weeks, ended), (weeks_b, ended_b) = published.remissions(published.SIX_MP), published.remissions(published.PLACEBO)
    arm = np.repeat([0.0, 1.0], 21)
    fit = cox(np.r_[weeks, weeks_b], np.r_[ended, ended_b], arm, ties)  # type: ignore[arg-type]
    found = (fit.coefficients[0], fit.standard_errors[0], math.exp(fit.coefficients[0]))
    assert tuple(round(float(value), 3) for value in found) == printed
    other = PHReg(np.r_[weeks, weeks_b], arm[:, None], np.r_[ended, ended_b], ties=ties).fit(disp=0)
    assert fit.coefficients[0] == pytest.approx(other.params[0], rel=1e-6)
    assert fit.standard_errors[0] == pytest.approx(other.bse[0], rel=1e-6)


def test_rossi_cox() -> None:
    """Fox (2002), "Cox proportional-hazards regression for survival data", the table of section 3."""
    data = published.rossi()
    names = ("fin", "age", "race", "wexp", "mar", "paro", "prio")
    x = np.column_stack([data[name] for name in names])
    fit = cox(data["week"], data["arrest"], x)
    printed = {
        "fin": (-0.3794, 0.1914, -1.983), "age": (-0.0574, 0.0220, -2.611), "race": (0.3139, 0.3080, 1.019),
        "wexp": (-0.1498, 0.2122, -0.706), "mar": (-0.4337, 0.3819, -1.136), "paro": (-0.0849, 0.1958, -0.434),
        "prio": (0.0915, 0.0286, 3.194),
    }  # fmt: skip
    z = fit.coefficients / fit.standard_errors
    found = {
        name: (round(float(b), 4), round(float(se), 4), round(float(ratio), 3))
        for name, b, se, ratio in zip(names, fit.coefficients, fit.standard_errors, z, strict=True)
    }
    assert found == printed
    # Likelihood ratio test = 33.3 on 7 degrees of freedom.
    assert round(2 * (fit.log_likelihood - fit.null_log_likelihood), 1) == 33.3
    other = PHReg(data["week"], x, data["arrest"], ties="efron").fit(disp=0)
    np.testing.assert_allclose(fit.coefficients, other.params, rtol=1e-5)
    np.testing.assert_allclose(fit.standard_errors, other.bse, rtol=1e-5)


def test_rossi_as_an_experiment() -> None:
    """Financial aid was assigned at random: alone it decides nothing, and how much more it takes is said."""
    data = published.rossi()
    table = {"unit": np.arange(432), "variant": data["fin"].astype(int), **data}
    design = Design((parse_outcome("rearrest=time:week,arrest"),), decide_by=DecideBy.fixed)
    (found,) = analyze(table, design).comparisons
    # By two routes: PHReg on the one covariate.
    other = PHReg(data["week"], data["fin"][:, None], data["arrest"], ties="efron").fit(disp=0)
    assert found.effect == pytest.approx(math.exp(other.params[0]), rel=1e-6)
    assert found.verdict is Verdict.undecided
    assert found.needed_units is not None
    assert 114 < found.needed_units < 200


def test_a_published_sample_ratio_mismatch() -> None:
    """Kohavi, Tang, Xu (2020), "Trustworthy online controlled experiments", chapter 3: 821,588 users in control,
    815,482 in treatment, planned 50 to 50: "the p-value is 1.8E-6"."""
    found = check_split(("control", "treatment"), (821_588, 815_482), {})
    assert p_words(found.log_p) == "1.8e-06"
    assert found.is_mismatch
    z = (821_588 - 815_482) / math.sqrt(821_588 + 815_482)
    assert math.exp(found.log_p) == pytest.approx(2 * scipy.stats.norm.sf(z), rel=1e-9)


def test_aspirin_and_heart_attacks() -> None:
    """Agresti (2013), "Categorical data analysis", section 3.1: difference 0.008 (0.005, 0.011), relative risk 1.82
    whose logarithm has standard error 0.121 and lower end exp(0.360) = 1.43, for placebo against aspirin."""
    placebo, aspirin = proportion(*published.ASPIRIN_PLACEBO), proportion(*published.ASPIRIN)
    effect = proportion_effect(placebo, aspirin)
    (low,), (high,) = newcombe_interval(placebo, aspirin, 0.05)
    assert [round(float(end), 3) for end in (effect.difference[0], low, high)] == [0.008, 0.005, 0.011]
    error = math.sqrt(effect.relative_variance[0])
    ratio = 1 + float(effect.relative[0])
    assert (round(ratio, 2), round(error, 3), round(ratio * math.exp(-1.959964 * error), 2)) == (1.82, 0.121, 1.43)
    table = [[189, 11_034 - 189], [104, 11_037 - 104]]
    chi2 = scipy.stats.chi2_contingency(table, correction=False)
    assert math.exp(float(proportion_log_p(placebo, aspirin)[0])) == pytest.approx(chi2.pvalue, rel=1e-9)
    other = scipy.stats.contingency.relative_risk(189, 11_034, 104, 11_037)
    assert ratio == pytest.approx(other.relative_risk, rel=1e-12)
    assert ratio * math.exp(1.959964 * error) == pytest.approx(other.confidence_interval().high, rel=1e-6)


def test_student_sleep() -> None:
    """R's documentation of t.test on these data: t = -1.8608, df = 17.776, p = 0.07939, interval -3.3654832,
    0.2054832."""
    groups = [np.array(values) for values in published.SLEEP]
    table = {
        "unit": np.arange(20),
        "variant": ["b"] * 10 + ["a"] * 10,
        "hours": np.concatenate(groups),
    }
    design = Design((parse_outcome("sleep=mean:hours"),), control="a", decide_by=DecideBy.fixed)
    (found,) = analyze(table, design).comparisons
    reading = found.readings[0]
    assert reading.low is not None and reading.high is not None and reading.log_p is not None
    assert (round(reading.low, 7), round(reading.high, 7)) == (-3.3654832, 0.2054832)
    assert round(math.exp(reading.log_p), 5) == 0.07939
    other = scipy.stats.ttest_ind(*groups, equal_var=False)
    assert math.exp(reading.log_p) == pytest.approx(other.pvalue, rel=1e-9)
    assert round(float(mean_arm(10, groups[0].mean(), groups[0].var(ddof=1)).value), 2) == 0.75


def test_boundaries_in_print() -> None:
    """Five equal looks, two-sided 5 %, O'Brien-Fleming spending: Jennison and Turnbull (2000), chapter 7,
    and the documentation of the programs of Reboussin, DeMets, Kim, Lan (2000): 4.877, 3.357, 2.680, 2.290, 2.031."""
    found = boundaries((0.2, 0.4, 0.6, 0.8, 1.0))
    assert [round(limit, 3) for limit in found] == [4.877, 3.357, 2.680, 2.290, 2.031]
    # The other route: the joint normal distribution of the z statistics, whose correlation is sqrt(t_i / t_j).
    fractions = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    correlation = np.sqrt(np.minimum.outer(fractions, fractions) / np.maximum.outer(fractions, fractions))
    for looks in (2, 3):
        inside = scipy.stats.multivariate_normal(cov=correlation[:looks, :looks], abseps=1e-9, releps=1e-9)
        limits = np.array(found[:looks])
        kept = inside.cdf(limits, lower_limit=-limits)
        spent = 4 * scipy.stats.norm.sf(scipy.stats.norm.isf(0.0125) / math.sqrt(fractions[looks - 1]))
        assert 1 - kept == pytest.approx(spent, abs=3e-7)


def test_bcg_heterogeneity() -> None:
    """Viechtbauer (2010), "Conducting meta-analyses in R with the metafor package": Q(12) = 152.233; tau^2
    by DerSimonian and Laird 0.3088."""
    rows = np.array(published.BCG, dtype=np.float64)
    treated, control = rows[:, 0] + rows[:, 1], rows[:, 2] + rows[:, 3]
    effects = np.log(rows[:, 0] / treated / (rows[:, 2] / control))
    variances = 1 / rows[:, 0] - 1 / treated + 1 / rows[:, 2] - 1 / control
    found = heterogeneity(effects, np.sqrt(variances))
    assert round(found.q, 3) == 152.233
    assert round(found.tau2, 4) == 0.3088
    weights = 1 / variances
    pooled = (weights * effects).sum() / weights.sum()
    assert found.q == pytest.approx((weights * (effects - pooled) ** 2).sum(), rel=1e-12)
