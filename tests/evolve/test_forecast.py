"""A forecast where the answer is known, and where there is nothing to learn."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evolve.test_evolve import DAY_US, START_US, learners, made

from covey.errors import InputError
from covey.evolve.forecast import forecast
from covey.evolve.snapshots import Snapshot, Snapshots


class _Traits:
    """Columns by name, as `Traits` has them."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]


def world(learner_count: int, snapshots: int, slope: float, seed: int = 0) -> tuple[Snapshots, np.ndarray]:
    """States whose chance to be 1 next is logistic in one trait; returns these chances of the last snapshot too."""
    random = np.random.default_rng(seed)
    states = random.integers(0, 2, learner_count)
    items, rows = [], []
    chance = np.zeros(learner_count)
    from covey.parameters import FURTHER_NAMES, TRAIT_NAMES

    for at in range(snapshots):
        columns = {name: random.random(learner_count) for name in TRAIT_NAMES}
        columns |= {name: np.ones(learner_count) for name in FURTHER_NAMES}
        rows.append(states)
        chance = 1 / (1 + np.exp(-(slope * (columns["learning_velocity"] - 0.5) + 1.5 * (2 * states - 1))))
        items.append(
            Snapshot(START_US + at * 7 * DAY_US, _Traits(columns), np.arange(learner_count), None, states)  # type: ignore[arg-type]
        )
        states = (random.random(learner_count) < chance).astype(np.int64)
    found = made([row.tolist() for row in rows], can_be_away=False)
    return Snapshots(found.learner_ids, tuple(items), found.lane_names, None, None, found.model, None), chance


def test_known_chances_are_found_and_beat_staying() -> None:
    found, chance = world(1_500, 8, slope=9.0)
    answer = forecast(found)
    assert answer.verdict == "better than staying"
    assert 0 < answer.gain_low < answer.gain < answer.gain_high
    np.testing.assert_allclose(answer.probabilities[:, 1], chance, atol=0.06)
    model, staying, markov = answer.scores
    assert model.log_loss < markov.log_loss and np.isinf(staying.log_loss)
    assert model.calibration_error < 0.03
    assert answer.train_move_count == 4 * 1_500 and answer.test_move_count == 2 * 1_500


def test_traits_that_say_nothing_do_not_beat_staying() -> None:
    answer = forecast(world(400, 8, slope=0.0)[0])
    assert answer.verdict == "no better than staying, as far as these moves can tell"


def test_the_last_snapshots_are_never_learned_from() -> None:
    """A world whose rule turns round at the end: a model that had seen it would not fail so badly."""
    found, _ = world(800, 7, slope=9.0)
    turned = list(found.items)
    turned[-1] = Snapshot(turned[-1].as_of_us, turned[-1].traits, turned[-1].places, None, 1 - turned[-1].states)
    turned[-2] = Snapshot(turned[-2].as_of_us, turned[-2].traits, turned[-2].places, None, turned[-2].states)
    spoiled = Snapshots(found.learner_ids, tuple(turned), found.lane_names, None, None, found.model, None)
    assert forecast(spoiled).scores[0].accuracy < forecast(found).scores[0].accuracy - 0.2
    np.testing.assert_array_equal(forecast(spoiled).weights, forecast(found).weights)


def test_real_snapshots_of_made_up_learners() -> None:
    from covey.evolve import snapshots

    found = snapshots(learners(150, 90), [START_US + day * DAY_US for day in range(25, 90, 7)], k=2)
    answer = forecast(found)
    assert answer.probabilities.shape == (len(found.learner_ids), len(found.state_names))
    known = ~np.isnan(answer.probabilities[:, 0])
    np.testing.assert_allclose(answer.probabilities[known].sum(axis=1), 1.0)
    assert sum(count for _, _, count in answer.reliability) == answer.test_move_count


def test_too_little_to_judge_by_is_said() -> None:
    with pytest.raises(InputError, match="4 snapshots leave nothing to judge a forecast by"):
        forecast(world(50, 4, 1.0)[0])
    same = world(50, 8, 1.0)[0]
    items = tuple(Snapshot(i.as_of_us, i.traits, i.places, None, 0 * i.states) for i in same.items)
    with pytest.raises(InputError, match="lead to a single state"):
        forecast(Snapshots(same.learner_ids, items, same.lane_names, None, None, same.model, None))
