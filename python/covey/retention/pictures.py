"""The triangle of retention and the curves of how long learners stay, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covey.retention.curves import Curves, GroupCurve
from covey.retention.table import CellVerdict, RetentionTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CURVES = 6
_MOST_ROWS = 40
_INK, _QUIET, _MISSING = "#1f2933", "#6b7280", "#eef1f4"
# Okabe and Ito: told apart by every kind of eye; the styles of lines tell them apart in grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


def triangle(table: RetentionTable, title: str, made: type[Figure] | None = None) -> Figure:
    """A cell per group and interval, the darker the more came back; white hatching where few learners are behind it."""
    from matplotlib.figure import Figure

    rows = table.rows[-_MOST_ROWS:]
    shares = np.array([[np.nan if c.share is None else c.share for c in row.cells] for row in (*rows, table.total)])
    figure = (made or Figure)(
        figsize=(2.6 + 0.62 * len(table.intervals), 1.7 + 0.34 * (len(rows) + 1)), layout="constrained"
    )
    axis = figure.add_subplot()
    top = float(np.nanmax(shares))
    colours = axis.pcolormesh(np.ma.masked_invalid(shares), cmap="Blues", vmin=0.0, vmax=max(top, 0.01), linewidth=2,
                              edgecolors="white")  # fmt: skip
    axis.set_facecolor(_MISSING)
    for y, row in enumerate((*rows, table.total)):
        for x, cell in enumerate(row.cells):
            if cell.share is None:
                continue
            ink = "white" if cell.share > 0.6 * top else _INK
            axis.text(x + 0.5, y + 0.5, f"{100 * cell.share:.0f}", ha="center", va="center", color=ink, fontsize=8.5,
                      fontstyle="italic" if cell.verdict is CellVerdict.few else "normal")  # fmt: skip
    names = [f"{row.group}  ({row.learner_count:,})" for row in (*rows, table.total)]
    axis.set_yticks(np.arange(len(names)) + 0.5, labels=names, fontsize=8.5)
    axis.set_xticks(np.arange(len(table.intervals)) + 0.5, labels=[i.label for i in table.intervals], fontsize=8.5)
    axis.axhline(len(rows), color=_INK, linewidth=1.2)
    axis.invert_yaxis()
    axis.tick_params(length=0)
    axis.set_xlabel("days after the learner's first day", fontsize=9)
    for side in axis.spines.values():
        side.set_visible(False)
    bar = figure.colorbar(colours, ax=axis, shrink=0.6, pad=0.015, format=lambda value, _: f"{100 * value:.0f} %")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=0)
    few = f"; italic: fewer than {table.few_learners} learners" if _has_few(table) else ""
    note = f"percent of those who completed the interval{few}; grey: nobody has yet"
    axis.set_title(f"{title}\n", fontsize=11, loc="left", color=_INK)
    axis.text(0, 1.0, note, transform=axis.transAxes, fontsize=8, color=_QUIET, va="bottom")
    return figure


def survival(found: Curves, title: str, made: type[Figure] | None = None) -> Figure:
    """The curve of each of the largest groups with its band, and how many learners are still watched below."""
    from matplotlib.figure import Figure

    lines = sorted(found.groups, key=lambda line: -line.learner_count)[:MOST_CURVES]
    lines = [line for line in lines if line.learner_count]
    figure = (made or Figure)(figsize=(7.6, 4.3 + 0.22 * len(lines)), layout="constrained")
    axis, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 0.06 * (len(lines) + 1)))
    horizon = max(line.curve.longest for line in lines)
    for number, line in enumerate(lines):
        _draw_curve(axis, line, number)
    axis.set_ylim(0, 1.02)
    axis.set_xlim(0, horizon)
    axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axis.set_ylabel("have not left", fontsize=9)
    axis.grid(axis="y", color="#d5dbe1", linewidth=0.6)
    axis.legend(frameon=False, fontsize=8.5, loc="best")
    axis.set_title(title, fontsize=11, loc="left", color=_INK)
    _draw_watched(below, lines, axis.get_xticks(), horizon)
    since = "first day" if not found.from_day else f"landmark on day {found.from_day}"
    below.set_xlabel(f"days after the {since}; left: {found.away_after_days} days without an event", fontsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a picture; the ending of the name (svg, png, pdf) says how.

    Raises:
        InputError: for an ending that is none of them.
    """
    from covey.errors import InputError

    if path.suffix.lower() not in {".svg", ".png", ".pdf"}:
        raise InputError(f"'{path.name}' is no picture", expected="a name that ends in .svg, .png or .pdf")
    figure.savefig(path, dpi=150)


def _draw_curve(axis: Axes, line: GroupCurve, number: int) -> None:
    curve = line.curve
    days = np.concatenate([[0.0], curve.durations, [curve.longest]])

    def stepped(values: np.ndarray) -> np.ndarray:
        return np.concatenate([[1.0], values, values[-1:] if len(values) else [1.0]])

    colour = _COLOURS[number]
    axis.fill_between(days, stepped(curve.low), stepped(curve.high), step="post", color=colour, alpha=0.15, linewidth=0)
    label = f"{line.group} ({line.learner_count:,})"
    axis.step(days, stepped(curve.survival), where="post", color=colour, linestyle=_STYLES[number], linewidth=1.8,
              label=label)  # fmt: skip


def _draw_watched(axis: Axes, lines: list[GroupCurve], ticks: np.ndarray, horizon: float) -> None:
    for number, line in enumerate(lines):
        y = len(lines) - number
        for tick in ticks:
            if 0 <= tick <= horizon:
                watched = int(line.watched[int(tick)]) if tick < len(line.watched) else 0
                axis.text(tick, y, f"{watched:,}", ha="center", va="center", fontsize=7.5, color=_COLOURS[number])
    axis.text(0, len(lines) + 1.0, "learners watched and not yet gone", fontsize=7.5, color=_QUIET, va="center")
    axis.set_ylim(0.4, len(lines) + 1.4)
    axis.set_yticks([])
    for side in ("top", "left", "right"):
        axis.spines[side].set_visible(False)


def _has_few(table: RetentionTable) -> bool:
    return any(cell.verdict is CellVerdict.few for row in table.rows for cell in row.cells)
