"""What suggestions are worth: a network that likeness made, one that activity made, and one that nothing made."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from covey.errors import InputError
from covey.identifiers import LearnerIds
from covey.together import Space, find_similar
from covey.together.evaluation import Talked, evaluate


def judged(kind: str, seed: int, draws: int = 199) -> Talked:
    chance = np.random.default_rng(seed)
    activity = chance.integers(0, 3, 90)
    points = chance.random((5, 90)) / 5**0.5 * 0.3
    points[0] += activity / 5
    space = Space(LearnerIds(integers=np.arange(90)), points.astype(np.float32), {})
    distance = np.sqrt(((points[:, :, None] - points[:, None]) ** 2).sum(axis=0))
    odds = {
        "alike": np.exp(-20 * distance),
        "active": np.outer(activity, activity) / 40,
        "nothing": np.full((90, 90), 0.05),
    }[kind]
    pairs = np.argwhere(np.triu(chance.random((90, 90)) < odds, 1))
    return evaluate(find_similar(space, count=5), pairs, {"as active": activity}, draws=draws, seed=seed)


def test_the_share_is_counted_one_by_one() -> None:
    space = Space(LearnerIds(integers=np.arange(4)), np.array([[0, 0.1, 0.5, 0.65]] * 5, np.float32) / 5, {})
    similar = find_similar(space, count=1, floor=1)
    found = evaluate(similar, np.array([[0, 1], [1, 2]]), draws=20)
    assert similar.pairs().tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
    assert (found.pair_count, found.talked_count) == (4, 2)
    fewer = evaluate(similar, np.array([[0, 1], [1, 2]]), known=np.array([[0, 1]]), draws=20)
    assert (fewer.pair_count, fewer.talked_count) == (2, 0)
    with pytest.raises(InputError, match="no suggested pair is left"):
        evaluate(similar, np.array([[0, 1]]), known=np.array([[0, 1], [2, 3]]))


def test_likeness_is_told_from_activity() -> None:
    alike, active = judged("alike", 1), judged("active", 1)
    assert max(own.p_value for own in alike.chances) <= 0.01
    everybody, as_active = active.chances
    assert everybody.p_value <= 0.01 and as_active.p_value > 0.05


def test_nothing_is_found_where_there_is_nothing() -> None:
    runs = 200
    false = sum(judged("nothing", seed, 39).chances[0].p_value <= 0.05 for seed in range(runs))
    assert false <= binom.ppf(0.9995, runs, 0.05), false
