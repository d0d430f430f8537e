"""What a prompt and a notebook show of results."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import covey

VOID = {"br", "hr", "img"}


class Cells(HTMLParser):
    """Tables as text, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in {"td", "th"}:
            self.rows[-1][-1] += data


@pytest.fixture
def events():
    learner = [f"<b>{index % 8}</b>" for index in range(80)]
    return covey.Events.from_numpy(
        learner, np.arange(80) // 2, domain=["<script>"] * 80, capability=np.arange(80) % 7, time_unit="day"
    )


def test_events_say_how_many_of_whom_and_when(events):
    rows = dict(Cells(events._repr_html_()).rows)
    assert rows["events"], rows["learners"] == ("80", "8")
    assert rows["from"] == "1970-01-01 00:00Z"
    assert rows["to"] == "1970-02-09 00:00Z"
    assert rows["domains"] == "1: <script>"
    assert "<script>" not in events._repr_html_()
    assert repr(events) == "Events: 80 of 8 learners, 1970-01-01 00:00Z to 1970-02-09 00:00Z"


def test_traits_show_quantiles_and_the_first_learners(events):
    traits = events.traits(as_of=np.datetime64("1970-02-01"))
    rows = Cells(traits._repr_html_()).rows
    assert [row[0] for row in rows[1:5]] == ["10 %", "median", "90 %", "learner <b>0</b>"]
    assert rows[2][1:] == [f"{value:.3f}" for value in np.median(traits.matrix, axis=1)]
    assert rows[4][1:] == [f"{value:.3f}" for value in traits.matrix[:, 0]]
    assert rows[-1][0] == "… 3 more"
    assert re.fullmatch(r"Traits of 8 learners as of 1970-02-01 00:00Z, \d+ later events ignored", repr(traits))


def test_cohorts_show_a_row_each(events):
    cohorts = events.traits().discover(k=3)
    head, *rows = Cells(cohorts._repr_html_()).rows
    assert head[1:4] == ["archetype", "learners", "share"]
    assert [row[2] for row in rows] == [str(size) for size in cohorts.sizes]
    assert [row[1] for row in rows] == list(cohorts.archetypes)
    assert [row[4:] for row in rows] == [[f"{value:.3f}" for value in means] for means in cohorts.mean_traits]
    first, *lines = repr(cohorts).splitlines()
    assert first == f"3 cohorts of 8 learners, silhouette {cohorts.quality.silhouette:.3f}"
    assert len(lines) == 3


def test_one_cohort_has_no_silhouette(events):
    cohorts = events.traits().discover(k=1)
    assert repr(cohorts).splitlines()[0] == "1 cohort of 8 learners"
