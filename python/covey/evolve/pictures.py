"""Flows of learners between cohorts, the matrix of their moves, and what a forecast is worth, drawn."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.evolve.forecast import Forecast
from covey.evolve.snapshots import AWAY, NOT_YET, Snapshots
from covey.evolve.transitions import Transitions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 12
_INK, _QUIET = "#1f2933", "#6b7280"
# Okabe and Ito first: told apart by every kind of eye. Names stand beside the first and the last column.
_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8960c", "#56b4e9",
    "#7a4fa3", "#8c564b", "#3b7a57", "#a33b53", "#4f6d7a", "#c9a227",
)  # fmt: skip
_AWAY_COLOUR, _NOT_YET_COLOUR = "#9aa3ad", "#e3e7eb"
_BAR = 0.09
_GAP = 0.012


def flows(found: Snapshots, title: str) -> Figure:
    """A column per snapshot, a bar per state as high as its learners, and ribbons where they went (alluvial diagram).

    At most twelve snapshots are drawn, evenly chosen; each ribbon is then a move over several of them.
    """
    from matplotlib.figure import Figure

    chosen = np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST_COLUMNS)).round().astype(int))
    items = [found.items[number] for number in chosen]
    order = [*range(len(found.lane_names)), AWAY, NOT_YET]
    figure = Figure(figsize=(2.6 + 1.05 * len(items), 5.4), layout="constrained")
    axis = figure.add_subplot()
    tops = [_tops(item.states, order) for item in items]
    for number, (before, after) in enumerate(pairwise(items)):
        _draw_ribbons(axis, number, before.states, after.states, order, tops[number], tops[number + 1])
    for number, item in enumerate(items):
        _draw_bars(axis, number, item.states, order, tops[number])
    names = {**dict(enumerate(found.lane_names)), AWAY: "away", NOT_YET: "not there yet"}
    for at, align, item, top in ((0, "right", items[0], tops[0]), (len(items) - 1, "left", items[-1], tops[-1])):
        offset = -_BAR if align == "right" else _BAR
        for state, y, height in _labels(item.states, order, top):
            axis.text(at + offset, y, f"{names[state]}  {100 * height:.0f} %", ha=align, va="center", fontsize=8.5,
                      color=_INK)  # fmt: skip
    axis.set_xticks(range(len(items)), labels=[item.name for item in items], fontsize=8.5)
    axis.set_xlim(-1.35, len(items) - 1 + 1.35)
    axis.set_ylim(_height(order) + 0.01, -0.01)
    axis.set_yticks([])
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    axis.set_title(f"{title}: {len(found.learner_ids):,} learners", fontsize=11, loc="left", color=_INK)
    return figure


def matrix(found: Transitions, title: str) -> Figure:
    """The transition matrix: a cell per pair of states, its share and limits."""
    from matplotlib.figure import Figure

    size = len(found.names)
    figure = Figure(figsize=(2.6 + 1.05 * size, 1.6 + 0.62 * size), layout="constrained")
    axis = figure.add_subplot()
    axis.pcolormesh(np.ma.masked_invalid(found.shares), cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=2)
    for row in range(size):
        for column in range(size):
            share = found.shares[row, column]
            if np.isnan(share):
                continue
            ink = "white" if share > 0.6 else _INK
            limits = f"{100 * found.low[row, column]:.1f} to {100 * found.high[row, column]:.1f}"
            axis.text(column + 0.5, row + 0.42, f"{100 * share:.1f} %", ha="center", va="center", color=ink, fontsize=9)
            axis.text(column + 0.5, row + 0.75, limits, ha="center", va="center", color=ink, fontsize=6.5)
    axis.set_xticks(np.arange(size) + 0.5, labels=[name.replace(" ", "\n") for name in found.names], fontsize=8.5)
    rows = [f"{name}\n({count:,} learners)" for name, count in zip(found.names, found.learner_counts, strict=True)]
    axis.set_yticks(np.arange(size) + 0.5, labels=rows, fontsize=8.5)
    axis.invert_yaxis()
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    axis.set_xlabel(
        f"where they are {found.step_days:.0f} days later; {100 * found.confidence:g} % limits that hold for all cells "
        "together",
        fontsize=8.5, color=_QUIET,
    )  # fmt: skip
    axis.set_title(title, fontsize=11, loc="left", color=_INK)
    return figure


def reliability(found: Forecast, title: str) -> Figure:
    """How often the likeliest state was right against how sure the model was, in ten bins of equal numbers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axis = figure.add_subplot()
    sure, right = (np.array(column) for column in zip(*((row[0], row[1]) for row in found.reliability), strict=True))
    low = max(0.0, min(float(sure.min()), float(right.min())) - 0.05)
    axis.plot([low, 1], [low, 1], color=_QUIET, linewidth=1, linestyle=(0, (5, 3)), label="as sure as it is right")
    axis.plot(sure, right, color=_COLOURS[0], marker="o", markersize=4, linewidth=1.6, label="on moves not seen before")
    axis.set_xlim(low, 1.0)
    axis.set_ylim(low, 1.0)
    axis.set_xlabel("how sure the model was", fontsize=9)
    axis.set_ylabel("how often it was right", fontsize=9)
    axis.legend(frameon=False, fontsize=8.5, loc="upper left")
    axis.set_title(title, fontsize=11, loc="left", color=_INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return figure


def _colour(state: int) -> str:
    if state == AWAY:
        return _AWAY_COLOUR
    return _NOT_YET_COLOUR if state == NOT_YET else _COLOURS[state % len(_COLOURS)]


def _height(order: list[int]) -> float:
    return 1.0 + _GAP * (len(order) - 1)


def _shares(states: NDArray[np.int64], order: list[int]) -> list[float]:
    return [float((states == state).mean()) for state in order]


def _tops(states: NDArray[np.int64], order: list[int]) -> dict[int, float]:
    tops, at = {}, 0.0
    for state, share in zip(order, _shares(states, order), strict=True):
        tops[state] = at
        at += share + (_GAP if share else 0.0)
    return tops


def _draw_bars(axis: Axes, at: int, states: NDArray[np.int64], order: list[int], tops: dict[int, float]) -> None:
    for state, share in zip(order, _shares(states, order), strict=True):
        if share:
            axis.bar(at, share, width=2 * _BAR * 0.8, bottom=tops[state], color=_colour(state), linewidth=0)


def _draw_ribbons(
    axis: Axes,
    at: int,
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    order: list[int],
    left: dict[int, float],
    right: dict[int, float],
) -> None:
    x = np.linspace(0.0, 1.0, 30)
    bend = x * x * (3 - 2 * x)
    left, right = dict(left), dict(right)
    for source in order:
        for target in order:
            share = float(((before == source) & (after == target)).mean())
            if not share:
                continue
            top = left[source] + (right[target] - left[source]) * bend
            xs = at + _BAR * 0.8 + x * (1 - 2 * _BAR * 0.8)
            alpha = 0.45 if source != NOT_YET else 0.7
            axis.fill_between(xs, top, top + share, color=_colour(source), alpha=alpha, linewidth=0)
            left[source] += share
            right[target] += share


def _labels(states: NDArray[np.int64], order: list[int], tops: dict[int, float]) -> list[tuple[int, float, float]]:
    """Labels of the states that are there, moved apart where bars are low."""
    least, found, last = 0.035, [], -1.0
    for state, share in zip(order, _shares(states, order), strict=True):
        if share:
            y = max(tops[state] + share / 2, last + least)
            found.append((state, y, share))
            last = y
    return found
