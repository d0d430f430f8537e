"""What is concluded, and why: verdicts, corrections, translations; every cell against plain NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from covey.experiment import Comparison, DecideBy, Design, Verdict, analyze, parse_outcome, read_units
from covey.experiment.cells import cells_of
from covey.experiment.effects import pooled_theta
from covey.experiment.quantiles import FEWEST_UNITS
from covey.stats import asymptotic_cs, holm

RANDOM = np.random.default_rng(20)
N = 20_000


def table(effect: float = 0.0, variants: int = 2, n: int = N, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    arm = random.integers(0, variants, n)
    before = random.lognormal(0, 0.5, n)
    return {
        "unit": np.arange(n),
        "variant": np.array(["control", "b", "c", "d"])[arm],
        "revenue": before * random.lognormal(0, 0.3, n) + effect * (arm == 1),
        "before": before,
        "sessions": 1.0 + random.poisson(2, n),
        "clicks": random.poisson(2, n).astype(float),
        "kept": (random.random(n) < 0.5 + effect * (arm == 1)).astype(int),
        "days": random.exponential(1 / (1 - effect * (arm == 1)), n),
        "left": np.ones(n),
    }


def analyzed(data: dict[str, Any], *outcomes: str, **changes: Any) -> tuple[Comparison, ...]:
    return analyze(data, Design(tuple(parse_outcome(text) for text in outcomes), **changes)).comparisons


@pytest.mark.parametrize("segments", [1, 5, 90])
def test_every_cell_is_what_numpy_makes_of_its_rows(segments: int) -> None:
    data = table(0.1, variants=3, n=9_000)
    data["revenue"][::7] = np.nan
    outcomes = [
        parse_outcome(text)
        for text in (
            "revenue=mean:revenue;missing=drop",
            "adjusted=mean:days;cuped=before",
            "kept=proportion:kept",
            "rate=ratio:clicks/sessions",
            "p80=quantile:days@0.8",
            "zero=mean:revenue;missing=zero",
        )
    ]
    units = read_units(data, Design(tuple(outcomes)))
    codes = np.random.default_rng(1).integers(0, segments, len(units)).astype(np.int32)
    found = cells_of(units, outcomes, codes, segments)
    y, x = data["days"], data["before"] - data["before"].mean()
    theta = pooled_theta(y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (x * y).sum(), len(y))[0]
    for segment in range(segments):
        in_segment = codes == segment
        for arm in range(3):
            rows = in_segment & (units.codes == arm)
            values = data["revenue"][rows]
            known = values[np.isfinite(values)]
            cell = found["revenue"].arm
            assert cell.n[segment, arm] == len(known)
            assert cell.value[segment, arm] == pytest.approx(known.mean())
            assert cell.variance[segment, arm] == pytest.approx(known.var(ddof=1))
            assert found["zero"].arm.value[segment, arm] == pytest.approx(np.nan_to_num(values).mean())
            assert found["kept"].informative[segment, arm] == data["kept"][rows].sum()
            clicks, sessions = data["clicks"][rows], data["sessions"][rows]
            ratio = clicks.sum() / sessions.sum()
            assert found["rate"].arm.value[segment, arm] == pytest.approx(ratio)
            linear = (clicks - ratio * sessions) / sessions.mean()
            assert found["rate"].arm.variance[segment, arm] == pytest.approx(linear.var(ddof=1))
            if rows.sum() >= FEWEST_UNITS:
                assert found["p80"].arm.value[segment, arm] == pytest.approx(np.quantile(y[rows], 0.8))
            else:
                assert np.isnan(found["p80"].arm.value[segment, arm])
            adjusted = y[rows] - theta * (x[rows] - x[in_segment].mean())
            assert found["adjusted"].arm.value[segment, arm] == pytest.approx(adjusted.mean())
            assert found["adjusted"].arm.variance[segment, arm] == pytest.approx(adjusted.var(ddof=1))


def test_a_split_unlike_the_plan_makes_everything_invalid() -> None:
    data = table(0.5)
    result = analyze(data, Design((parse_outcome("revenue=mean:revenue"),), planned_shares={"control": 3, "b": 1}))
    assert result.split.is_mismatch
    assert result.headline.startswith("INVALID: the units are not split as planned (p = ")
    assert [one.verdict for one in result.comparisons] == [Verdict.invalid]
    assert not result.comparisons[0].survives
    as_planned = analyze(data, Design((parse_outcome("revenue=mean:revenue"),)))
    assert as_planned.comparisons[0].verdict is Verdict.improved


@pytest.mark.parametrize("decide_by", list(DecideBy))
def test_directions(decide_by: DecideBy) -> None:
    outcomes = (
        "up=mean:revenue", "down=mean:revenue;lower", "kept=proportion:kept", "hazard=time:days,left",
        "at=time:days,left;horizon=1",
    )  # fmt: skip
    found = analyzed(table(0.3), *outcomes, decide_by=decide_by, planned_units=N)
    wanted = [Verdict.improved, Verdict.harmed, Verdict.improved, Verdict.improved, Verdict.improved]
    if decide_by is DecideBy.group_sequential:
        wanted[3] = Verdict.undecided  # a plan in units knows no number of events
        assert "nothing: a plan in units" in found[3].why
    assert [one.verdict for one in found] == wanted
    # A duration that one wants to be short: the time until somebody is placed.
    (late,) = analyzed(table(0.3), "placed=time:days,left;lower", decide_by=DecideBy.fixed)
    assert late.verdict is Verdict.harmed


def test_undecided_says_how_many_it_takes_and_that_is_enough() -> None:
    for decide_by in DecideBy:
        (one,) = analyzed(table(0.006, seed=3), "r=mean:revenue", decide_by=decide_by, planned_units=N)
        assert one.verdict is Verdict.undecided
        assert one.needed_units is not None
        assert one.needed_units > N
        assert "Not decidable yet: needs about" in one.why
        # With that many units, the same estimate and spread, the deciding interval just leaves 0 out.
        assert one.effect is not None
        assert one.standard_error is not None
        error = one.standard_error * math.sqrt(N / one.needed_units)
        if decide_by is DecideBy.always_valid:
            _, upper = asymptotic_cs(0.0, error**2 * one.needed_units, one.needed_units, 0.05, n_star=N)
            assert float(upper) == pytest.approx(abs(one.effect), rel=1e-6)
        else:
            assert abs(one.effect) / error == pytest.approx(1.96, abs=0.03)


def test_alike_within_the_margin() -> None:
    data = table(0.0, n=200_000)
    (one,) = analyzed(data, "r=mean:revenue;margin=5%")
    assert one.verdict is Verdict.alike
    (one,) = analyzed(data, "r=mean:revenue;margin=0.01%")
    assert one.verdict is Verdict.undecided


def test_what_cannot_be_compared_is_not_judged_and_says_why() -> None:
    data = table(0.2, n=400) | {
        "same": np.full(400, 0.1),
        "one": np.ones(400),
        "never": np.zeros(400),
        "zero": np.zeros(400),
    }
    found = analyzed(
        data, "same=mean:same", "never=time:days,never", "no=ratio:clicks/zero", "tied=quantile:same",
        "one=proportion:one", "free=time:days,never;horizon=0.1", "fine=mean:revenue",
    )  # fmt: skip
    assert [one.verdict for one in found[:-1]] == [Verdict.not_judged] * 6
    whys = ["constant", "every unit was censored", "denominator is 0", "share the value", "constant", "no event came"]
    for one, why in zip(found, whys, strict=False):
        assert why in one.why
    assert found[-1].verdict is not Verdict.not_judged
    # What cannot be tested is no part of the family that is corrected for.
    assert found[-1].adjusted_log_p == found[-1].reading(DecideBy.fixed).log_p


def test_only_what_survives_the_correction_counts() -> None:
    """Forty outcomes without an effect: without the correction some would count."""
    random = np.random.default_rng(45)
    data: dict[str, Any] = {"unit": np.arange(4000), "variant": np.repeat(["a", "b"], 2000)}
    names = [f"y{i}" for i in range(40)]
    data |= {name: random.normal(5, 1, 4000) for name in names}
    found = analyzed(data, *(f"{name}=mean:{name}" for name in names), decide_by=DecideBy.fixed)
    alone = [one for one in found if one.reading(DecideBy.fixed).excludes_zero]
    assert alone
    assert not [one for one in found if one.survives]
    assert "it would count alone, but not among 40 comparisons" in alone[0].why
    log_p = [one.reading(DecideBy.fixed).log_p for one in found]
    assert [one.adjusted_log_p for one in found] == pytest.approx(list(holm(log_p)))  # type: ignore[arg-type]


def test_the_fixed_reading_claims_nothing_before_its_horizon_or_after_a_look() -> None:
    early = analyzed(table(0.5), "r=mean:revenue", decide_by=DecideBy.fixed, planned_units=2 * N)[0]
    assert early.verdict is Verdict.undecided
    assert "its one look is at 40,000 units, and there are 20,000" in early.why
    looked = analyzed(table(0.5), "r=mean:revenue", decide_by="fixed", planned_units=N, earlier_looks=(5_000,))[0]
    assert "looked at before" in looked.reading(DecideBy.fixed).may_claim
    again = analyzed(table(0.5), "r=mean:revenue", decide_by="group_sequential", planned_units=N, earlier_looks=(N,))[0]
    assert again.verdict is Verdict.undecided


def test_the_always_valid_reading_waits_for_observations() -> None:
    random = np.random.default_rng(5)
    rare = {"unit": np.arange(4000), "variant": np.repeat(["a", "b"], 2000)}
    rare["paid"] = np.where(random.random(4000) < 0.02, 1000.0, 0.0)
    (one,) = analyzed(rare, "paid=mean:paid")
    assert one.verdict is Verdict.undecided
    assert "observations that carry the outcome; the always-valid reading speaks from 100 on" in one.why


def test_the_group_sequential_reading_may_spend_nothing_early() -> None:
    (one,) = analyzed(table(0.5, n=60), "r=mean:revenue", decide_by="group_sequential", planned_units=1_000_000)
    assert one.reading(DecideBy.group_sequential).boundary is None
    assert "no alpha may be spent" in one.why


def test_business_carries_the_deciding_interval() -> None:
    outcomes = (
        "revenue=mean:revenue;worth=2 EUR",
        "kept=proportion:kept",
        "h=time:days,left;horizon=1",
        "hazard=time:days,left",
    )
    found = analyzed(table(0.3), *outcomes, population=50_000)
    money, kept, at, hazard = found
    for one, lines in ((money, money.business), (kept, kept.business), (at, at.business)):
        reading = one.reading(DecideBy.always_valid)
        factors = {"EUR per learner": 2.0, "EUR for 50,000 learners": 100_000.0}
        for line in lines:
            factor = factors.get(line.what, 50_000.0)
            assert (line.estimate, line.low, line.high) == pytest.approx(
                (one.effect * factor, reading.low * factor, reading.high * factor)  # type: ignore[operator]
            )
    assert [line.what for line in money.business] == list(factors)
    assert kept.business[0].what == "learners of 50,000 (kept)"
    assert hazard.business == ()


def test_arms_that_differed_before_are_told() -> None:
    data = table(0.0)
    data["before"] = data["before"] + 0.2 * (data["variant"] == "b")
    result = analyze(data, Design((parse_outcome("r=mean:revenue;cuped=before"),)))
    assert "b differed from control in before before the exposure already" in result.warnings[0]


def test_units_that_are_missing_unevenly_are_told() -> None:
    data = table(0.0)
    lost = (np.random.default_rng(1).random(N) < np.where(data["variant"] == "b", 0.10, 0.05)).astype(bool)
    data["revenue"] = np.where(lost, np.nan, data["revenue"])
    result = analyze(data, Design((parse_outcome("r=mean:revenue;missing=drop"),)))
    assert "units have no r and are left out, unevenly over the variants" in result.warnings[0]


def test_no_p_is_0_and_no_effect_is_nan_however_large_the_difference() -> None:
    data = table()
    data["revenue"] = data["revenue"] + 50.0 * (data["variant"] == "b")
    data["kept"] = (data["variant"] == "b").astype(int)
    result = analyze(data, Design((parse_outcome("r=mean:revenue"), parse_outcome("k=proportion:kept"))))
    for one in result.comparisons:
        assert ", p = " in one.why or one.verdict is Verdict.not_judged
        assert "p = 0" not in one.why
        assert "nan" not in one.why
    assert result.comparisons[0].reading(DecideBy.fixed).log_p < -1000  # type: ignore[operator]


def test_a_formula_of_means_is_as_its_delta_method() -> None:
    data = table(0.2)
    (ratio, formula) = analyzed(data, "r=ratio:clicks/sessions", "f=formula:clicks / sessions")
    assert formula.effect == pytest.approx(ratio.effect, rel=1e-12)
    assert formula.standard_error == pytest.approx(ratio.standard_error, rel=0.1)


def test_needed_for_the_minimum_effect_finds_it_with_the_power_it_says() -> None:
    (one,) = analyzed(table(0.0, n=4000), "r=mean:revenue;minimum=5%", decide_by=DecideBy.fixed)
    assert one.needed_for_minimum is not None
    n = int(one.needed_for_minimum)
    found = 0
    for seed in range(120):
        data = table(0.0, n=n, seed=seed)
        data["revenue"] = data["revenue"] * np.where(data["variant"] == "b", 1.05, 1.0)
        found += analyzed(data, "r=mean:revenue", decide_by=DecideBy.fixed)[0].verdict is Verdict.improved
    assert 0.68 < found / 120 < 0.91
