"""Pictures: valid SVG, the same bytes twice, no foreign resource, text for those who cannot see them."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

from covey.report.inks import INKS
from covey.report.model import ArmSeries, Mark, Panel
from covey.report.pictures import draw
from covey.report.plots import error_text


def panel(name: str = "canary", share_bp: int = 100, end: float = 7200.0, samples: int = 20) -> Panel:
    times = [end * (index + 1) / samples for index in range(samples)]
    candidate = ArmSeries(
        [10 * (index + 1) for index in range(samples)], [index // 10 for index in range(samples)], {0.2: [0] * samples}
    )
    baseline = ArmSeries([1000] * samples, [1] * samples, {0.2: [3] * samples})
    return Panel(
        name, times, end, [(0.0, share_bp)], [(share_bp, share_bp)] * samples, candidate, baseline,
        {"error_rate < 1 %": [index / 10 for index in range(samples)], "critical_incidents = 0": [math.nan] * samples},
        [("error_rate < 1 %", 0.01), ("error_rate > 1.5 %", 0.015)], [(0.2, 0.01)], [Mark(60.0, "hold", "it holds")],
    )  # fmt: skip


def test_pictures_are_self_contained_svg() -> None:
    pictures = draw([panel(), panel("ramp", 1000, 14400.0)])
    assert [picture.key for picture in pictures] == ["traffic", "errors", "latency", "evidence"]
    for picture in pictures:
        for svg in (picture.inline, picture.standalone):
            root = ET.fromstring(svg)
            assert root.tag.endswith("svg")
            assert root.get("viewBox")
            references = re.findall(r'href="([^"]*)"|url\(([^)]*)\)', svg)
            assert references
            assert all("".join(reference).startswith("#") for reference in references)
            assert "<image" not in svg
            assert not [ink for ink in INKS if ink in svg]
        assert "canary" in picture.text
        assert "var(--" in picture.inline
        assert "var(--" not in picture.standalone


def test_pictures_are_the_same_twice() -> None:
    assert draw([panel()]) == draw([panel()])


def test_ids_are_unique_on_one_page() -> None:
    page = "".join(picture.inline for picture in draw([panel(), panel("ramp")]))
    per_picture = [set(re.findall(r'\bid="([^"]+)"', picture.inline)) for picture in draw([panel(), panel("ramp")])]
    assert sum(len(ids) for ids in per_picture) == len(set().union(*per_picture))
    assert all(f'id="{name}"' in page for name in re.findall(r"url\(#([^)]+)\)", page))


def test_a_phase_without_samples_is_no_picture() -> None:
    assert draw([]) == []
    assert draw([panel(samples=0)]) == []


def test_the_text_gives_the_figures() -> None:
    assert error_text([panel()]) == (
        "Error rate of candidate and baseline against the limits. "
        "At the end of each phase: canary candidate 0.5 %, baseline 0.1 %."
    )


def test_statements_are_drawn_as_text() -> None:
    hostile = panel("a$b_c^d")
    assert "a$b_c^d, 1 %" in "".join(ET.fromstring(draw([hostile])[0].inline).itertext())
