"""Limits against SciPy, exact coverage by summing over every outcome, and rows that come in clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from covey.stats.proportions import clustered_shares, wilson_interval


@settings(max_examples=100)
@given(st.integers(1, 400), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_limits_are_those_of_scipy(trials: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, trials))
    oracle = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(successes, trials, confidence)
    assert float(low) == pytest.approx(oracle.low, abs=1e-12)
    assert float(high) == pytest.approx(oracle.high, abs=1e-12)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_it_covers_as_often_as_it_says(share: float) -> None:
    """Exactly, over all outcomes: the mean over 100 sample sizes is within the 99.9 % band of 5,000 runs."""
    found = []
    for trials in range(300, 400):
        outcomes = np.arange(trials + 1)
        low, high = wilson_interval(outcomes, trials)
        found.append(binom.pmf(outcomes, trials, share)[(low <= share) & (share <= high)].sum())
    assert binom.ppf(0.0005, 5_000, 0.95) <= np.mean(found) * 5_000 <= binom.ppf(0.9995, 5_000, 0.95)
    assert min(found) > 0.93


def test_several_intervals_hold_together() -> None:
    random = np.random.default_rng(0)
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    counts = random.multinomial(400, shares, 5_000)
    low, high = wilson_interval(counts, 400, comparisons=4)
    alone_low, alone_high = wilson_interval(counts, 400)
    together = ((low <= shares) & (shares <= high)).all(axis=1).sum()
    alone = ((alone_low <= shares) & (shares <= alone_high)).all(axis=1).sum()
    assert together >= binom.ppf(0.0005, 5_000, 0.95)
    assert alone < binom.ppf(0.0005, 5_000, 0.95), "intervals made for one comparison each would not"


def test_no_trials_say_nothing() -> None:
    low, high = wilson_interval([0, 0], [0, 5])
    assert (low[0], high[0]) == (0.0, 1.0)
    assert low[1] == 0.0 and 0 < high[1] < 1


def learners_that_differ(runs: int) -> tuple[np.ndarray, np.ndarray]:
    """1 to 12 rows of each of 200 learners, whose own shares are spread as Beta(1, 2): 1/3 in the mean."""
    random = np.random.default_rng(5)
    own = random.beta(1.0, 2.0, (runs, 200))
    rows = random.integers(1, 13, (runs, 200))
    return random.binomial(rows, own), rows


def test_rows_of_learners_who_differ_are_covered_as_promised() -> None:
    hits, rows = learners_that_differ(5_000)
    share, low, high = clustered_shares(hits.T, rows.T)
    covered = ((low <= 1 / 3) & (high >= 1 / 3)).sum()
    assert share.shape == (5_000,)
    assert binom.ppf(0.0005, 5_000, 0.95) <= covered <= binom.ppf(0.9995, 5_000, 0.95), covered


def test_as_if_rows_were_independent_they_would_not_be() -> None:
    hits, rows = learners_that_differ(5_000)
    low, high = wilson_interval(hits.sum(axis=1), rows.sum(axis=1))
    assert ((low <= 1 / 3) & (high >= 1 / 3)).sum() < 0.85 * 5_000


@settings(max_examples=60)
@given(st.lists(st.integers(0, 1), min_size=2, max_size=60))
def test_clusters_of_one_row_are_independent_rows(hits: list[int]) -> None:
    share, low, high = clustered_shares(np.array(hits), np.ones(len(hits)))
    plain_low, plain_high = wilson_interval(sum(hits), len(hits))
    assert float(share) == pytest.approx(np.mean(hits))
    # n / (n - 1): the variance between clusters is estimated, a binomial one is not
    assert float(low) == pytest.approx(float(plain_low), abs=0.35 / len(hits))
    assert float(high) == pytest.approx(float(plain_high), abs=0.35 / len(hits))


def test_nothing_that_varies_counts_clusters_not_rows() -> None:
    _, low, _ = clustered_shares(np.full(10, 50), np.full(10, 50))
    assert float(low) == pytest.approx(float(wilson_interval(10, 10)[0]))
    share, low, high = clustered_shares(np.zeros((3, 2)), np.zeros((3, 2)))
    assert np.isnan(share).all() and low.tolist() == [0, 0] and high.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("successes", "trials", "words"),
    [(-1, 2, "must not be negative"), (3, 2, "nor exceed trials"), (np.inf, 2, "must be finite")],
)
def test_nonsense_is_refused(successes: float, trials: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wilson_interval(successes, trials)
    with pytest.raises(ValueError, match="comparisons is 0"):
        wilson_interval(1, 2, comparisons=0)
