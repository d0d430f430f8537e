"""SVG as text: elements, paths, scales. Colours are classes, which the style sheet resolves for light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from markupsafe import Markup

Scale = Callable[[float], float]


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Maps [low, high] to [start, end], and what is beyond to the nearer end; everything to `end` where low is high."""
    span = high - low

    def scale(value: float) -> float:
        part = 1.0 if span <= 0 else min(max((value - low) / span, 0.0), 1.0)
        return start + (end - start) * part

    return scale


def element(name: str, *children: str, **attributes: object) -> str:
    """One element; `class_` is "class", underscores are hyphens, and None leaves an attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def text(words: str, x: float, y: float, class_: str = "", anchor: str | None = None) -> str:
    """A line of text."""
    return element("text", escape(words), x=x, y=y, class_=class_ or None, text_anchor=anchor)


def line(points: Iterable[tuple[float, float]]) -> str:
    """The `d` of a line through the points; a nan lifts the pen."""
    parts, is_down = [], False
    for x, y in points:
        if math.isnan(x) or math.isnan(y):
            is_down = False
            continue
        parts.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}")
        is_down = True
    return "".join(parts)


def band(xs: Sequence[float], lower: Sequence[float], upper: Sequence[float]) -> str:
    """The `d` of the area between two lines; points without both ends are left out."""
    known = [
        (x, low, high)
        for x, low, high in zip(xs, lower, upper, strict=True)
        if not (math.isnan(low) or math.isnan(high))
    ]
    if len(known) < 2:
        return ""
    there = [(x, high) for x, _, high in known]
    back = [(x, low) for x, low, _ in reversed(known)]
    return line([*there, *back]) + "Z"


def picture(width: float, height: float, label: str, *children: str, class_: str = "chart") -> Markup:
    """A whole picture with what it says to somebody who cannot see it."""
    return Markup(  # noqa: S704 - every text went through `escape`
        element(
            "svg",
            element("title", escape(label)),
            *children,
            viewBox=f"0 0 {width:g} {height:g}",
            role="img",
            aria_label=label,
            class_=class_,
        )
    )


def _text(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
