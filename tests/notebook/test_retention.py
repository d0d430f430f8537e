"""Retention in a notebook: the table, the line and the pictures say what the counts say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import covey
from covey.retention import measure, parse_intervals


@pytest.fixture(scope="module")
def events() -> covey.Events:
    """Learners of three weeks; each comes back every second week or never."""
    learner, day = [], []
    for index in range(90):
        start = 4 + 7 * (index % 3)
        learner += [index] * 3
        day += [start, start + 14, start + 28] if index % 2 else [start, start, start]
    return covey.Events.from_numpy(np.array([*learner, 999]), np.array([*day, 80]), time_unit="day")


def test_it_is_the_measure_of_the_same_options(events: covey.Events) -> None:
    mine = events.retention(parse_intervals("14,1-7"), by="none", few_learners=5)
    theirs = measure(events, parse_intervals("14,1-7"), "none", few_learners=5)
    assert mine.table == theirs.table
    assert mine.table.total.cells[0].retained_count == 45


def test_the_table_shows_a_row_per_start_and_everybody(events: covey.Events) -> None:
    found = events.retention(parse_intervals("7,14"), as_of=np.datetime64("1970-02-20"))
    html = found._repr_html_()
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    assert len(rows) == 1 + len(found.table.rows) + 1
    assert 'title="15 of 30"' in rows[1] and ">50%</td>" in rows[1]
    assert html.count("<table>") == html.count("</table>") == 1
    assert repr(found).startswith("Retention of 90 learners in 3 groups by start; came back on days 7: 0%, 14: 50%")


@pytest.mark.parametrize("kind", ["triangle", "curves"])
def test_pictures_show_themselves(events: covey.Events, kind: str) -> None:
    figure = events.retention(as_of=np.datetime64("1970-03-20"), away_after_days=20).plot(kind)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    shown = " ".join(text.get_text() for axis in figure.axes for text in [*axis.texts, axis.title, axis._left_title])
    assert "by week of the first event" in shown


def test_what_cannot_be_drawn_is_said(events: covey.Events) -> None:
    with pytest.raises(covey.InputError, match="triangle or curves"):
        events.retention().plot("square")  # type: ignore[arg-type]
    short = covey.Events.from_numpy([1, 2, 1], [0, 0, 9], time_unit="day").retention(parse_intervals("1"))
    with pytest.raises(covey.InputError, match="there are no curves: a silence of 28 days"):
        short.plot("curves")
