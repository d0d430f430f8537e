"""The effect drawn: days counted by a second route, numbers that are those of the analysis, words that are not cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from covey import Events
from covey.experiment import Verdict
from covey.interventions import Playbook, pictures
from covey.interventions.days import active_days, arm_days
from covey.interventions.effect import came_back, measure_effect
from covey.interventions.planning import HELD_OUT, TREATED, Enrolment, arm_of
from covey.interventions.report import Measured, headline, markdown, measure, write_report

DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000
BOOK = Playbook("welcome-back", 0.2, "send_message", holdout_share=0.5, outcome_days=14)


def world(learners: int, lift: float = 0.0, seed: int = 0, book: Playbook = BOOK) -> tuple[list[Enrolment], Events]:
    """Learners enrolled on days 5 to 12, and their events of 60 days; those treated are active on more days."""
    random = np.random.default_rng(seed)
    enrolments, learner, time = [], [], []
    for number in range(learners):
        name, day = f"l{number}", int(random.integers(5, 13))
        own = Enrolment(name, arm_of(book, name), START_US + day * DAY_US, float(random.random()))
        enrolments.append(own)
        share = 0.08 + lift * (own.arm == TREATED)
        for at in np.flatnonzero(random.random(60) < share):
            learner.append(name)
            time.append(START_US + int(at) * DAY_US + int(random.integers(0, DAY_US)))
    learner.append("watched")
    time.append(START_US + 60 * DAY_US)
    return enrolments, Events.from_numpy(learner, np.array(time), time_unit="us")


def test_days_are_those_of_plain_counting() -> None:
    enrolments, events = world(120)
    enrolments.append(Enrolment("nobody", TREATED, START_US, 0.5))
    enrolments.append(Enrolment("l3", HELD_OUT, START_US + 50 * DAY_US, 0.5))
    active, is_over = active_days(enrolments, events, 14)
    ids = np.array(list(events.learner_ids.texts()))[np.asarray(events.learner_index)]
    times = np.asarray(events.time_us)
    for own, days in zip(enrolments, active, strict=True):
        since = times[ids == own.learner_id] - own.as_of_us
        assert {int(day) for day in np.flatnonzero(days)} == {int(s // DAY_US) for s in since if 0 <= s < 14 * DAY_US}
    assert active.any() and is_over.tolist() == [*([True] * 121), False]
    expected = [None if not over else bool(own.any()) for own, over in zip(active, is_over, strict=True)]
    assert came_back(enrolments, events, 14) == expected


def test_an_event_at_the_instant_itself_is_of_the_first_day_and_one_at_the_end_of_none() -> None:
    at = START_US + np.array([0, 14, 20]) * DAY_US
    events = Events.from_numpy(["a", "b", "watched"], at, time_unit="us")
    chosen = [Enrolment(name, TREATED, START_US, 0.5) for name in "ab"]
    assert active_days(chosen, events, 14)[0].sum(axis=1).tolist() == [1, 0]


def test_the_report_says_what_the_analysis_says(tmp_path: Path) -> None:
    enrolments, events = world(900, lift=0.08)
    found = measure(BOOK, enrolments, {"told": 7, "expired": 2}, events)
    effect = measure_effect(BOOK, enrolments, came_back(enrolments, events, 14)).result
    assert found.effect.result == effect and found.comparison.verdict is Verdict.improved
    assert headline(found).startswith("Split as planned (p = ") and "Improved: " in headline(found)
    write_report([found], tmp_path / "deep" / "report", ["no"])
    text = (tmp_path / "deep" / "report" / "report.md").read_text()
    one = effect.comparisons[0]
    for share in (one.control.value, one.candidate.value):
        assert share is not None and f"| {100 * share:.1f} % |" in text
    low, high = (100 * (getattr(one.readings[2], end) or 0) for end in ("low", "high"))
    assert f"({low:+.2f} to {high:+.2f})" in text and "7 told, 0 waiting, 0 given up, 2 expired" in text
    # The split stands before any effect.
    assert text.index("Split") < text.index("effects.svg") and "**Not measured:** no" in text
    for name in ("effects.svg", "days-welcome-back.svg"):
        assert f"({name})" in text and b"<svg" in (tmp_path / "deep" / "report" / name).read_bytes()[:500]
    # Where the curves end is who came back.
    for own, arm in zip(found.arms, (one.control, one.candidate), strict=True):
        assert own.back[-1] == pytest.approx(arm.value) and own.learner_count == arm.units
        assert (own.back_low <= own.back).all() and (own.back <= own.back_high).all()
        assert (np.diff(own.back) >= 0).all() and (own.active <= own.back).all()


def test_what_is_not_decidable_yet_says_how_many_it_takes() -> None:
    enrolments, events = world(150, lift=0.01)
    found = measure(BOOK, enrolments, {}, events)
    assert found.comparison.verdict is Verdict.undecided and found.comparison.needed_units
    assert "learners would decide it" in headline(found)
    assert any("too few learners yet" in own.get_text() for own in pictures.effects([found], "t").findobj(Text))
    enrolments, events = world(500, lift=0.01)
    assert "Not decidable yet: needs about" in headline(measure(BOOK, enrolments, {}, events))


def test_a_split_that_is_not_the_planned_one_is_no_effect() -> None:
    enrolments, events = world(900, lift=0.08)
    lost = [own for place, own in enumerate(enrolments) if own.arm == TREATED or place % 2]
    found = measure(BOOK, lost, {}, events)
    assert headline(found).startswith("INVALID. held_out") and "nothing below can be believed" in headline(found)
    text = markdown([found])
    assert "interval for" not in text and "points" not in text
    drawn = [own.get_text() for own in pictures.effects([found], "t").findobj(Text)]
    assert "INVALID: the split is not as planned" in drawn and not any("points (" in own for own in drawn)


def is_cut(figure: Figure) -> bool:
    """Whether something that is drawn, words above all, is beyond the edge of the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    return bool(min(box.x0, box.y0) < -0.01 or box.x1 > width + 0.01 or box.y1 > height + 0.01)


def test_nothing_that_is_written_is_cut_or_written_over() -> None:
    measured: list[Measured] = []
    for name, lift in (("a", 0.9), ("call" * 25, -0.07), ("c", 0.0), ("d", 0.0)):
        book = replace(BOOK, name=name)
        enrolments, events = world(300, lift, book=book)
        measured.append(measure(book, enrolments, {}, events))
    for figure in (pictures.effects(measured, "Do they help?"), pictures.day_curves(measured[0].arms, "a: day by day")):
        assert not is_cut(figure)
    figure = pictures.effects(measured, "Do they help?")
    left, right = figure.axes
    FigureCanvasAgg(figure).draw()
    for own in left.texts:
        assert own.get_window_extent().x1 < right.bbox.x0
    figure.text(0.9, 0.5, "words that do not fit")  # the twin
    assert is_cut(figure)
    # A name of a hundred letters that is not shortened makes the picture of no use.
    assert any(own.get_text().startswith("callcall") and "…" in own.get_text() for own in left.get_yticklabels())


def test_arms_without_a_learner_whose_days_are_over_have_no_share() -> None:
    enrolments, events = world(10)
    active, _ = active_days(enrolments, events, 14)
    for own in arm_days(enrolments, active, np.zeros(10, dtype=bool)):
        assert own.learner_count == 0 and (own.active_low == 0).all() and (own.active_high == 1).all()
