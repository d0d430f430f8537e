from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from covey.stats import (
    ROLLBACK_RATIOS,
    advance_start_times,
    bernoulli_level,
    design_effect,
    level_increments,
    over_start_times,
    rate_ratio_increments,
    start_weights,
    starts,
)

THRESHOLD = math.log(100)


def exact_weights(ticks: int, planned: int) -> list[Fraction]:
    """pi_0 ... pi_ticks as GATES defines them, as fractions."""
    later = (Fraction(1, 20) * planned / (j * (j - 1)) for j in range(planned + 1, ticks + 1))
    return [Fraction(1, 2), *[Fraction(9, 20) / planned] * min(planned, ticks), *later]


def naive(increments: np.ndarray, planned: int, weights: np.ndarray) -> list[float]:
    """The definition, over every pair of start and look: starts 0 and 1 both count from tick 1 on."""
    ticks = len(increments)
    pi = [float(weight) for weight in exact_weights(ticks, planned)]
    running = []
    for t in range(1, ticks + 1):
        started = sum(
            pi[j] * w * math.exp(increments[max(j, 1) - 1 : t, k].sum())
            for j in range(t + 1)
            for k, w in enumerate(weights)
        )
        running.append(math.log(started + 1 - sum(pi[: t + 1])))
    return running


@pytest.mark.parametrize("planned", [1, 2, 7, 60])
def test_the_weights_are_those_of_the_gates_and_sum_to_one(planned: int) -> None:
    """In fractions up to a tick, and beyond it by the telescoping sum 1/t = sum of 1/(j (j - 1)) over j > t."""
    ticks = 3 * planned + 5
    exact = exact_weights(ticks, planned)
    at_start, starting, waiting = start_weights(ticks, planned_ticks=planned)
    assert [at_start, *starting] == pytest.approx([float(weight) for weight in exact], rel=1e-12)
    assert sum(exact[: planned + 1]) == Fraction(19, 20)
    assert sum(exact) + Fraction(1, 20) * planned / ticks == 1
    assert waiting == pytest.approx([float(1 - sum(exact[: t + 1])) for t in range(1, ticks + 1)], abs=1e-12)


def test_the_infinite_sum_is_one() -> None:
    ticks = 1_000_000
    at_start, starting, waiting = start_weights(ticks, planned_ticks=240)
    assert waiting[-1] == pytest.approx(0.05 * 240 / ticks)
    assert at_start + starting.sum() == pytest.approx(1.0, abs=2e-5)
    assert at_start + math.fsum(starting) + waiting[-1] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("share_at_start", [0.0, 0.2, 0.5, 1.0])
def test_other_shares_sum_to_one_too(share_at_start: float) -> None:
    at_start, starting, waiting = start_weights(50, planned_ticks=9, share_at_start=share_at_start)
    assert at_start == share_at_start
    assert at_start + starting.cumsum() + waiting == pytest.approx(np.ones(50), abs=1e-12)
    assert over_start_times(np.zeros((50, 3)), planned_ticks=9, share_at_start=share_at_start) == pytest.approx(
        np.zeros(50), abs=1e-12
    )


def expectations(ticks: int, planned: int) -> np.ndarray:
    """E[E_t] under the null for each t, over every history of a tick with 0, 1 or 2 events in 2 requests."""
    histories = np.indices((3,) * ticks).reshape(ticks, -1).T
    chances = np.array([0.7**2, 2 * 0.3 * 0.7, 0.3**2])[histories].prod(axis=-1)
    increments = level_increments(histories, np.full_like(histories, 2), 0.3, [0.4, 0.6, 0.9])
    return np.asarray(chances @ np.exp(over_start_times(increments, planned_ticks=planned)))


@pytest.mark.parametrize("planned", [1, 3, 7, 100])
def test_the_expectation_under_the_null_is_one(planned: int) -> None:
    """Exactly, at every tick, also where the phase is extended beyond the plan."""
    assert expectations(7, planned) == pytest.approx(np.ones(7), abs=1e-12)


def test_a_wrong_sum_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: the later mass taken from nowhere. The sum is asserted, and the expectation above would show it."""
    monkeypatch.setattr(starts, "SHARE_WITHIN_PLAN", 1.0)
    assert expectations(7, 3) == pytest.approx(np.ones(7), abs=1e-12)  # another split is right as well
    monkeypatch.setattr(starts, "SHARE_WITHIN_PLAN", 0.9)
    right = starts._waiting

    def wrong(number: np.ndarray, planned: int, rest: float) -> np.ndarray:
        return right(number, planned, rest) + 0.05

    monkeypatch.setattr(starts, "_waiting", wrong)
    with pytest.raises(ArithmeticError, match=r"1\.05"):
        start_weights(240, planned_ticks=240)
    monkeypatch.setattr(starts, "WEIGHT_SUM_TOLERANCE", 1.0)
    assert expectations(7, 3) == pytest.approx(np.full(7, 1.05), abs=1e-12)


@settings(max_examples=40)
@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(-20, 20)), st.integers(1, 15))
def test_it_is_the_definition(increments: np.ndarray, planned: int) -> None:
    weights = np.arange(1.0, increments.shape[1] + 1)
    weights /= weights.sum()
    found = over_start_times(increments, weights=weights, planned_ticks=planned)
    assert found == pytest.approx(naive(increments, planned, weights), rel=1e-10, abs=1e-10)


@settings(max_examples=30)
@given(arrays(float, (2, 9, 3), elements=st.floats(-1e5, 1e5)), st.integers(1, 12), st.integers(1, 9))
def test_incremental_is_batch(increments: np.ndarray, planned: int, stop: int) -> None:
    """One tick at a time gives the same bits, and the future changes nothing."""
    batch = over_start_times(increments, planned_ticks=planned)
    masses = None
    for tick in range(1, 10):
        masses, log_e = advance_start_times(masses, increments[:, tick - 1], tick, planned_ticks=planned)
        assert (log_e == batch[:, tick - 1]).all()
    assert (over_start_times(increments[:, :stop], planned_ticks=planned) == batch[:, :stop]).all()


@settings(max_examples=30)
@given(arrays(float, (8, 4), elements=st.floats(-50, 50)), st.permutations(range(4)), st.integers(0, 7))
def test_order_of_alternatives_and_more_evidence(increments: np.ndarray, order: list[int], tick: int) -> None:
    found = over_start_times(increments, planned_ticks=5)
    assert over_start_times(increments[:, order], planned_ticks=5) == pytest.approx(found, abs=1e-12)
    more = increments.copy()
    more[tick] += 0.5
    grown = over_start_times(more, planned_ticks=5)
    assert (grown[:tick] == found[:tick]).all()
    assert (grown[tick:] >= found[tick:]).all()


def test_a_long_good_time_costs_no_more_than_the_weights() -> None:
    """After any past ln E is at least the log of the mass that starts now, with what it gains from now on."""
    increments = np.full((100, 1), -1e4)
    increments[60:] = 3.0
    increments[30] = -np.inf
    found = over_start_times(increments, planned_ticks=100)
    assert found[99] == pytest.approx(math.log(0.0045) + 120 - math.log1p(-math.exp(-3)), abs=0.01)
    assert np.isfinite(found).all()


def late_errors(multiple: float, from_tick: int, random: np.random.Generator) -> np.ndarray:
    rate = np.where(np.arange(240) >= from_tick, multiple, 1.0) * 0.00085
    x, y = random.binomial(100, rate, (400, 240)), random.binomial(9900, 0.00085, (400, 240))
    return rate_ratio_increments(x, y, 0.01, ratios=ROLLBACK_RATIOS)


@pytest.mark.parametrize(
    ("multiple", "from_tick", "plain_finds", "starts_find"), [(3, 120, 0.64, 0.85), (5, 200, 0.22, 0.81)]
)
def test_late_harm_is_found(multiple: float, from_tick: int, plain_finds: float, starts_find: float) -> None:
    """The figures of GATES: x3 after 60 min, x5 after 100 min, at 100 candidate requests per 30 s."""
    increments = late_errors(multiple, from_tick, np.random.default_rng(7))
    for share_at_start, expected in ((1.0, plain_finds), (0.5, starts_find)):
        log_e = over_start_times(increments, planned_ticks=240, share_at_start=share_at_start)
        found = (log_e >= THRESHOLD).any(axis=1).mean()
        assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 400))


def test_a_healthy_candidate_is_seldom_accused() -> None:
    log_e = over_start_times(late_errors(1.0, 0, np.random.default_rng(8)), planned_ticks=120)
    assert (log_e >= THRESHOLD).any(axis=1).sum() <= 4 + 3 * 2


def test_levels_learn_late_and_a_beta_mixture_does_not() -> None:
    """GATES: 0.085 % for 90 min, then 3 %, against 1.5 %: found in 100 %, by median within 9 min; a Beta mixture: 0."""
    random = np.random.default_rng(9)
    x = random.binomial(100, np.where(np.arange(240) >= 180, 0.03, 0.00085), (200, 240))
    n = np.full_like(x, 100)
    seen = over_start_times(level_increments(x, n, 0.015), planned_ticks=240) >= THRESHOLD
    assert seen.any(axis=1).all()
    assert 7 <= np.median(seen.argmax(axis=1) - 179) / 2 <= 11
    running = bernoulli_level(x.cumsum(axis=1), n.cumsum(axis=1), 0.015, alternative="greater")
    beta = np.diff(running, axis=1, prepend=0.0)[..., np.newaxis]
    assert not (over_start_times(beta, planned_ticks=240) >= THRESHOLD).any()


def test_bursts_are_divided_out_of_increments_never_of_the_end() -> None:
    """The twin: with bursts (correlation 0.01 within a tick) the finished ln E divided by the effect accuses many."""
    random = np.random.default_rng(10)
    rate, correlation, size = 0.005, 0.01, 1000
    strength = 1 / correlation - 1

    def bursts(ticks: int) -> np.ndarray:
        return random.binomial(size, random.beta(rate * strength, (1 - rate) * strength, (150, ticks)))

    x, y = bursts(240), sum(bursts(240) for _ in range(10))
    before = bursts(120)
    effect = design_effect(before, np.full_like(before, size))
    assert np.median(effect) == pytest.approx(1 + (size - 1) * correlation, rel=0.2)
    increments = rate_ratio_increments(x, y, 1 / 11, ratios=ROLLBACK_RATIOS)
    divided = over_start_times(increments / effect[:, np.newaxis, np.newaxis], planned_ticks=240)
    finished = over_start_times(increments, planned_ticks=240) / effect[:, np.newaxis]
    assert (divided >= THRESHOLD).any(axis=1).mean() <= 0.08
    assert (finished >= THRESHOLD).any(axis=1).mean() >= 0.2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: over_start_times(np.zeros(3), planned_ticks=3), "shape"),
        (lambda: over_start_times(np.zeros((0, 3)), planned_ticks=3), "one or more"),
        (lambda: over_start_times(np.zeros((3, 0)), planned_ticks=3), "one or more"),
        (lambda: over_start_times([[math.nan]], planned_ticks=3), "NaN"),
        (lambda: over_start_times([[math.inf]], planned_ticks=3), "infinity"),
        (lambda: over_start_times([[0.0]], planned_ticks=0), "planned_ticks"),
        (lambda: over_start_times([[0.0]], planned_ticks=2.5), "planned_ticks"),  # type: ignore[arg-type]
        (lambda: over_start_times([[0.0]], planned_ticks=3, share_at_start=1.1), "share_at_start"),
        (lambda: over_start_times([[0.0, 0.0]], planned_ticks=3, weights=[0.9, 0.2]), "sum to 1"),
        (lambda: advance_start_times(None, [0.0], 2, planned_ticks=3), "tick before"),
        (lambda: advance_start_times([0.0], [0.0], 1, planned_ticks=3), "None"),
        (lambda: advance_start_times(None, [0.0], 0, planned_ticks=3), "tick is 0"),
        (lambda: advance_start_times(None, [math.nan], 1, planned_ticks=3), "NaN"),
        (lambda: advance_start_times(None, [], 1, planned_ticks=3), "one or more"),
        (lambda: start_weights(0, planned_ticks=3), "ticks is 0"),
    ],
)
def test_nonsense_is_refused(call, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        call()
