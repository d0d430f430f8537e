"""What was tried and what it brought, drawn: the objective along each constant, the gain of each fold, segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from covey.parameters import TRAIT_NAMES
from covey.tune.configuration import ranges
from covey.tune.search import Gain, Tuned
from covey.tune.segments import SegmentTuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _QUIET, _BLUE, _ORANGE = "#1f2933", "#6b7280", "#0072b2", "#d55e00"
_COLUMNS = 4
MOST_SEGMENTS = 24


def search_picture(found: Tuned, title: str) -> Figure:
    """The objective over the cube: the score of every configuration tried, along each constant that was turned.

    These are scores of inner folds, among which the best was chosen: it is too good by luck. The last picture has them
    in the order in which they were tried.
    """
    from matplotlib.figure import Figure

    values = {name: own for name, own in _constants(found).items() if len(set(own)) > 1}
    scores = np.array([score for _, score in found.tried])
    best = next(place for place, (own, _) in enumerate(found.tried) if own == found.best)
    rows = -(-(len(values) + 1) // _COLUMNS)
    figure = Figure(figsize=(10.4, 0.75 + 2.05 * rows), layout="constrained")
    grid = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False)
    for axes, (name, own) in zip(grid.flat, values.items(), strict=False):
        axes.scatter(own, scores, s=15, color=_BLUE, alpha=0.5, linewidth=0)
        _mark(axes, own[0], scores[0], own[best], scores[best])
        if ranges().get(name, (0, 0, False))[2]:
            _logarithmic(axes, *ranges()[name][:2])
        axes.set_title(name.replace("_", " "), fontsize=8.5, loc="left", color=_INK)
    order = grid.flat[len(values)]
    order.scatter(range(len(scores)), scores, s=15, color=_BLUE, alpha=0.5, linewidth=0, label="tried")
    order.step(range(len(scores)), np.maximum.accumulate(scores), color=_QUIET, linewidth=1, where="post",
               label="best so far")  # fmt: skip
    _mark(order, 0, scores[0], best, scores[best])
    order.set_title("in the order of the search", fontsize=8.5, loc="left", color=_INK)
    for axes in list(grid.flat)[len(values) + 1 :]:
        axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel(found.problem.unit, fontsize=8)
    for axes in grid.flat:
        _plain(axes)
    handles, labels = order.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8.5, ncols=4, loc="outside lower center")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=_INK)
    return figure


def gain_picture(found: Tuned, segments: Sequence[SegmentTuned] | None, title: str) -> Figure:
    """What tuning brought on held-out learners, with its limits; with segments what constants of their own bring.

    Args:
        found: for everybody.
        segments: where they were tried; the first 24 are drawn.
        title: above.
    """
    from matplotlib.figure import Figure

    own = [one for one in segments or () if one.gain is not None][:MOST_SEGMENTS]
    height = 2.6 if not own else 1.5 + max(1.1, 0.34 * len(own) + 0.5)
    figure = Figure(figsize=(9.4, max(2.6, height)), layout="constrained")
    parts = figure.subplots(1, 3 if own else 2, width_ratios=[1, 1.1, 1.4] if own else [1, 1.1], squeeze=False)[0]
    _folds(parts[0], found.gain, found.problem.unit)
    _everybody(parts[1], found.gain)
    if own:
        _segments(parts[2], own)
    for axes in parts:
        _plain(axes)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=_INK)
    return figure


def _folds(axes: Axes, gain: Gain, unit: str) -> None:
    for before, after in zip(gain.default, gain.tuned, strict=True):
        axes.plot([0, 1], [before, after], color=_BLUE if after >= before else _ORANGE, linewidth=1.1, marker="o",
                  markersize=4)  # fmt: skip
    axes.set_xlim(-0.25, 1.25)
    axes.set_xticks([0, 1], ["default", "tuned"])
    axes.set_ylabel(unit, fontsize=8)
    axes.set_title("Each fold, held-out learners", fontsize=9, loc="left", color=_INK)


def _everybody(axes: Axes, gain: Gain) -> None:
    folds = gain.tuned - gain.default
    axes.axvline(0, color=_QUIET, linewidth=1, linestyle=(0, (5, 3)))
    axes.scatter(folds, np.zeros(len(folds)), s=18, color=_QUIET, alpha=0.6, linewidth=0)
    axes.plot([gain.low, gain.high], [1, 1], color=_colour(gain.low, gain.high), linewidth=2)
    axes.plot([gain.mean], [1], color=_colour(gain.low, gain.high), marker="o", markersize=6)
    axes.set_ylim(-0.6, 1.6)
    axes.set_yticks([0, 1], ["folds", f"mean,\n{100 * gain.confidence:g} %"])
    axes.set_xlabel("gain", fontsize=8)
    told = f"Gain {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    axes.set_title(told, fontsize=9, loc="left", color=_INK)


def _segments(axes: Axes, segments: Sequence[SegmentTuned]) -> None:
    """Limits are each segment's alone; whether its gain survives all of them is what its colour says."""
    axes.axvline(0, color=_QUIET, linewidth=1, linestyle=(0, (5, 3)))
    for place, own in enumerate(segments):
        assert own.gain is not None
        colour = _BLUE if own.best is not None else _QUIET
        axes.plot([own.gain.low, own.gain.high], [place, place], color=colour, linewidth=2)
        axes.plot([own.gain.mean], [place], color=colour, marker="o", markersize=5)
    axes.set_ylim(len(segments) - 0.4, -0.6)
    axes.set_yticks(range(len(segments)), [f"{own.name}, p = {own.adjusted_p:.2g}" for own in segments])
    axes.set_xlabel("gain over everybody's constants", fontsize=8)
    kept = sum(own.best is not None for own in segments)
    axes.set_title(f"Own constants: {kept} of {len(segments)} survive Holm", fontsize=9, loc="left",
                   color=_INK)  # fmt: skip


def _constants(found: Tuned) -> dict[str, list[float]]:
    """Each constant's values over what was tried, by name."""
    tried = [own for own, _ in found.tried]
    given = {name: [float(getattr(own.parameters, name)) for own in tried] for name in ranges()}
    weights = {f"weight of {name}": [own.weights[place] for own in tried] for place, name in enumerate(TRAIT_NAMES)}
    return {**given, **weights, "number of cohorts": [float(own.k) for own in tried]}


def _mark(axes: Axes, default_at: float, default: float, best_at: float, best: float) -> None:
    axes.plot([default_at], [default], color=_INK, marker="D", markersize=5, linestyle="none", label="default")
    axes.plot([best_at], [best], color=_ORANGE, marker="o", markersize=6, linestyle="none", label="chosen")


def _logarithmic(axes: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(low / 1.1, high * 1.1)
    axes.xaxis.set_major_locator(FixedLocator([low, float(f"{(low * high) ** 0.5:.1g}"), high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _colour(low: float, high: float) -> str:
    return _BLUE if low > 0 else _ORANGE if high < 0 else _QUIET
