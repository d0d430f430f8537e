"""Tuning: what is planted is found, what is not there is not, and what cannot be judged is refused."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, t

from covey import Events
from covey.discovery import find_clusters
from covey.errors import InputError
from covey.together import Attribute
from covey.tune import Configuration, Goal, Knobs, Problem, tune, tune_segments
from covey.tune.pictures import gain_picture, search_picture
from covey.tune.report import markdown
from covey.tune.search import gain_of, outer_folds

RUNS = int(os.environ.get("COVEY_TUNING_RUNS", "8"))
KNOBS = Knobs(Configuration.default(4))


def learners(count: int, seed: int = 0) -> Events:
    """Learners who differ in everything by chance, so that no trait goes with another."""
    chance = np.random.default_rng(seed)
    learner, day, topic, domain = [], [], [], []
    for own in range(count):
        events, topics, domains = chance.integers(5, 60), chance.integers(1, 40), chance.integers(1, 6)
        learner += [own] * events
        day += chance.integers(0, chance.integers(20, 84), events).tolist()
        found = chance.integers(0, topics, events)
        topic += found.tolist()
        domain += (found % domains).tolist()
    return Events.from_numpy(np.array(learner), np.array(day), domain, topic, time_unit="day")


def outcomes(problem_events: Events, values: np.ndarray) -> pa.Table:
    return pa.table({"id": np.arange(len(values)), "value": values})


def of_outcome(events: Events, values: np.ndarray) -> Problem:
    return Problem.of(events, Goal.outcome, events.newest_us, outcomes(events, values), threads=1)


@settings(max_examples=100)
@given(st.integers(0, 10_000), st.sampled_from([("parameters",), ("weights",), ("k",), ("parameters", "weights", "k")]))
def test_every_point_of_the_cube_is_a_configuration(seed: int, turned: tuple[str, ...]) -> None:
    knobs = Knobs(Configuration.default(4), turned, 3, 7)
    point = np.random.default_rng(seed).random(knobs.dimensions)
    found = knobs.at(point)
    assert sum(found.weights) == pytest.approx(1, abs=1e-12) and min(found.weights) >= 0
    assert 3 <= found.k <= 7
    again = knobs.at(knobs.point_of(found))
    assert again.k == found.k
    np.testing.assert_allclose(again.weights, found.weights, atol=0.002)
    for name, value in found.parameters.to_keywords().items():
        assert getattr(again.parameters, name) == pytest.approx(value, rel=0.02, abs=0.002)
    if "weights" not in turned:
        assert found.weights == knobs.base.weights


def test_limits_allow_for_shared_training_learners() -> None:
    default, tuned = np.array([0.5, 0.6, 0.4, 0.5, 0.5]), np.array([0.6, 0.6, 0.5, 0.7, 0.6])
    found = gain_of(default, tuned, 0.25, 0.9)
    difference = tuned - default
    half = t.ppf(0.95, 4) * np.sqrt(difference.var(ddof=1) * (1 / 5 + 1 / 4))
    assert (found.low, found.high) == (pytest.approx(0.1 - half), pytest.approx(0.1 + half))
    assert gain_of(default, default, 0.25, 0.95).p_value == 0.5


def test_folds_hold_everybody_out_once() -> None:
    events = learners(150)
    values = (np.arange(150) % 5 == 0).astype(float)
    problem = of_outcome(events, values)
    parts = outer_folds(problem, problem.known, 5, 3)
    assert np.sort(np.concatenate([held for _, held in parts])).tolist() == list(range(150))
    for training, held in parts:
        assert not set(training.tolist()) & set(held.tolist()) and len(training) + len(held) == 150
        assert values[held].sum() == 6


@pytest.mark.parametrize("k", [2, 5, 12])
def test_cohorts_of_a_trial_are_those_of_a_discovery(k: int) -> None:
    """`find_clusters` on the training learners and nobody else; where too few differ, as many as do."""
    few = Events.from_numpy(np.arange(300), np.arange(300) // 50 * 7, [0] * 300, [0] * 300, time_unit="day")
    for events, most in ((learners(300), 12), (few, 6)):
        problem = Problem.of(events, Goal.separation, threads=1)
        training = outer_folds(problem, problem.known, 3, 1)[0][0]
        points = problem.points(Configuration.default(k))
        own = np.ascontiguousarray(points[:, training])
        expected = find_clusters(own, problem.hashes[training], min(k, most), 7, "native", 1, None).centroids
        np.testing.assert_array_equal(problem._centroids(points, training, k, 7), expected)


def test_what_is_planted_is_found() -> None:
    """An outcome that only the spread over domains makes: a weight of it foretells more than the default's."""
    events = learners(400)
    affinity = events.traits()["domain_affinity"]
    problem = of_outcome(events, affinity > np.median(affinity))
    found = tune(problem, replace(KNOBS, turned=("weights", "k")), trials=48, folds=3)
    assert found.gain.is_shown and found.gain.p_value < 0.025
    assert found.gain.tuned.mean() > 0.9
    assert found.best.weights[1] > found.default.weights[1]
    assert found.best.parameters == found.default.parameters
    # The default itself is always among those tried, and what was chosen has the best of their scores.
    assert found.tried[0][0] == found.default
    assert max(found.tried, key=lambda own: own[1])[0] == found.best
    # A picture for each constant that was turned, and one of the search.
    axes = [own for own in search_picture(found, "made up").axes if own.axison]
    assert len(axes) == 7 and axes[-1].get_title(loc="left") == "in the order of the search"
    assert {len(own.collections[0].get_offsets()) for own in axes} == {len(found.tried)}
    parts = outer_folds(problem, problem.known, 3, found.seed + 1)
    scores = [np.mean([problem.score(own, *part, found.seed) for part in parts])
              for own in (found.best, found.default)]  # fmt: skip
    assert scores[0] >= scores[1]


def test_nothing_is_found_where_there_is_nothing() -> None:
    """Outcomes by chance: the best of many tries looks good inside, and is a gain at most as often as promised."""
    events = learners(120)
    false = 0
    for run in range(RUNS):
        values = np.random.default_rng(run).random(120) < 0.4
        problem = of_outcome(events, values)
        found = tune(problem, replace(KNOBS, turned=("weights", "k")), trials=24, folds=3, seed=run)
        false += found.gain.is_shown
    assert false <= binom.ppf(0.9995, RUNS, 0.025), false


def test_a_segment_keeps_everybodys_unless_its_gain_survives() -> None:
    """In one segment the outcome is the spread over domains, in the other how often they come."""
    events = learners(800, 1)
    traits = events.traits()
    codes = np.arange(800, dtype=np.int32) % 2
    codes[:5] = 2
    affinity, frequency = traits["domain_affinity"], traits["interaction_frequency"]
    values = np.where(codes == 0, affinity > np.median(affinity), frequency > np.median(frequency))
    problem = of_outcome(events, values)
    knobs = replace(KNOBS, turned=("weights", "k"))
    everybody = tune(problem, knobs, trials=36)
    rows = tune_segments(everybody, knobs, Attribute(codes, ("a", "b", "c")))
    assert [row.learner_count for row in rows] == [397, 398, 5]
    assert rows[2].gain is None and rows[2].best is None
    for row in rows[:2]:
        assert row.gain is not None and row.gain.mean > 0.05
        assert row.adjusted_p >= row.gain.p_value * (1 - 1e-9) and (row.best is not None) == (row.adjusted_p <= 0.05)
    text = markdown(everybody, rows, "made up")
    assert re.search(r"^\| a \| 397 \| \+0\.\d{4} \(.*\| its own \|$", text, re.MULTILINE)
    assert re.search(r"^\| c \| 5 \| too few \|  \| everybody's \|$", text, re.MULTILINE)
    drawn = gain_picture(everybody, rows, "made up").axes[2]
    survived = sum(row.best is not None for row in rows)
    assert drawn.get_title(loc="left") == f"Own constants: {survived} of 2 survive Holm"
    assert len(drawn.get_yticklabels()) == 2  # who was not tried is not drawn
    assert rows[0].best is not None and rows[0].best.weights[1] > everybody.default.weights[1]
    # The same people under names by chance: nobody's own parameters survive.
    names = np.random.default_rng(5).integers(0, 2, 800).astype(np.int32)
    assert all(row.best is None for row in tune_segments(everybody, knobs, Attribute(names, ("x", "y"))))
    with pytest.raises(InputError, match="no segment has the 100 learners that tuning takes; the largest has 80"):
        tune_segments(everybody, knobs, Attribute((np.arange(800) % 10).astype(np.int32), tuple("abcdefghij")))


def test_a_segments_gain_knows_nothing_of_what_was_chosen_on_all_learners() -> None:
    """That choice has seen whoever is held out: whatever it is, the gain stays the same."""
    events = learners(260, 4)
    values = np.random.default_rng(4).random(260) < 0.4
    problem = of_outcome(events, values)
    knobs = replace(KNOBS, turned=("weights", "k"))
    found = tune(problem, knobs, trials=24, folds=3)
    halves = Attribute(np.arange(260, dtype=np.int32) % 2, ("a", "b"))
    foreign = Configuration(KNOBS.base.parameters, (0.05, 0.8, 0.05, 0.05, 0.05), 11)
    assert foreign != found.best
    for one, other in zip(
        tune_segments(found, knobs, halves, folds=3),
        tune_segments(replace(found, best=foreign), knobs, halves, folds=3),
        strict=True,
    ):
        assert one.gain is not None and other.gain is not None
        assert one.gain.tuned.tolist() == other.gain.tuned.tolist()
        assert one.gain.default.tolist() == other.gain.default.tolist()
    with pytest.raises(InputError, match="5 folds for segments; expected the 3 folds"):
        tune_segments(found, knobs, halves)


def test_no_segment_has_parameters_of_its_own_where_there_is_nothing() -> None:
    """Outcomes and segments by chance: any segment's "own parameters" at most as often as promised."""
    events = learners(220)
    knobs = replace(KNOBS, turned=("weights", "k"))
    halves = Attribute(np.arange(220, dtype=np.int32) % 2, ("a", "b"))
    false = 0
    for run in range(RUNS):
        values = np.random.default_rng(1000 + run).random(220) < 0.4
        found = tune(of_outcome(events, values), knobs, trials=24, folds=3, seed=run)
        false += any(row.best is not None for row in tune_segments(found, knobs, halves, folds=3))
    assert false <= binom.ppf(0.9995, RUNS, 0.05), false


@pytest.mark.parametrize("goal", [Goal.stability, Goal.separation])
def test_goals_without_outcomes(goal: Goal) -> None:
    problem = Problem.of(learners(160, 2), goal, threads=1)
    found = tune(problem, replace(KNOBS, turned=("weights",)), trials=24, folds=3)
    assert len(found.gain.tuned) == 3 and np.isfinite(found.gain.tuned).all()
    again = tune(problem, replace(KNOBS, turned=("weights",)), trials=24, folds=3)
    assert again.best == found.best and again.gain.tuned.tolist() == found.gain.tuned.tolist()


def test_a_numeric_outcome_is_judged_by_its_variance() -> None:
    events = learners(200)
    affinity = events.traits()["domain_affinity"]
    problem = of_outcome(events, affinity)
    assert problem.unit == "part of the variance"
    training, held = np.arange(150), np.arange(150, 200)
    only = Configuration(KNOBS.base.parameters, (0.0, 1.0, 0.0, 0.0, 0.0), 8)
    assert problem.score(only, training, held, 0) > 0.8
    without = Configuration(KNOBS.base.parameters, (0.0, 0.0, 0.0, 1.0, 0.0), 1)
    assert abs(problem.score(without, training, held, 0)) < 0.1


@pytest.mark.parametrize(
    ("count", "goal", "values", "words"),
    [
        (50, Goal.separation, None, "50 learners are too few to tune by"),
        (120, Goal.outcome, None, "outcomes are not given"),
        (120, Goal.stability, np.arange(120.0), "outcomes are given"),
        (120, Goal.outcome, np.ones(120), "the outcome is 1 for every learner"),
        (120, Goal.outcome, np.arange(60.0), "60 learners whose outcome is known are too few"),
        (120, Goal.outcome, np.array(["yes"] * 120), "expected numbers, such as 0 and 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(count: int, goal: Goal, values: np.ndarray | None, words: str) -> None:
    events = learners(count)
    with pytest.raises(InputError, match=words):
        Problem.of(events, goal, events.newest_us, None if values is None else outcomes(events, values), threads=1)


def test_outcomes_without_an_instant_are_refused() -> None:
    events = learners(120)
    values = outcomes(events, np.arange(120.0))
    with pytest.raises(InputError, match=r"no as_of is given.*outcomes must come after it"):
        Problem.of(events, Goal.outcome, outcomes=values, threads=1)


def test_numbers_out_of_range_are_refused() -> None:
    problem = Problem.of(learners(120), Goal.separation, threads=1)
    for call, words in (
        (lambda: tune(problem, KNOBS, trials=5), "5 trials"),
        (lambda: tune(problem, KNOBS, folds=2), "2 folds"),
        (lambda: Knobs(KNOBS.base, ("speed",)), "turned is speed"),
        (lambda: Knobs(KNOBS.base, fewest=9, most=3), "9 to 3 cohorts"),
    ):
        with pytest.raises(InputError, match=words):
            call()
