"""Retention by brute force in pandas, and what happens where the data do not say."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import Events
from covey.errors import InputError
from covey.retention import GroupBy, Interval, days_of_activity, measure, parse_intervals, weekly
from covey.retention.curves import curves, stays
from covey.retention.groups import Period, everybody, given_groups, start_cohorts
from covey.retention.table import CellVerdict, retention_table

DAY_S = 86_400
MONDAY_S = 1_767_571_200  # 2026-01-05


def events_of(learners: list[int], seconds: list[int]) -> Events:
    return Events.from_numpy(np.array(learners), np.array(seconds) + MONDAY_S, time_unit="s")


def by_days(days: dict[int, list[int]], last_day: int) -> Events:
    """An event at noon of each day of each learner, and one of learner 99 when the last day has ended."""
    learners = [learner for learner, own in days.items() for _ in own] + [99]
    seconds = [day * DAY_S + DAY_S // 2 for own in days.values() for day in own] + [(last_day + 1) * DAY_S]
    return events_of(learners, seconds)


logs = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40 * DAY_S)), min_size=1, max_size=120)
intervals_asked = st.lists(
    st.tuples(st.integers(1, 30), st.one_of(st.none(), st.integers(0, 9))).map(
        lambda pair: Interval(pair[0], None if pair[1] is None else pair[0] + pair[1])
    ),
    min_size=1,
    max_size=5,
    unique=True,
)


def brute_force(
    log: list[tuple[int, int]], as_of: int, day_start: int, period: str, interval: Interval
) -> dict[str, tuple[int, int]]:
    """Eligible and retained by start cohort, a learner at a time."""
    frame = pd.DataFrame(log, columns=["learner", "second"])
    frame = frame[frame.second <= as_of]
    frame["date"] = pd.to_datetime(frame.second + MONDAY_S - day_start, unit="s").dt.normalize()
    last_complete = pd.Timestamp(as_of * 1_000_000 + 1 + (MONDAY_S - day_start) * 1_000_000, unit="us").normalize()
    last_complete -= pd.Timedelta(days=1)
    found: dict[str, tuple[int, int]] = {}
    for _, own in frame.groupby("learner"):
        start = own.date.min()
        name = {
            "day": start.strftime("%Y-%m-%d"),
            "week": (start - pd.Timedelta(days=start.weekday())).strftime("%Y-%m-%d"),
            "month": start.strftime("%Y-%m"),
        }[period]
        offsets = (own.date - start).dt.days
        last = interval.first if interval.last is None else interval.last
        eligible = start + pd.Timedelta(days=last) <= last_complete
        until = np.inf if interval.last is None else interval.last
        retained = eligible and bool(((offsets >= interval.first) & (offsets <= until)).any())
        before = found.get(name, (0, 0))
        found[name] = (before[0] + eligible, before[1] + retained)
    return found


@settings(max_examples=150)
@given(logs, st.integers(0, 41 * DAY_S), st.sampled_from([0, 3_600, -7_200]), st.sampled_from(Period), intervals_asked)
def test_tables_are_those_of_brute_force(
    log: list[tuple[int, int]], as_of: int, day_start: int, period: Period, intervals: list[Interval]
) -> None:
    events = events_of([row[0] for row in log], [row[1] for row in log])
    if min(row[1] for row in log) > as_of:
        with pytest.raises(InputError, match="every event is later than as_of"):
            days_of_activity(events, (as_of + MONDAY_S) * 1_000_000)
        return
    activity = days_of_activity(events, (as_of + MONDAY_S) * 1_000_000, 64, day_start)
    table = retention_table(activity, start_cohorts(activity, period), intervals)
    for column, interval in enumerate(intervals):
        expected = brute_force(log, as_of, day_start, period.value, interval)
        found = {row.group: row.cells[column] for row in table.rows}
        assert found.keys() == expected.keys()
        for name, (eligible, retained) in expected.items():
            assert (found[name].eligible_count, found[name].retained_count) == (eligible, retained), name
            assert found[name].verdict is (CellVerdict.not_complete if not eligible else CellVerdict.few)
        assert table.total.cells[column].retained_count == sum(retained for _, retained in expected.values())


@settings(max_examples=60)
@given(logs, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(log: list[tuple[int, int]], random: object) -> None:
    shuffled = list(log)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    answers = [days_of_activity(events_of([r[0] for r in rows], [r[1] for r in rows])) for rows in (log, shuffled)]
    for name in ("first_day", "last_day", "active"):
        np.testing.assert_array_equal(getattr(answers[0], name), getattr(answers[1], name))


def stay_by_hand(days: list[int], last_complete: int, silence: int) -> tuple[int, bool]:
    """A day at a time: the first active day followed by a whole silence is the last of the stay."""
    active = {day - min(days) for day in days}
    watched = last_complete - silence - min(days)
    for day in range(watched + 1):
        if day in active and not any(later in active for later in range(day + 1, day + silence + 1)):
            return day, True
    return max(watched, -1), False


@settings(max_examples=200)
@given(
    st.dictionaries(st.integers(0, 6), st.lists(st.integers(0, 150), min_size=1, max_size=25), min_size=1),
    st.integers(150, 160),
    st.integers(1, 40),
)
def test_stays_are_those_of_walking_day_by_day(days: dict[int, list[int]], last_day: int, silence: int) -> None:
    activity = days_of_activity(by_days(days | {98: [0]}, last_day), days=200)
    found = stays(activity, silence)
    complete = MONDAY_S // DAY_S + last_day
    assert activity.last_complete_day == complete
    for learner, own in days.items():
        position = activity.learner_ids.texts().index(str(learner))
        assert (int(found.days[position]), bool(found.left[position])) == stay_by_hand(own, last_day, silence)


def test_who_comes_back_after_a_silence_has_left_all_the_same() -> None:
    """Else the share that left would fall as data come in."""
    early = stays(days_of_activity(by_days({1: [0, 2, 30]}, 31), days=64), 10)
    late = stays(days_of_activity(by_days({1: [0, 2, 30, 31, 32, 33]}, 60), days=64), 10)
    assert early.days[0] == late.days[0] == 2
    assert early.left[0] and late.left[0]


def test_n_day_bracket_and_unbounded_of_one_learner() -> None:
    found = measure(by_days({1: [0, 3, 9]}, 30), parse_intervals("3,4,3-5,4-8,9+,10+"), GroupBy.none, few_learners=1)
    cells = found.table.total.cells
    # learner 99 has completed nothing
    assert [cell.eligible_count for cell in cells] == [1] * 6
    assert [cell.retained_count for cell in cells] == [1, 0, 1, 0, 1, 0]


def test_a_day_that_is_not_over_is_not_a_silent_one() -> None:
    events = events_of([1, 2], [0, 5 * DAY_S + 10])
    assert measure(events, parse_intervals("4"), GroupBy.none).table.total.cells[0].eligible_count == 1
    with pytest.raises(InputError, match="no learner has completed interval 5: the data hold 4 complete days"):
        measure(events, parse_intervals("5"), GroupBy.none)
    as_of = datetime(2026, 1, 10, 23, 59, 59, 999_999, tzinfo=UTC)
    assert measure(events, parse_intervals("5"), GroupBy.none, as_of=as_of).table.total.cells[0].eligible_count == 1


def test_three_learners_get_a_verdict_not_a_number_to_believe() -> None:
    found = measure(by_days({1: [0, 8], 2: [0], 3: [0, 9], 4: [7], 5: [7, 9]}, 40), weekly(1), GroupBy.start)
    cell = found.table.rows[0].cells[0]
    assert (cell.eligible_count, cell.verdict) == (3, CellVerdict.few)
    assert cell.low < 0.25 and cell.high > 0.9
    assert found.curves is not None
    assert "fewer than 20 learners in 2026-01-05" in found.curves.test_problem


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: measure(e, away_after_days=400), "a silence of 400 days cannot be told from the end of the data"),
        (lambda e: measure(e, away_after_days=0), "away after 0 days"),
        (lambda e: measure(e, parse_intervals("300,400+")), "no learner has completed interval 300"),
        (lambda e: measure(e, []), "no interval is asked for"),
        (lambda e: measure(e, [Interval(0, 3)]), "begins on day 0"),
        (lambda e: measure(e, parse_intervals("3,3")), "interval 3 is asked for twice"),
        (lambda e: measure(e, parse_intervals("7"), GroupBy.archetype), "within the first 14 days"),
        (lambda e: measure(e, by=GroupBy.archetype, landmark_days=300), "no learner has completed a week after day"),
        (lambda e: measure(e, parse_intervals("60+"), as_of=0), "every event is later than as_of"),
        (lambda e: days_of_activity(e, days=5000), "5000 days after the first"),
        (lambda e: stays(days_of_activity(e, days=64), 64), "64 days of activity are too few"),
        (lambda _: parse_intervals("7-3"), "'7-3' is no interval"),
        (lambda _: parse_intervals("7,x"), "'x' is no interval"),
    ],
)
def test_what_the_data_do_not_hold_is_refused_with_its_reason(call: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(by_days({1: [0, 3, 70]}, 80))  # type: ignore[operator]


def test_too_short_for_curves_is_said_and_the_table_is_there() -> None:
    found = measure(by_days({1: [0, 3]}, 10), parse_intervals("3"))
    assert found.curves is None
    assert "a silence of 28 days cannot be told" in found.curves_problem


def learners_with_a_hazard(random: np.random.Generator, count: int, start_days: int) -> dict[int, list[int]]:
    """Active every day until they leave, a twentieth of those left each day."""
    stay = random.geometric(0.05, count) - 1
    start = random.integers(0, start_days, count)
    return {learner: list(range(start[learner], start[learner] + stay[learner] + 1)) for learner in range(count)}


def test_curves_find_the_hazard_and_bands_cover_it() -> None:
    """400 data sets of 120 learners through events, days and silences: P(stay > d) = 0.95^(d+1)."""
    random = np.random.default_rng(8)
    covered = np.zeros(3, dtype=int)
    runs = 400
    for _ in range(runs):
        days = {k: [d for d in v if d <= 60] for k, v in learners_with_a_hazard(random, 120, 40).items()}
        activity = days_of_activity(by_days(days, 60), days=64)
        curve = curves(stays(activity, 5), everybody(activity)).total.curve
        for place, day in enumerate((2, 10, 20)):
            _, low, high = curve.at([day])
            covered[place] += bool(low[0] <= 0.95 ** (day + 1) <= high[0])
    from scipy.stats import binom

    assert (binom.ppf(0.0005, runs, 0.95) <= covered).all(), covered
    assert (covered <= binom.ppf(0.9995, runs, 0.95)).all(), covered


def test_archetypes_of_whole_histories_would_know_the_future() -> None:
    """Learners who differ in nothing but luck: grouped by all they did, who stayed looks like a kind of learner."""
    random = np.random.default_rng(2)
    learner, second, topic = [], [], []
    for number, stayed in learners_with_a_hazard(random, 900, 1).items():
        for day in stayed:
            if day <= 90 and (day == 0 or random.random() < 0.6):
                learner.append(number)
                second.append(MONDAY_S + day * DAY_S)
                topic.append(int(random.integers(0, 6)))
    events = Events.from_numpy(np.array(learner), np.array(second), topic, topic, time_unit="s")
    as_of = np.datetime64(MONDAY_S + 91 * DAY_S, "s")
    honest = measure(events, parse_intervals("28-34"), GroupBy.archetype, landmark_days=7, k=4, as_of=as_of)
    beyond = curves(stays(honest.activity, 10), honest.groups, from_day=7).test
    assert beyond is not None and beyond.p_value > 0.001
    whole = events.traits().discover(k=4)
    groups = given_groups(honest.activity, whole.traits.learner_ids, whole.labels, [f"c{i}" for i in range(4)])
    cheating = curves(stays(honest.activity, 10), groups).test
    assert cheating is not None and cheating.p_value < 1e-20


def test_groups_of_strangers_are_refused() -> None:
    activity = days_of_activity(by_days({1: [0]}, 5))
    with pytest.raises(InputError, match="no learner of the events is in a group"):
        given_groups(activity, Events.from_numpy(["x"], [0], time_unit="s").learner_ids, np.array([0]), ["a"])
