"""The share of traffic: a column per phase, because a canary of hours and a soak of weeks share no axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from covey.report import words
from covey_dashboard.charts import svg
from covey_dashboard.history import Mark, Step

_HEIGHT = 128.0
_TOP, _BOTTOM = 26.0, 104.0
_LEFT = 42.0
_GAP = 5.0
_SMALLEST_COLUMN = 0.4
_ONE_PER_CENT = 100

GLYPHS = {
    "held": "hold", "released": "release", "approval_awaited": "wait", "approved": "approval", "denied": "denial",
    "revoked": "denial", "paused": "hold", "resumed": "release", "promoted": "override", "rollback_started": "rollback",
    "finished": "end", "incident_reported": "incident", "incident_resolved": "release", "segment_excluded": "denial",
    "escalated": "wait", "acknowledged": "approval",
}  # fmt: skip
_SHAPES = {
    "hold": "M-3 -4h2v8h-2zM1 -4h2v8h-2z",
    "release": "M-3 -4L4 0L-3 4Z",
    "wait": "M-4 -4H4L0 0L4 4H-4L0 0Z",
    "approval": "M-4 0L-1 3L4 -4L5 -3L-1 5L-5 1Z",
    "denial": "M-4 -3L-3 -4L0 -1L3 -4L4 -3L1 0L4 3L3 4L0 1L-3 4L-4 3L-1 0Z",
    "override": "M-1 -4H1V-1H4V1H1V4H-1V1H-4V-1H-1Z",
    "rollback": "M4 -4L-4 0L4 4Z",
    "end": "M-4 -4H4V4H-4Z",
    "incident": "M0 -5L5 4H-5Z",
}


@dataclass(frozen=True)
class Column:
    """A phase as drawn.

    Attributes:
        name: of the phase.
        share_bp: planned, in basis points.
        seconds: as long as it took, or takes by the plan.
        lived_seconds: how much of that is over; 0: it has not begun.
        steps: of the candidate's share.
        marks: what happened in it.
        is_now: whether it is in force.
    """

    name: str
    share_bp: int
    seconds: float
    lived_seconds: float
    steps: Sequence[Step]
    marks: Sequence[Mark]
    is_now: bool


def draw(columns: Sequence[Column], width: float) -> Markup:
    """The picture, `width` units wide; a text is 11 units high at any width."""
    longest = max((column.seconds for column in columns), default=1.0) or 1.0
    weights = [max(column.seconds / longest, _SMALLEST_COLUMN) for column in columns]
    room = width - _LEFT - 4 - _GAP * (len(columns) - 1)
    parts = [
        svg.element("line", x1=_LEFT, x2=width - 4, y1=height(bp), y2=height(bp), class_="grid")
        + svg.text(words.share(bp), _LEFT - 6, height(bp) + 4, "tick", "end")
        for bp in (0, 100, 1000, 10_000)
    ]
    left = _LEFT
    for column, weight in zip(columns, weights, strict=True):
        size = room * weight / sum(weights)
        parts += _column(column, left, left + size)
        left += size + _GAP
    return svg.picture(width, _HEIGHT, alternative(columns), *parts, class_="chart share")


def height(share_bp: float) -> float:
    """Where a share is drawn: a third for the first per cent, a third for every further factor of ten."""
    part = share_bp / _ONE_PER_CENT if share_bp < _ONE_PER_CENT else 1 + math.log10(share_bp / _ONE_PER_CENT)
    return _BOTTOM - (_BOTTOM - _TOP) * min(part, 3.0) / 3.0


def alternative(columns: Sequence[Column]) -> str:
    """What the picture says, in words."""
    told = []
    for column in columns:
        if not column.lived_seconds and not column.is_now:
            told.append(f"{column.name}, {words.share(column.share_bp)}, has not begun")
            continue
        shares = ", then ".join(words.share(step.share_bp) for step in column.steps)
        told.append(f"{column.name} at {shares} for {words.span(column.lived_seconds)}")
    return f"The candidate's share of learners: {'; '.join(told)}."


def _column(column: Column, left: float, right: float) -> list[str]:
    x = svg.linear(0.0, column.seconds or 1.0, left, right)
    planned = height(column.share_bp)
    parts = [
        svg.element("rect", x=left, y=planned, width=right - left, height=_BOTTOM - planned, class_="planned"),
        svg.text(
            _fitting(column.name, right - left), (left + right) / 2, _HEIGHT - 6,
            "tick strong" if column.is_now else "tick", "middle",
        ),
    ]  # fmt: skip
    if not column.steps:
        return parts
    end = x(column.lived_seconds)
    corners = [(x(column.steps[0].seconds), _BOTTOM)]
    for step, following in zip(column.steps, [*column.steps[1:], None], strict=True):
        stop = end if following is None else x(following.seconds)
        corners += [(x(step.seconds), height(step.share_bp)), (stop, height(step.share_bp))]
    parts.append(svg.element("path", d=svg.line([*corners, (end, _BOTTOM)]) + "Z", class_="share-area"))
    parts.append(svg.element("path", d=svg.line(corners[1:]), class_="share-line"))
    if column.is_now:
        parts.append(svg.element("line", x1=end, x2=end, y1=_TOP - 4, y2=_BOTTOM, class_="now-line"))
    return parts + _marks(column, x)


def _marks(column: Column, x: svg.Scale) -> list[str]:
    parts, last = [], -math.inf
    for mark in column.marks:
        glyph = GLYPHS.get(mark.kind)
        # Glyphs on top of each other say nothing; the story has every one of them.
        if glyph is None or (x(mark.seconds) - last < 11 and glyph not in {"rollback", "incident"}):
            continue
        last = x(mark.seconds)
        place = f"translate({last:.1f} {_TOP - 14:.0f})"
        parts.append(
            svg.element(
                "path",
                svg.element("title", escape(mark.text)),
                d=_SHAPES[glyph],
                transform=place,
                class_=f"mark {glyph}",
            )
        )
    return parts


def _fitting(name: str, room: float) -> str:
    letters = max(int(room / 6.2), 1)
    return name if len(name) <= letters else f"{name[: max(letters - 1, 1)]}…"
