from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.stats import bernoulli_interval, bernoulli_level, needed_n


def oracle(successes: int, trials: int, p0: float, alternative: str, prior: float = 200.0) -> float:
    """The definition, in 50 digits: tails by their hypergeometric series, which does not underflow."""
    with mpmath.workdps(50):
        p = mpmath.mpf(p0)
        q = 1 - p
        a, b = prior * p, prior * q

        def log_tail_times_beta(first: mpmath.mpf, second: mpmath.mpf) -> mpmath.mpf:
            power = first * mpmath.log(p) + second * mpmath.log(q)
            if alternative == "less":
                series = mpmath.hyp2f1(1, first + second, first + 1, p, maxterms=10**6)
                return power - mpmath.log(first) + mpmath.log(series)
            series = mpmath.hyp2f1(1, first + second, second + 1, q, maxterms=10**6)
            return power - mpmath.log(second) + mpmath.log(series)

        log_e = log_tail_times_beta(a + successes, b + trials - successes) - log_tail_times_beta(a, b)
        return float(log_e - successes * mpmath.log(p) - (trials - successes) * mpmath.log(q))


@pytest.mark.parametrize("alternative", ["less", "greater"])
@pytest.mark.parametrize(
    ("successes", "trials", "p0"),
    [
        (3, 100, 0.01),
        (0, 3301, 0.001),
        (50, 1000, 0.015),
        (500, 50_000, 0.01),
        (3, 20_000, 0.015),
        (9_990, 10_000, 0.01),
        (10, 10_000, 0.99),
        (1000, 1000, 0.5),
    ],
)
def test_it_is_the_definition(successes: int, trials: int, p0: float, alternative: str) -> None:
    expected = oracle(successes, trials, p0, alternative)
    found = float(bernoulli_level(successes, trials, p0, alternative=alternative))  # type: ignore[arg-type]
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-11)


def test_the_far_tail_is_right_and_finite() -> None:
    """No event in ten million trials: the tail beyond 1.5 % is e^-151,000, the one before it is everything."""
    successes, trials, p0 = 0, 10**7, 0.015
    with mpmath.workdps(40):
        p, q = mpmath.mpf(p0), 1 - mpmath.mpf(p0)
        a, b = 200 * p, 200 * q
        many = b + trials

        def scaled(x: mpmath.mpf) -> mpmath.mpf:
            """The density beyond p, relative to that at p; it falls by e within 1 / many."""
            return mpmath.exp((a - 1) * mpmath.log1p((x - p) / p) + (many - 1) * mpmath.log1p(-(x - p) / q))

        scale = q / many
        beyond = mpmath.quad(scaled, [p + k * scale for k in (0, 1, 2, 5, 10, 20, 40, 80)])
        prior_beyond = mpmath.betainc(a, b, p, 1)
        greater = a * mpmath.log(p) - mpmath.log(p) + (b - 1) * mpmath.log(q) + mpmath.log(beyond / prior_beyond)
        everything = mpmath.loggamma(a) + mpmath.loggamma(many) - mpmath.loggamma(a + many)
        less = everything - mpmath.log(mpmath.betainc(a, b, 0, p)) - trials * mpmath.log(q)
    found = bernoulli_level(successes, trials, p0, alternative="greater")
    assert float(found) == pytest.approx(float(greater), rel=1e-12)
    found = bernoulli_level(successes, trials, p0, alternative="less")
    assert float(found) == pytest.approx(float(less), rel=1e-12)
    assert found > 150_000
    extreme = bernoulli_level([0, 10**7, 10**7, 0], 10**7, [0.015, 0.015, 1e-9, 1 - 1e-9], alternative="greater")
    assert np.isfinite(extreme).all()


def test_without_data_nothing_is_said() -> None:
    assert (bernoulli_level([0, 0], [0, 0], [0.01, 0.9], alternative="greater") == 0).all()


@pytest.mark.parametrize(
    ("limit", "needed"), [(0.001, 3301), (0.0005, 6311), (0.01, 496)], ids=["99.9 %", "99.95 %", "error < 1 %"]
)
def test_clean_requests_that_a_criterion_takes(limit: float, needed: int) -> None:
    assert needed_n(0, 0, limit, alternative="less", alpha=0.05) == needed
    threshold = math.log(20)
    assert bernoulli_level(0, needed, limit, alternative="less") >= threshold
    assert bernoulli_level(0, needed - 1, limit, alternative="less") < threshold


def test_380_clean_requests_do_not_show_three_nines() -> None:
    assert needed_n(0, 380, 0.001, alternative="less", alpha=0.05) == 3301 - 380
    assert needed_n(1, 380, 0.001, alternative="less", alpha=0.05) is None
    assert needed_n(0, 5000, 0.001, alternative="less", alpha=0.05) == 0


@settings(max_examples=40)
@given(st.integers(0, 30), st.integers(1, 40_000), st.sampled_from([0.001, 0.01, 0.015, 0.2]))
def test_needed_is_the_first_that_does(successes: int, trials: int, limit: float) -> None:
    successes = min(successes, trials)
    needed = needed_n(successes, trials, limit, alternative="less", alpha=0.05)
    rate = successes / trials
    if needed is None:
        assert rate >= limit
        return
    total = trials + needed
    assert bernoulli_level(successes + rate * needed, total, limit, alternative="less") >= math.log(20) - 1e-9
    if needed:
        less = needed - 1
        assert bernoulli_level(successes + rate * less, trials + less, limit, alternative="less") < math.log(20)


@settings(max_examples=60)
@given(st.integers(0, 500), st.integers(1, 5_000), st.floats(0.001, 0.999))
def test_one_more_event_speaks_for_greater_and_against_less(successes: int, others: int, p0: float) -> None:
    trials = successes + others
    for alternative, sign in (("greater", 1), ("less", -1)):
        low, high = bernoulli_level([successes, successes + 1], trials, p0, alternative=alternative)  # type: ignore[arg-type]
        assert sign * (high - low) > -1e-9


@settings(max_examples=60)
@given(st.integers(0, 2_000), st.integers(0, 2_000), st.floats(0.001, 0.999))
def test_less_is_greater_for_the_complement(successes: int, others: int, p0: float) -> None:
    trials = successes + others
    less = float(bernoulli_level(successes, trials, p0, alternative="less"))
    mirrored = float(bernoulli_level(others, trials, 1 - p0, alternative="greater"))
    assert less == pytest.approx(mirrored, rel=1e-9, abs=1e-9)


@settings(max_examples=60)
@given(st.integers(0, 300), st.integers(0, 5_000), st.floats(0.001, 0.5))
def test_against_the_estimate_there_is_nothing_to_gain(successes: int, others: int, p0: float) -> None:
    """What lets a gate look in one direction only."""
    trials = successes + others
    alternative = "greater" if successes <= trials * p0 else "less"
    assert bernoulli_level(successes, trials, p0, alternative=alternative) <= 1e-9  # type: ignore[arg-type]


@settings(max_examples=30)
@given(st.integers(0, 200), st.integers(0, 50_000))
def test_the_interval_ends_where_the_tests_begin_to_reject(successes: int, others: int) -> None:
    trials = successes + others
    lower, upper = (float(end) for end in bernoulli_interval(successes, trials, 0.05))
    assert 0 <= lower <= (successes / trials if trials else 0.5) <= upper <= 1
    if lower > 0:
        assert bernoulli_level(successes, trials, lower, alternative="greater") == pytest.approx(math.log(20), abs=1e-6)
    if upper < 1:
        assert bernoulli_level(successes, trials, upper, alternative="less") == pytest.approx(math.log(20), abs=1e-6)


def test_the_interval_of_nothing_is_everything() -> None:
    lower, upper = bernoulli_interval([0, 0, 10**7], [0, 380, 10**7], 0.05)
    assert lower[0] == 0
    assert upper[0] == 1
    assert lower[1] == 0
    assert 0.01 < upper[1] < 0.015
    assert upper[2] == 1


@pytest.mark.parametrize("rate", [0.0005, 0.015])
def test_a_healthy_candidate_is_seldom_accused_however_often_one_looks(rate: float) -> None:
    """Ville's inequality by simulation: 60 looks at 100 requests each, the rate at or below the level of 1.5 %."""
    random = np.random.default_rng(11)
    events = random.binomial(100, rate, size=(800, 60)).cumsum(axis=1)
    trials = np.arange(100, 100 * 61, 100)
    ever = (bernoulli_level(events, trials, 0.015, alternative="greater") >= math.log(100)).any(axis=1)
    assert ever.sum() <= 800 * 0.01 + 3 * math.sqrt(800 * 0.01)


def test_a_bad_candidate_is_found() -> None:
    random = np.random.default_rng(12)
    events = random.binomial(400, 0.03, size=(200, 60)).cumsum(axis=1)
    trials = np.arange(400, 400 * 61, 400)
    ever = (bernoulli_level(events, trials, 0.015, alternative="greater") >= math.log(100)).any(axis=1)
    assert ever.all()


@pytest.mark.parametrize(
    "arguments",
    [
        (2, 1, 0.5),
        (-1, 1, 0.5),
        (0, -1, 0.5),
        (0, 1, 0.0),
        (0, 1, 1.0),
        (math.nan, 1, 0.5),
        (0, math.inf, 0.5),
        (0, 1, math.nan),
    ],
)
def test_nonsense_is_refused(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        bernoulli_level(*arguments, alternative="less")


def test_other_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="alternative"):
        bernoulli_level(0, 1, 0.5, alternative="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prior"):
        bernoulli_level(0, 1, 0.5, alternative="less", prior=0)
    with pytest.raises(ValueError, match="alpha"):
        bernoulli_interval(0, 1, 1.5)
    with pytest.raises(ValueError, match=r"shapes do not broadcast: successes \(2,\), trials \(3,\), p0 \(\)"):
        bernoulli_level([0, 1], [1, 2, 3], 0.5, alternative="less")
    with pytest.raises(ValueError, match="alpha"):
        needed_n(0, 1, 0.5, alternative="less", alpha=0)
