"""Effects with their intervals as pictures: every outcome by the three readings, every segment by its estimate."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from covey.report.inks import BAD, BASELINE, CANDIDATE, FOURTH, GOOD, GRID, INK, INKS, LIMIT
from covey.report.pictures import Picture, tidy_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_INCHES, _ROW_INCHES = 9.2, 0.42
_VERDICT_INKS = {"IMPROVED": GOOD, "HARMED": BAD, "ALIKE": BASELINE, "UNDECIDED": FOURTH, "INVALID": LIMIT}
_READINGS = (
    ("ALWAYS_VALID", 1.0, "always valid"),
    ("GROUP_SEQUENTIAL", 2.6, "group-sequential"),
    ("FIXED", 5.0, "fixed"),
)


def effects_picture(result: dict[str, Any]) -> Picture:
    """Relative effects: one row a comparison; thick for one look, thin for any number of them."""
    rows = [one for one in result["comparisons"] if "relative_effect" in one and one["readings"]]

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        seen = set()
        for place, one in enumerate(rows):
            ink = _VERDICT_INKS.get(one["verdict"], INK)
            for reading in one["readings"]:
                width, label = next((w, name) for kind, w, name in _READINGS if kind == reading["kind"])
                if "relative_low" in reading and "relative_high" in reading:
                    ends = [reading["relative_low"], reading["relative_high"]]
                    axis.plot(ends, [place, place], color=ink, linewidth=width, solid_capstyle="butt", alpha=0.75)
                    if label not in seen:
                        seen.add(label)
                        axis.plot([], [], color=INK, linewidth=width, label=label)
            axis.plot([one["relative_effect"]], [place], marker="o", color=ink, markersize=6)
        names = [f"{one['outcome']}, {one['candidate']['variant']}" for one in rows]
        _frame(axis, names, "effect as a share of the control (hazards: ratio - 1)", 0.0)
        axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.3g} %" if value else "0")
        figure.legend(loc="outside lower right", ncols=3, fontsize=8)

    said = "; ".join(f"{one['outcome']} by {one['candidate']['variant']} {one['relative_effect']:+.1%}" for one in rows)
    return _picture("effects", "Effects by the three readings", said, len(rows), draw)


def segments_pictures(dive: dict[str, Any]) -> list[Picture]:
    """One picture a table: estimates with intervals, and where they are drawn to."""
    return [_table_picture(number, table) for number, table in enumerate(dive["tables"])]


def _table_picture(number: int, table: dict[str, Any]) -> Picture:
    rows = [row for row in table["segments"] if "effect" in row]
    neutral = 1.0 if table["is_hazard_ratio"] else 0.0
    inks = {"HARMED": BAD, "IMPROVED": GOOD, "UNCLEAR": INK, "TOO_SMALL": LIMIT}

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        if "spread" in table and not table["is_hazard_ratio"]:
            s = table["spread"]
            axis.axvspan(s["mean"] - s["tau"], s["mean"] + s["tau"], color=GRID, alpha=0.5, linewidth=0,
                         label="mean ± standard deviation of the true effects")  # fmt: skip
        for place, row in enumerate(rows):
            ink = inks[row["verdict"]]
            if "low" in row and "high" in row:
                axis.plot([row["low"], row["high"]], [place, place], color=ink, linewidth=1.6)
            axis.plot([row["effect"]], [place], marker="o", color=ink, markersize=6)
            if "shrunken" in row:
                axis.plot([row["shrunken"]], [place], marker="D", color=CANDIDATE, markersize=4, linestyle="none",
                          label="shrunken" if place == 0 else None)  # fmt: skip
        _frame(axis, [row["name"] for row in rows], "hazard ratio" if neutral else "effect", neutral)
        figure.legend(loc="outside lower right", ncols=2, fontsize=8)

    title = f"{table['outcome']} by {table['column']}, {table['variant']}"
    said = "; ".join(f"{row['name']} {row['effect']:.3g} {row['verdict'].lower().replace('_', ' ')}" for row in rows)
    return _picture(f"segments{number}", title, said, len(rows), draw)


def _frame(axis: Axes, names: Sequence[str], label: str, neutral: float) -> None:
    axis.axvline(neutral, color=LIMIT, linewidth=1.0)
    axis.set_yticks(range(len(names)), labels=list(names))
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel(label)
    axis.grid(axis="x", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(length=0)


def _picture(key: str, title: str, text: str, rows: int, draw: Callable[[Figure], None]) -> Picture:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": key, "text.parse_math": False, "font.size": 9,
        "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID,
        "xtick.color": INK, "ytick.color": INK, "grid.color": GRID, "axes.spines.top": False,
        "axes.spines.right": False, "axes.spines.left": False, "legend.frameon": False,
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = Figure(figsize=(_WIDTH_INCHES, 1.1 + _ROW_INCHES * max(rows, 1)), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = tidy_svg(target.getvalue(), key)
    inline, standalone = svg, svg
    for placeholder, (variable, colour) in INKS.items():
        inline = inline.replace(placeholder, f"var({variable})")
        standalone = standalone.replace(placeholder, colour)
    return Picture(key, title, text, inline, standalone)
