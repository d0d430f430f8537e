"""The pictures of a report as SVG: a column per phase, because a canary of hours and a soak of weeks share no axis."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from covey.report import plots, words
from covey.report.inks import GRID, INK, INKS
from covey.report.model import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_INCHES = 9.2
_HEIGHT_INCHES = 2.5
_SMALLEST_COLUMN = 0.45


@dataclass(frozen=True)
class Picture:
    """One picture: what it shows, what it says to somebody who cannot see it, and its SVG.

    Attributes:
        key: names its file.
        title: above the picture.
        text: the alternative text.
        inline: SVG whose colours are CSS variables of the page.
        standalone: SVG with colours of its own.
    """

    key: str
    title: str
    text: str
    inline: str
    standalone: str


def draw(panels: Sequence[Panel]) -> list[Picture]:
    """The four pictures; none before the first phase has samples."""
    if not any(panel.seconds for panel in panels):
        return []
    pictures = (
        ("traffic", "Traffic share and decisions", plots.share_text, plots.draw_share),
        ("errors", "Error rate since the phase began", plots.error_text, plots.draw_errors),
        ("latency", "Requests slower than the limit", plots.slow_text, plots.draw_slow),
        ("evidence", "How far each criterion is proven", plots.proof_text, plots.draw_proof),
    )
    return [_picture(key, title, text(panels), panels, drawer) for key, title, text, drawer in pictures]


Drawer = Callable[["Axes", Panel], None]


def _picture(key: str, title: str, text: str, panels: Sequence[Panel], draw_one: Drawer) -> Picture:
    svg = _svg(key, panels, draw_one)
    inline, standalone = svg, svg
    for placeholder, (variable, colour) in INKS.items():
        inline = inline.replace(placeholder, f"var({variable})")
        standalone = standalone.replace(placeholder, colour)
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    standalone = re.sub(r"(<svg [^>]*>)", lambda match: match.group(1) + background, standalone, count=1)
    return Picture(key, title, text, inline, standalone)


def _svg(key: str, panels: Sequence[Panel], draw_one: Drawer) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": key, "text.parse_math": False, "font.size": 9,
        "font.family": "sans-serif",
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID, "xtick.color": INK, "ytick.color": INK,
        "grid.color": GRID, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.6,
        "legend.frameon": False, "axes.titlesize": 9,
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = Figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), layout="constrained")
        FigureCanvasSVG(figure)
        longest = max(panel.end_seconds for panel in panels)
        widths = [max(panel.end_seconds / longest if longest else 1.0, _SMALLEST_COLUMN) for panel in panels]
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axis, panel in zip(axes, panels, strict=True):
            _frame(axis, panel)
            draw_one(axis, panel)
        _legend(figure, axes)
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return tidy_svg(target.getvalue(), key)


def _frame(axis: Axes, panel: Panel) -> None:
    size, unit = next(
        ((size, unit) for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "min"))
         if panel.end_seconds >= 2 * size), (1, "s"),
    )  # fmt: skip
    axis.set_title(f"{panel.name}, {words.share(panel.share_steps[0][1])}", loc="left")
    axis.set_xlim(0, max(panel.end_seconds, 1e-3))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value / size:g}")
    axis.xaxis.set_major_locator(_locator(panel.end_seconds, size))
    axis.set_xlabel(unit)
    axis.grid(axis="y", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(length=0)


def _locator(end: float, size: int) -> Any:
    from matplotlib.ticker import MultipleLocator

    for step in (1, 2, 5, 10, 15, 20, 30, 60, 100, 200, 500, 1000):
        if end / size / step <= 6:
            return MultipleLocator(step * size)
    return MultipleLocator(end / 4)


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower left", ncols=min(len(found), 4), fontsize=8)


def tidy_svg(svg: str, key: str) -> str:
    """Drops the XML prologue and makes ids unique among the pictures of one page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{key}-', svg)
    svg = svg.replace("url(#", f"url(#{key}-").replace('xlink:href="#', f'xlink:href="#{key}-')
    return re.sub(r'(<svg [^>]*?) ?width="[^"]*"([^>]*?) height="[^"]*"', r"\1\2", svg, count=1)
