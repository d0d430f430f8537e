"""Pictures of cohorts with matplotlib: what kinds there are, and how they share a figure."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from covey.errors import InputError
from covey.notebook import panels
from covey.notebook.separation import separation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from covey.cohorts import Cohorts
    from covey.retention import Retention

PlotKind = Literal["overview", "profiles", "sizes", "separation"]

_WIDTH_INCHES = 10.0
_PROFILES_ABREAST = 5
_PROFILE_INCHES = 1.75
_HEADER_INCHES = 0.4
_BAR_INCHES = 0.32
_SEPARATION_INCHES = 3.4
_STYLE: dict[str, Any] = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "axes.labelsize": 8.5,
    "xtick.labelsize": 8, "ytick.labelsize": 8.5, "legend.frameon": False, "legend.fontsize": 8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": panels.QUIET, "axes.axisbelow": True,
    "xtick.color": panels.INK, "ytick.color": panels.INK, "axes.labelcolor": panels.INK, "text.color": panels.INK,
    "grid.color": panels.GRID, "grid.linewidth": 0.7, "text.parse_math": False,
}  # fmt: skip


class Plot(Figure):
    """A matplotlib figure that a notebook shows by itself, without pyplot and its global state.

    All that figures do, it does: `plot.savefig("cohorts.svg")`, `plot.axes`.
    """

    def _repr_png_(self) -> bytes:
        target = io.BytesIO()
        self.savefig(target, format="png", dpi=90, facecolor="white")
        return target.getvalue()


def plot(cohorts: Cohorts, kind: PlotKind) -> Plot:
    """See `Cohorts.plot`."""
    drawers: dict[str, Callable[[Cohorts], Plot]] = {
        "overview": _overview,
        "profiles": _profiles,
        "sizes": _sizes,
        "separation": _separation,
    }
    if kind not in drawers:
        raise InputError(f"there is no plot '{kind}'", expected=", ".join(get_args(PlotKind)))
    settings: Any = _STYLE
    with mpl.rc_context(settings):
        figure = drawers[kind](cohorts)
        # Laid out while the style is in force: text is measured with its sizes.
        figure.draw_without_rendering()
    return figure


def retention_plot(found: Retention, kind: Literal["triangle", "curves"]) -> Plot:
    """See `covey.retention.Retention.plot`."""
    from covey.retention import pictures

    grouped = {"start": f"by {found.period} of the first event", "none": "of all learners"}
    by = grouped.get(found.by, f"by {found.by} of the first {found.landmark_days} days")
    settings: Any = _STYLE
    with mpl.rc_context(settings):
        if kind == "triangle":
            figure = pictures.triangle(found.table, f"Retention {by}", Plot)
        elif kind != "curves":
            raise InputError(f"there is no plot '{kind}'", expected="triangle or curves")
        elif found.curves is None:
            raise InputError(f"there are no curves: {found.curves_problem}", remedy="choose a smaller away_after_days")
        else:
            figure = pictures.survival(found.curves, f"How long learners stay, {by}", Plot)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    assert isinstance(figure, Plot)
    return figure


def _figure(height_inches: float) -> Plot:
    figure = Plot(figsize=(_WIDTH_INCHES, height_inches), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _profile_rows(cohorts: Cohorts) -> int:
    return -(-len(cohorts) // _PROFILES_ABREAST)


def _profile_inches(cohorts: Cohorts) -> float:
    return _HEADER_INCHES + _PROFILE_INCHES * _profile_rows(cohorts)


def _size_inches(cohorts: Cohorts) -> float:
    return 1.2 + _BAR_INCHES * len(cohorts)


def _profiles(cohorts: Cohorts) -> Plot:
    figure = _figure(_profile_inches(cohorts))
    _draw_profiles(figure, cohorts)
    return figure


def _sizes(cohorts: Cohorts) -> Plot:
    figure = _figure(_size_inches(cohorts))
    panels.draw_sizes(figure.subplots(), cohorts)
    return figure


def _separation(cohorts: Cohorts) -> Plot:
    figure = _figure(_SEPARATION_INCHES)
    _draw_separation(figure, cohorts)
    return figure


def _overview(cohorts: Cohorts) -> Plot:
    heights = [_profile_inches(cohorts), max(_size_inches(cohorts), _SEPARATION_INCHES)]
    figure = _figure(sum(heights))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights).flat
    left, right = below.subfigures(1, 2, squeeze=False, width_ratios=(1, 2.1)).flat
    _draw_profiles(above, cohorts)
    panels.draw_sizes(left.subplots(), cohorts)
    _draw_separation(right, cohorts, by_k=False)
    return figure


def _draw_profiles(figure: Any, cohorts: Cohorts) -> None:
    columns = -(-len(cohorts) // _profile_rows(cohorts))
    grid = figure.subplots(_profile_rows(cohorts), columns, sharex=True, sharey=True, squeeze=False)
    axes: list[Axes] = list(grid.flat)
    for index, axis in enumerate(axes):
        if index < len(cohorts):
            panels.draw_profile(axis, cohorts, index)
            # The last of its column says what the axis is, though the last row may be short.
            axis.tick_params(labelbottom=index + columns >= len(cohorts))
        else:
            axis.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))


def _draw_separation(figure: Any, cohorts: Cohorts, *, by_k: bool = True) -> None:
    found = separation(cohorts)
    compared = by_k and len(cohorts.silhouette_by_k) > 1
    axes = figure.subplots(1, 3 if compared else 2, squeeze=False)[0]
    panels.draw_plane(axes[0], cohorts, found)
    panels.draw_silhouettes(axes[1], cohorts, found)
    if compared:
        panels.draw_choice(axes[2], cohorts)
