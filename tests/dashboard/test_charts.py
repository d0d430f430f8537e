"""Pictures: read back as XML, and held against the numbers that they show."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.rollout.resource import to_resource
from covey_dashboard.charts import criterion, share, svg, traits
from covey_dashboard.charts.criterion import CriterionSeries
from covey_dashboard.charts.share import Column
from covey_dashboard.history import Mark, Step
from covey_dashboard.tracks import Sample
from covey_dashboard.view.criteria import criterion_cards
from covey_dashboard.view.phases import columns

from .test_record import recorded

numbers = st.floats(allow_nan=True, allow_infinity=True)


def parsed(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    for element in root.iter():
        for name, value in element.attrib.items():
            assert "nan" not in value or name == "aria-label", (element.tag, name, value)
            assert "inf" not in value or name == "aria-label", (element.tag, name, value)
    return root


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in (element.get("class") or "").split()]


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=30), st.booleans(), st.floats(0, 2))
def test_whatever_was_measured_is_a_picture(
    found: list[tuple[float, float, float, float]], is_better_below: bool, limit: float
) -> None:
    samples = [Sample(float(at), *numbers, 3.0) for at, numbers in enumerate(found)]
    root = parsed(criterion.draw(CriterionSeries(samples, limit, is_better_below, 100.0, "%", "error_rate < 1 %")))
    assert root.get("role") == "img"
    assert root.get("aria-label")


def test_the_limit_stands_where_its_number_says() -> None:
    samples = [Sample(at, 0.01, 0.005, 0.02, 1.0, 3.0) for at in range(40)]
    root = parsed(criterion.draw(CriterionSeries(samples, 0.01, True, 100.0, "%", "error_rate < 1 %")))
    (limit, _) = of_class(root, "limit")
    point = of_class(root, "now")[0]
    assert float(point.get("cy", "")) == pytest.approx(float(limit.get("y1", "")))


def test_the_picture_says_in_words_what_it_shows(done: Any) -> None:
    for card in criterion_cards(to_resource(done.state), recorded(done.journal).history()):
        said = criterion.alternative(card.series)
        assert said.startswith(f"{card.line.statement}: estimate ")
        assert "between" in said
        assert "that prove it" in said


def test_a_share_is_as_high_as_it_is_large() -> None:
    heights = [share.height(bp) for bp in (0, 1, 100, 1000, 10_000)]
    assert heights == sorted(heights, reverse=True)
    gaps = [below - above for below, above in pairwise(heights[2:])]
    assert gaps[0] == pytest.approx(gaps[1]) == pytest.approx(heights[0] - heights[2])


def test_a_column_per_phase_with_what_happened(back: Any) -> None:
    rollout, history = to_resource(back.state), recorded(back.journal).history()
    made = columns(rollout, history)
    root = parsed(share.draw(made, 760))
    assert len(of_class(root, "planned")) == 3
    assert len(of_class(root, "share-line")) == 2
    assert len(of_class(root, "rollback")) == 1
    assert share.alternative(made).startswith("The candidate's share of learners: canary at 10 % for ")
    assert "ramp at 50 %, then 0 %" in share.alternative(made)
    assert "rollout, 100 %, has not begun" in share.alternative(made)


def test_texts_from_elsewhere_are_escaped() -> None:
    mark = Mark(1.0, "held", "<script>alert(1)</script>")
    column = Column('"><script>', 100, 10.0, 5.0, [Step(0.0, 100)], [mark], is_now=True)
    for text in (
        share.draw([column], 340),
        criterion.draw(CriterionSeries([], 0.1, True, 1.0, "%", '"><script>')),
        traits.draw([traits.TraitBar("<b>", 0.5, 0.4)], '"<'),
    ):
        assert "<script" not in text
        parsed(text)


@given(st.lists(st.tuples(numbers, numbers), max_size=20))
def test_lines_lift_the_pen_over_gaps(points: list[tuple[float, float]]) -> None:
    path = svg.line(points)
    known = [point for point in points if not any(map(math.isnan, point))]
    assert len(re.findall(r"[ML]", path)) == len(known)
    assert path[:1] in {"", "M"}


def test_bars_are_as_long_as_their_traits() -> None:
    root = parsed(traits.draw([traits.TraitBar("velocity", 0.25, 0.5), traits.TraitBar("affinity", 1.0, 0.5)], "x"))
    (track, _), (first, second) = of_class(root, "track"), of_class(root, "bar")
    whole = float(track.get("width", ""))
    assert float(first.get("width", "")) == pytest.approx(whole / 4)
    assert float(second.get("width", "")) == pytest.approx(whole)
