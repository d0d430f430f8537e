"""Features against plain counting, nothing from the future in them, labels by a second route, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import Events
from covey.churn import Definition, panel
from covey.churn.features import FEATURE_NAMES, History
from covey.errors import InputError

from .courses import DAY_US, START_US, course


def column(found: np.ndarray, name: str) -> np.ndarray:
    return found[:, FEATURE_NAMES.index(name)]


def test_features_are_what_plain_counting_says() -> None:
    events = course(80, 90)
    found = panel(events)
    owner, time = events.learner_index_of_rows(), events.time_us
    random = np.random.default_rng(0)
    for row in random.choice(len(found), 60, replace=False):
        as_of = found.as_of_us[row]
        own = np.sort(time[(owner == found.learner[row]) & (time < as_of)])
        day = (as_of - 1 - own) // DAY_US
        values = found.features[row : row + 1]
        for days in (1, 3, 7, 14, 28, 56):
            assert column(values, f"events_{days}d")[0] == (day < days).sum()
            assert column(values, f"active_days_{days}d")[0] == len(np.unique(day[day < days]))
        for week in (2, 3, 4):
            inside = (day >= 7 * week - 7) & (day < 7 * week)
            assert column(values, f"active_days_week_{week}")[0] == len(np.unique(day[inside]))
        assert column(values, "silent_days")[0] == pytest.approx((as_of - own[-1]) / DAY_US, rel=1e-6)
        tenure = (as_of - own[0]) / DAY_US
        assert column(values, "tenure_days")[0] == pytest.approx(tenure, rel=1e-6)
        assert column(values, "active_day_rate")[0] == pytest.approx(len(np.unique(day)) / max(tenure, 1), rel=1e-6)
        gaps = np.diff(np.unique(day))
        assert column(values, "longest_gap_days")[0] == (gaps.max() if len(gaps) else 0)
        assert column(values, "gap_deviation_days")[0] == pytest.approx(gaps.std() if len(gaps) else 0, abs=1e-5)
        share = (gaps >= day.min() + 1).mean() if len(gaps) else 0
        assert column(values, "gap_share")[0] == pytest.approx(share, abs=1e-6)
        traits = events.traits(as_of=int(as_of) - 1)
        at = int(np.flatnonzero(traits.learner_ids.integers == events.learner_ids.integers[found.learner[row]])[0])
        for name in ("learning_velocity", "retention_strength", "momentum"):
            assert column(values, name)[0] == pytest.approx(traits[name][at], abs=1e-6)
        after = time[(owner == found.learner[row]) & (time >= as_of)]
        assert found.churned[row] == (not len(after) or after.min() >= as_of + 28 * DAY_US)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 40))
def test_nothing_at_or_after_an_instant_changes_a_feature(seed: int, added: int) -> None:
    """Events at and after the instant are moved, dropped and made up: the features before it stay to the bit."""
    events = course(40, 80, seed=7)
    random = np.random.default_rng(seed)
    as_of = START_US + 45 * DAY_US
    time, owner = events.time_us, events.learner_index_of_rows()
    kept = (time < as_of) | (random.random(len(time)) < random.random())
    moved = np.where(time < as_of, time, as_of + random.integers(0, 35 * DAY_US, len(time)))[kept]
    new = random.integers(0, 40, added)
    at = as_of + random.integers(0, 2, added) * random.integers(0, 35 * DAY_US, added)
    end = START_US + 80 * DAY_US
    other = Events.from_numpy(
        np.concatenate([events.learner_ids.integers[owner[kept]], new]), np.concatenate([moved, at]),
        [f"t{topic}" for topic in np.concatenate([events.capability_index[kept], random.integers(0, 99, added)])],
        [f"t{topic}" for topic in np.concatenate([events.capability_index[kept], random.integers(0, 99, added)])],
        time_unit="us",
    )  # fmt: skip
    names = [f"t{events.capabilities[place]}" for place in events.capability_index]
    same = Events.from_numpy(events.learner_ids.integers[owner], time, names, names, time_unit="us")
    first, second = (panel(own, as_of=[as_of], observed_until=end) for own in (same, other))
    asked = first.learner_ids.integers[first.learner].tolist()
    assert asked == second.learner_ids.integers[second.learner].tolist()
    assert np.array_equal(first.features, second.features)


def test_the_twin_without_the_protection_would_see_the_future() -> None:
    """One event a microsecond before the same instant does change them, one at it does not: the test above can fail."""
    events = course(40, 80, seed=7)
    as_of, end = START_US + 45 * DAY_US, START_US + 80 * DAY_US
    owner = events.learner_ids.integers[events.learner_index_of_rows()]
    names = [f"t{events.capabilities[place]}" for place in events.capability_index]
    same = Events.from_numpy(owner, events.time_us, names, names, time_unit="us")
    before = panel(same, as_of=[as_of], observed_until=end)
    asked = before.learner_ids.integers[before.learner]
    for at, is_seen in ((as_of - 1, True), (as_of, False)):
        longer = [*names, names[0]]
        more = Events.from_numpy(
            np.append(owner, asked[0]), np.append(events.time_us, at), longer, longer, time_unit="us"
        )
        after = panel(more, as_of=[as_of], observed_until=end)
        assert np.array_equal(after.learner_ids.integers[after.learner], asked)
        assert np.array_equal(after.features, before.features) is not is_seen
        assert np.array_equal(after.features[1:], before.features[1:])


def test_instants_end_where_outcomes_are_complete() -> None:
    events = course(50, 100)
    found = panel(events, Definition(21), every_days=7)
    assert found.instants[-1] == events.newest_us - 21 * DAY_US
    assert set(np.diff(found.instants)) == {7 * DAY_US}
    given_too = panel(events, as_of=[START_US + 50 * DAY_US, events.newest_us - DAY_US])
    assert given_too.instants == [START_US + 50 * DAY_US]


def test_dates_of_outcomes_say_who_left() -> None:
    events = course(50, 100)
    when = {"3": START_US + 40 * DAY_US, "4": START_US + 60 * DAY_US, "none": START_US}
    found = panel(
        events, Definition(28, by_outcome=True), as_of=[START_US + 35 * DAY_US, START_US + 50 * DAY_US],
        outcomes=when,
    )  # fmt: skip
    names = found.learner_ids.texts()
    left = {(names[own], int(at - START_US) // DAY_US) for own, at in
            zip(found.learner[found.churned], found.as_of_us[found.churned], strict=True)}  # fmt: skip
    assert left <= {("3", 35), ("4", 35), ("4", 50)} and left
    assert ("3", 50) not in {(names[own], int(at - START_US) // DAY_US) for own, at in
                             zip(found.learner, found.as_of_us, strict=True)}  # fmt: skip


def test_offsets_and_index_are_one_history() -> None:
    events = course(30, 60)
    owner = events.learner_index_of_rows()
    order = np.argsort(owner, kind="stable")
    grouped = replace(
        events, learner_index=None, time=events.time[order], domain_index=events.domain_index[order],
        capability_index=events.capability_index[order],
        learner_offsets=np.searchsorted(owner[order], np.arange(len(events.learner_ids) + 1)).astype(np.int64),
    )  # fmt: skip
    first, second = History.of(events), History.of(grouped)
    assert np.array_equal(first.offsets, second.offsets) and np.array_equal(first.time_us, second.time_us)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"definition": Definition(400)}, "who leaves within 400 days cannot be told: the data hold 59.7 days"),
        ({"as_of": [START_US + 55 * DAY_US]}, "every outcome is censored: 28 days after 2026-03-01 end after the data"),
        (
            {"first": START_US + 40 * DAY_US},
            "the first instant, 2026-02-14, is after 2026-02-05, the last from which the data hold 28 days: they are "
            "known until 2026-03-05. Choose an earlier first instant",
        ),
        ({"every_days": 0}, "an instant every 0 days; expected 1 or more"),
        ({"as_of": [START_US - DAY_US]}, "before every event"),
        ({"definition": Definition(by_outcome=True)}, "none are given"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as refused:
        panel(course(30, 60), **options)  # type: ignore[arg-type]
    assert words in str(refused.value)


def test_days_out_of_range() -> None:
    with pytest.raises(InputError, match="horizon_days is 0; expected whole days"):
        Definition(0)
