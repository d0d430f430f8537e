"""Outcomes adjusted by what was known of the learners before."""

from __future__ import annotations

import numpy as np
import pytest

from covey.rollout.outcomes import RelativeEffect, relative_effect
from covey.v1.evidence_pb2 import OutcomeMoments

from .lane import Array

CORRELATION = 0.8


def arm(variant: str, y: Array, x: Array | None, *, center: float = 0.0, covariate: str = "before") -> OutcomeMoments:
    moments = OutcomeMoments(
        metric="engagement",
        variant=variant,
        learner_count=len(y),
        sum=float((y - 5).sum()),
        sum_of_squares=float(((y - 5) ** 2).sum()),
        center=5,
        nonzero_count=len(y),
    )
    if x is not None:
        moments.covariate, moments.covariate_center = covariate, center
        moments.covariate_sum = float((x - center).sum())
        moments.covariate_sum_of_squares = float(((x - center) ** 2).sum())
        moments.cross_sum = float(((y - 5) * (x - center)).sum())
    return moments


def drawn(random: np.random.Generator, learners: int, effect: float) -> tuple[Array, Array]:
    x = random.normal(3.0, 1.0, learners)
    noise = np.sqrt(1 - CORRELATION**2) * random.normal(size=learners)
    return 5.0 * (1 + effect) + CORRELATION * (x - 3.0) + noise, x


def effect_of(candidate: OutcomeMoments, baseline: OutcomeMoments) -> RelativeEffect:
    found = relative_effect((candidate, baseline))
    assert found is not None
    return found


def test_the_interval_narrows_by_what_the_covariate_explains() -> None:
    random = np.random.default_rng(1)
    (y, x), (other_y, other_x) = drawn(random, 20_000, 0.02), drawn(random, 20_000, 0.0)
    plain = effect_of(arm("c", y, None), arm("b", other_y, None))
    adjusted = effect_of(arm("c", y, x), arm("b", other_y, other_x))
    assert (plain.explained, adjusted.explained) == (0.0, pytest.approx(CORRELATION**2, abs=0.02))
    assert adjusted.variance == pytest.approx(plain.variance * (1 - CORRELATION**2), rel=0.05)
    slope = np.cov(np.r_[y - y.mean(), other_y - other_y.mean()], np.r_[x - x.mean(), other_x - other_x.mean()])
    theta = slope[0, 1] / slope[1, 1]
    middle = np.r_[x, other_x].mean()
    by_hand = (y - theta * (x - middle)).mean() / (other_y - theta * (other_x - middle)).mean() - 1
    assert adjusted.estimate == pytest.approx(by_hand, rel=1e-6)


def test_it_estimates_the_same() -> None:
    random = np.random.default_rng(2)
    pairs = []
    for _ in range(300):
        (y, x), (other_y, other_x) = drawn(random, 400, 0.1), drawn(random, 400, 0.0)
        plain = effect_of(arm("c", y, None), arm("b", other_y, None)).estimate
        pairs.append((plain, effect_of(arm("c", y, x), arm("b", other_y, other_x)).estimate))
    plain_estimates, adjusted = np.array(pairs).T
    assert adjusted.mean() == pytest.approx(0.1, abs=4 * adjusted.std() / np.sqrt(300))
    assert adjusted.std() == pytest.approx(plain_estimates.std() * np.sqrt(1 - CORRELATION**2), rel=0.15)


def test_the_covariates_center_does_not_matter_where_it_is_one() -> None:
    random = np.random.default_rng(3)
    (y, x), (other_y, other_x) = drawn(random, 1000, 0.0), drawn(random, 1000, 0.0)
    first, second = (
        effect_of(arm("c", y, x, center=center), arm("b", other_y, other_x, center=center)) for center in (0.0, 2.5)
    )
    assert first.estimate == pytest.approx(second.estimate, abs=1e-9)
    assert first.variance == pytest.approx(second.variance, rel=1e-9)


@pytest.mark.parametrize("other", [{"center": 1.0}, {"covariate": "another"}])
def test_arms_with_different_covariates_are_not_adjusted(other: dict[str, object]) -> None:
    random = np.random.default_rng(4)
    (y, x), (other_y, other_x) = drawn(random, 1000, 0.0), drawn(random, 1000, 0.0)
    plain = effect_of(arm("c", y, None), arm("b", other_y, None))
    mixed = effect_of(arm("c", y, x), arm("b", other_y, other_x, **other))  # type: ignore[arg-type]
    assert (mixed.estimate, mixed.variance, mixed.explained) == (plain.estimate, plain.variance, 0.0)


def test_a_covariate_that_never_varies_is_left_out() -> None:
    random = np.random.default_rng(5)
    y, other_y = (drawn(random, 100, 0.0)[0] for _ in range(2))
    still = np.full(100, 3.0)
    plain = effect_of(arm("c", y, None), arm("b", other_y, None))
    assert effect_of(arm("c", y, still), arm("b", other_y, still)).variance == plain.variance
