"""Groups against groups by chance, and neighbours who talked, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covey.together.groups import Groups
from covey.together.space import ARCHETYPE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _QUIET = "#1f2933", "#6b7280"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8960c", "#56b4e9", "#7a4fa3", "#8c564b")
MOST_GROUPS = 40


def groups_picture(found: Groups, title: str) -> Figure:
    """Each group's spread against chance and bound; where archetypes are known, who is in each group.

    The first forty groups are drawn.
    """
    from matplotlib.figure import Figure

    placed = found.labels >= 0
    labels = found.labels[placed]
    points = found.space.points[:, placed].astype(np.float64)
    sizes = np.bincount(labels)
    means = np.stack([np.bincount(labels, row) for row in points]) / sizes
    squared = ((points - means[:, labels]) ** 2).sum(axis=0)
    spread = np.sqrt(np.bincount(labels, squared) / sizes)[:MOST_GROUPS]
    mix = found.space.attributes.get(found.wanted.mix_by or ARCHETYPE)
    figure = Figure(figsize=(7.6, 2.9 + 2.4 * (mix is not None)), layout="constrained")
    axes = figure.subplots(2 if mix is not None else 1, 1, sharex=True, squeeze=False)[:, 0]
    top = axes[0]
    quality = found.quality.spread
    top.scatter(range(len(spread)), spread, color=_COLOURS[0], s=22, zorder=3, label="each group")
    top.axhline(quality.value, color=_COLOURS[0], linewidth=1.4, label="all groups")
    top.axhspan(quality.chance_low, quality.chance_high, color=_QUIET, alpha=0.35, linewidth=0, label="by chance, 95 %")
    if quality.bound is not None:
        top.axhline(quality.bound, color=_INK, linewidth=1, linestyle=(0, (5, 3)), label="all cannot be below")
    top.set_ylim(0, 1.25 * max(float(spread.max()), quality.chance_high))
    top.set_ylabel("distance to\nthe group's mean", fontsize=8.5)
    top.legend(frameon=False, fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    if mix is not None:
        _draw_shares(axes[1], found, labels, mix.codes[placed], mix.names)
    axes[-1].set_xlabel("group", fontsize=8.5)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    for axis in axes:
        axis.tick_params(labelsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.suptitle(title, fontsize=11, x=0.02, ha="left", color=_INK)
    return figure


def _draw_shares(axis: Axes, found: Groups, labels: np.ndarray, codes: np.ndarray, names: tuple[str, ...]) -> None:
    count = min(len(found), MOST_GROUPS)
    low = np.zeros(count)
    sizes = np.bincount(labels)[:count]
    for code in range(-1, len(names)):
        share = np.bincount(labels[codes == code], minlength=len(found))[:count] / sizes
        if not share.any():
            continue
        name, colour = (names[code], _COLOURS[code % len(_COLOURS)]) if code >= 0 else ("unknown", "#c9ced4")
        axis.bar(range(count), share, bottom=low, color=colour, width=0.85, linewidth=0, label=name)
        low += share
    axis.set_ylim(0, 1)
    axis.set_ylabel("part of the group", fontsize=8.5)
    axis.legend(frameon=False, fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
