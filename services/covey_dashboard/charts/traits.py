"""The trait profile of a cohort, beside the mean of all learners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from covey_dashboard.charts import svg

_WIDTH = 320.0
_ROW = 24.0
_LEFT, _RIGHT = 128.0, 276.0


class TraitBar(NamedTuple):
    """A trait of a cohort and of everybody, both from 0 to 1."""

    name: str
    value: float
    everybody: float


def draw(bars: Sequence[TraitBar], label: str) -> Markup:
    """One bar per trait, with a tick at everybody's mean."""
    x = svg.linear(0.0, 1.0, _LEFT, _RIGHT)
    parts = []
    for row, bar in enumerate(bars):
        top = row * _ROW + 5
        parts += [
            svg.text(bar.name, _LEFT - 8, top + 11.5, "tick", "end"),
            svg.element("rect", x=_LEFT, y=top, width=_RIGHT - _LEFT, height=14, rx=3, class_="track"),
            svg.element("rect", x=_LEFT, y=top, width=max(x(bar.value) - _LEFT, 1.5), height=14, rx=3, class_="bar"),
            svg.element("line", x1=x(bar.everybody), x2=x(bar.everybody), y1=top - 2, y2=top + 16, class_="everybody"),
            svg.text(f"{bar.value:.2f}", _RIGHT + 8, top + 11.5, "tick strong"),
        ]
    told = ", ".join(f"{bar.name} {bar.value:.2f} (everybody {bar.everybody:.2f})" for bar in bars)
    return svg.picture(_WIDTH, len(bars) * _ROW + 4, f"{label}: {told}", *parts, class_="chart traits")
