"""Snapshots against single analyses, moves against loops, intervals that cover, and what cannot be answered."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from covey import Events
from covey.errors import InputError
from covey.evolve import align, dwell_times, instants_between, snapshots, stability, transitions
from covey.evolve.schedule import Choice, choose_schedule
from covey.evolve.snapshots import Model, Snapshot, Snapshots
from covey.identifiers import LearnerIds
from covey.parameters import TraitParameters
from covey.traits_over_time import advanced, is_read_again, read_again, traits_at

RUNS = int(os.environ.get("COVEY_EXPERIMENT_RUNS", "1000"))
DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000


def learners(count: int, days: int, seed: int = 0, *, is_shuffled: bool = False) -> Events:
    """Busy and quiet learners, some of whom change from one to the other."""
    random = np.random.default_rng(seed)
    learner, day, topic = [], [], []
    for number in range(count):
        busy = random.random() < 0.5
        for today in range(int(random.integers(0, 20)), days):
            busy ^= random.random() < 0.02
            for _ in range(int(random.poisson(2.0 if busy else 0.15))):
                learner.append(number)
                day.append(START_US + today * DAY_US + int(random.integers(0, DAY_US)))
                topic.append(int(random.integers(0, 12 if busy else 3)))
    order = random.permutation(len(day)) if is_shuffled else np.arange(len(day))
    topics = np.array(topic)[order]
    return Events.from_numpy(np.array(learner)[order], np.array(day)[order], topics, topics, time_unit="us")


def made(
    states: list[list[int]] | np.ndarray, lanes: int = 2, step_days: int = 7, *, can_be_away: bool = True
) -> Snapshots:
    """Snapshots of these states, without the events that would have led there."""
    items = tuple(
        Snapshot(START_US + at * step_days * DAY_US, None, np.arange(len(row)), None, np.array(row))  # type: ignore[arg-type]
        for at, row in enumerate(states)
    )
    ids = LearnerIds(integers=np.arange(len(states[0])))
    names = tuple("abcdef"[:lanes])
    return Snapshots(ids, items, names, None, 28 if can_be_away else None, Model.fixed, None)


def test_every_snapshot_is_what_a_single_analysis_says() -> None:
    """The second route: the events themselves, analysed at each instant; labels of the model on these traits."""
    events = learners(120, 70)
    instants = [START_US + day * DAY_US for day in (20, 35, 50, 69)]
    found = snapshots(events, instants, k=3)
    assert found.fixed_model is not None
    for item in found.items:
        alone = events.traits(item.as_of_us)
        assert item.traits.learner_ids.texts() == alone.learner_ids.texts()
        np.testing.assert_allclose(item.traits.matrix, alone.matrix, atol=1e-6)
        here = alone["recency_days"] < 28
        states = item.states[item.places]
        assert (states[~here] == -1).all()
        agreeing = states[here] == found.fixed_model.assign(np.ascontiguousarray(alone.matrix[:, here]))
        assert agreeing.mean() > 0.99  # 1e-6 may tip a learner between two centroids
        assert (np.delete(item.states, item.places) == -2).all()


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_both_ways_to_the_traits_at_many_instants_say_the_same(is_shuffled: bool) -> None:
    events = learners(60, 70, is_shuffled=is_shuffled)
    instants = [START_US + day * DAY_US for day in (1, 3, 20, 21, 69, 90)]
    ways = (read_again(events, instants, TraitParameters(), 2), advanced(events, instants, TraitParameters()))
    for instant, again, once in zip(instants, *map(list, ways), strict=True):
        assert again.as_of_us == once.as_of_us == instant
        assert again.learner_ids.texts() == once.learner_ids.texts()
        assert again.ignored_event_count == once.ignored_event_count == (events.time_us > instant).sum()
        np.testing.assert_allclose(again.matrix, once.matrix, atol=1e-6)
        for name, values in again.further.items():
            np.testing.assert_allclose(once.further[name], values, rtol=1e-6, atol=1e-6, err_msg=name)


def test_long_histories_at_many_instants_are_met_once_and_others_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_read_again(event_count=56_000_000, learner_count=1_000_000, instant_count=1_000)
    assert is_read_again(event_count=1_000_000, learner_count=1_000, instant_count=26)
    assert not is_read_again(event_count=1_000_000, learner_count=1_000, instant_count=27)
    random = np.random.default_rng(0)
    times = START_US + np.sort(random.integers(0, 30 * DAY_US, 3_000))
    events = Events.from_numpy(np.arange(3_000) % 3, times, times % 5, times % 7, time_unit="us")
    instants = [START_US + day * DAY_US for day in range(1, 31)]
    expected = [events.traits(instant).matrix for instant in instants]
    monkeypatch.setattr(Events, "traits", lambda *_, **__: pytest.fail("all events were read again"))
    for traits, matrix in zip(traits_at(events, instants, TraitParameters()), expected, strict=True):
        np.testing.assert_allclose(traits.matrix, matrix, atol=1e-6)


@settings(max_examples=100)
@given(st.integers(2, 6), st.integers(1, 12), st.data())
def test_moves_are_those_of_counting_one_by_one(count: int, size: int, data: st.DataObject) -> None:
    states = data.draw(
        st.lists(st.lists(st.integers(-2, 1), min_size=size, max_size=size), min_size=count, max_size=count)
    )
    expected = np.zeros((3, 3), dtype=int)
    for before, after in pairwise(states):
        for one, other in zip(before, after, strict=True):
            if one > -2 and other > -2:
                expected[2 if one == -1 else one, 2 if other == -1 else other] += 1
    if not expected.sum():
        with pytest.raises(InputError, match="no learner is in a cohort at two neighbouring snapshots"):
            transitions(made(states))
        return
    found = transitions(made(states))
    np.testing.assert_array_equal(found.counts, expected)
    total = expected.sum(axis=1)
    for row in np.flatnonzero(total):
        np.testing.assert_allclose(found.shares[row], expected[row] / total[row])
        assert (found.low[row] <= found.shares[row]).all() and (found.shares[row] <= found.high[row]).all()
    assert found.step_days == 7


@settings(max_examples=100)
@given(st.integers(2, 7), st.integers(1, 6), st.data())
def test_stays_are_those_of_walking_along(count: int, size: int, data: st.DataObject) -> None:
    states = data.draw(
        st.lists(st.lists(st.integers(-2, 1), min_size=size, max_size=size), min_size=count, max_size=count)
    )
    expected: dict[str, list[tuple[int, bool]]] = {"a": [], "b": [], "away": []}
    for learner in range(size):
        seen = set()
        for at in range(1, count):
            state = states[at][learner]
            if state == -2 or state == states[at - 1][learner] or state in seen:
                continue
            seen.add(state)
            length = 1
            while at + length < count and states[at + length][learner] == state:
                length += 1
            expected[{0: "a", 1: "b", -1: "away"}[state]].append((length, at + length < count))
    for dwell in dwell_times(made(states)):
        assert dwell.run_count == len(expected[dwell.name])
        assert dwell.ended_count == sum(ended for _, ended in expected[dwell.name])
        assert dwell.curve.table.durations.tolist() == sorted({length for length, _ in expected[dwell.name]})


def test_limits_of_movers_and_stayers_cover_together() -> None:
    """200 learners, half of whom move often and half seldom, over 12 snapshots.

    All cells of the matrix at once, as promised; and limits made as if moves were independent would not.
    """
    random = np.random.default_rng(4)
    runs, learner_count, steps = RUNS, 200, 12
    truth = 0.5 * (0.4 + 0.05)  # chance to move; both kinds are in either state half of the time
    together = naive = 0
    for _ in range(runs):
        chance = np.where(random.random(learner_count) < 0.5, 0.4, 0.05)
        moved = random.random((steps, learner_count)) < chance
        states = np.vstack([random.integers(0, 2, learner_count), moved]).cumsum(axis=0) % 2
        found = transitions(made(states, can_be_away=False))
        target = np.array([[1 - truth, truth], [truth, 1 - truth]])
        together += bool(((found.low <= target) & (target <= found.high)).all())
        half = 2.5 * np.sqrt(target * (1 - target) / found.counts.sum(axis=1)[:, None])
        naive += bool((np.abs(found.shares - target) <= half).all())
    print(f"all cells of a matrix of moves: {runs - together} of {runs} miss; as if independent: {runs - naive}")
    assert together >= binom.ppf(0.0005, runs, 0.95), together
    assert naive < binom.ppf(0.0005, runs, 0.95), naive


def test_lanes_follow_centroids_whatever_the_numbers() -> None:
    points = np.array([[0.1, 0.1], [0.5, 0.5], [0.9, 0.1]])
    found = align([points, points[[2, 0, 1]] + 0.02, points[[1, 2, 0]] + 0.04], ["t0", "t1", "t2"])
    assert [own.tolist() for own in found.lanes] == [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
    np.testing.assert_allclose(found.distances[1], np.sqrt(2) * 0.02)
    assert np.isnan(found.distances[0]).all() and found.problems == ()


def test_another_number_of_cohorts_is_a_lane_that_begins_or_ends_and_is_said() -> None:
    two, three = np.array([[0.1], [0.9]]), np.array([[0.88], [0.5], [0.12]])
    found = align([two, three, two], ["Jan", "Feb", "Mar"])
    assert [own.tolist() for own in found.lanes] == [[0, 1], [1, 2, 0], [0, 1]]
    assert found.lane_count == 3
    assert found.problems[0].startswith("Jan has 2 cohorts and Feb has 3: a cohort begins there")
    assert found.problems[1].startswith("Feb has 3 cohorts and Mar has 2: a cohort ends there")


def test_refitted_cohorts_keep_their_lanes() -> None:
    events = learners(150, 90)
    found = snapshots(events, [START_US + day * DAY_US for day in (40, 60, 80)], k=2, model=Model.refit)
    assert found.alignment is not None and found.alignment.lane_count == 2
    assert len(set(found.lane_names)) == 2
    rows = stability(found)
    assert [row.learner_count > 50 for row in rows] == [True, True]
    assert min(row.stay_share for row in rows) > 0.6


def test_the_schedule_by_hand() -> None:
    """One learner whose label changes once for good: every second snapshot is stale for a while."""
    states = [[0], [0], [0], [0], [1], [1], [1], [1]]
    found = choose_schedule(made(states), (1, 2), staleness_cost=1.0, change_cost=1.0)
    often, seldom = found.schedules
    assert (often.stale_share, often.changes) == (0.0, pytest.approx(1 / 6))
    # of its two phases one sees the change at once, one a snapshot later
    assert (seldom.stale_share, seldom.changes) == (pytest.approx(0.5 / 6), pytest.approx(1 / 6))
    assert found.chosen == 0 and np.isnan(found.break_even[0])


def test_labels_that_flicker_are_assigned_seldom_and_labels_that_move_often() -> None:
    random = np.random.default_rng(1)
    flicker = random.integers(0, 2, (40, 300)).tolist()
    found = choose_schedule(made(flicker), (1, 4, 13), staleness_cost=1.0, change_cost=3.0)
    assert found.schedules[found.chosen].every == 13 and found.is_decided
    assert found.taken_back_share > 0.9
    drift = (np.arange(40)[:, None] > random.integers(1, 39, 300)).astype(int).tolist()
    found = choose_schedule(made(drift), (1, 4, 13), staleness_cost=1.0, change_cost=1.0)
    assert found.schedules[found.chosen].every == 1 and found.is_decided
    assert found.taken_back_share == 0.0
    even = found_at_break_even(made(np.array(flicker)[:, :30].tolist()))
    assert not even.is_decided


def found_at_break_even(snapshots_of_few: Snapshots) -> Choice:
    """Costs at which two schedules cost the same on these data: whichever is cheaper by a hair is no choice."""
    between = choose_schedule(snapshots_of_few, (1, 4)).break_even[0]
    return choose_schedule(snapshots_of_few, (1, 4), staleness_cost=1.0, change_cost=between * 1.001)


def test_limits_of_a_schedules_excess_cover() -> None:
    """Learners who differ in how often they move: the true excess of every second snapshot over every one."""
    random = np.random.default_rng(9)
    runs, learner_count = RUNS, 80

    def world(count: int) -> np.ndarray:
        chance = random.beta(1.0, 6.0, count)
        return np.vstack([np.zeros(count, dtype=int), random.random((20, count)) < chance]).cumsum(axis=0) % 2

    def excess(states: np.ndarray) -> tuple[float, float, float]:
        found = choose_schedule(made(states, can_be_away=False), (1, 2), 3.0, 1.0)
        assert found.chosen == 0
        row = found.schedules[1]
        return row.cost - found.schedules[0].cost, row.excess_low, row.excess_high

    truth = np.mean([excess(world(20_000))[0] for _ in range(5)])
    covered = sum(low <= truth <= high for _, low, high in (excess(world(learner_count)) for _ in range(runs)))
    print(f"excess cost of a schedule: {runs - covered} of {runs} miss")
    assert binom.ppf(0.0005, runs, 0.95) <= covered <= binom.ppf(0.9995, runs, 0.95), covered


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda e: snapshots(e, [START_US - 1, START_US + DAY_US]),
            "is before every event: the first is at 2026-01-0",
        ),
        (lambda e: snapshots(e, [START_US + DAY_US]), "1 instant to look at"),
        (
            lambda e: snapshots(e, [START_US + 20 * DAY_US, START_US + 30 * DAY_US], away_after_days=0),
            "away after 0 days",
        ),
        (lambda e: snapshots(e, [START_US + 40 * DAY_US, START_US + 400 * DAY_US], k=2, model="refit"), "is away"),
        (lambda e: snapshots(e, [START_US + 20 * DAY_US, START_US + 30 * DAY_US], k=900), "k is 900"),
        (lambda _: instants_between(START_US, START_US + 10 * DAY_US, 28), "a snapshot every 28 days gives 1"),
        (lambda _: instants_between(START_US, START_US + 10 * DAY_US, 0), "snapshots every 0 days"),
        (
            lambda _: choose_schedule(made([[0]] * 10), (1, 6)),
            "10 snapshots are too few to judge an assignment every 6",
        ),
        (lambda _: choose_schedule(made([[0]] * 10), (2, 1)), "periods are"),
        (lambda _: choose_schedule(made([[0]] * 10), (1, 2), 0.0), "costs are 0 and 1"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_reason(call: Callable[[Events], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(learners(12, 40))


@pytest.mark.data
def test_a_course_from_its_beginning_to_its_end(
    shared_data: Callable[[str], Path], oulad_mapping: dict[str, str]
) -> None:
    """The Open University's AAA: who is away at the end, and that labels settle while the course lasts."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data("oulad_student_vle.parquet"))
    events = Events.from_arrow(table.filter(pc.equal(table["code_module"], "AAA")), oulad_mapping)
    found = snapshots(events, instants_between(0, events.newest_us, 28), k=4)
    moves = transitions(found)
    assert len(found.learner_ids) == 378 and len(found) == 10
    assert moves.stay_share > 0.55
    clicks = table.to_pandas().query("code_module == 'AAA'")
    for item in found.items:
        day = item.as_of_us // DAY_US
        last = clicks[clicks.date <= day].groupby("id_student").date.max()
        assert int((item.states == -1).sum()) == int((day - last >= 28).sum())
        assert int((item.states == -2).sum()) == 378 - len(last)
    assert (found.items[-1].states == -1).sum() == 101
    assert {row.name for row in dwell_times(found)} == set(found.state_names)
