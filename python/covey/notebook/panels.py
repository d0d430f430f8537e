"""What each picture of cohorts draws into its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covey.notebook.html import SHORT_TRAIT_NAMES
from covey.notebook.separation import Separation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from covey.cohorts import Cohorts

INK, QUIET, GRID = "#1f2933", "#8a949e", "#e3e7eb"
# Neighbours differ in hue and lightness; the numbers beside them carry the meaning without colour.
COLOURS = (
    "#1b66a8", "#c2500a", "#0b7a53", "#7a4fa3", "#b8860b", "#0a8ea0",
    "#b3261e", "#5b6b7a", "#6c9a1f", "#d0659b", "#3b3f8f", "#8c5a3c",
)  # fmt: skip
_SPREAD = (0.1, 0.9)
_SMALLEST_DOT, _LARGEST_DOT = 2.0, 12.0


def colour(index: int) -> str:
    """Of the cohort of that number, in every picture."""
    return COLOURS[index % len(COLOURS)]


def title(cohorts: Cohorts, index: int) -> str:
    """Number, name and share, such as "2 Fast Learner, 20 %"."""
    row = cohorts.model.cohorts[index]
    return f"{index} {row.archetype}, {100 * row.share:.0f} %"


def draw_profile(axis: Axes, cohorts: Cohorts, index: int) -> None:
    """The five traits of one cohort: mean, the middle 80 % of its learners, and the mean of all learners."""
    matrix = cohorts.traits.matrix
    low, high = np.quantile(matrix[:, cohorts.labels == index], _SPREAD, axis=1)
    everyone = matrix.mean(axis=1, dtype=np.float64)
    places = np.arange(len(matrix))
    axis.hlines(places, low, high, color=colour(index), alpha=0.3, linewidth=5, label="80 % of the cohort")
    axis.plot(cohorts.mean_traits[index], places, "o", color=colour(index), markersize=5, label="its mean")
    axis.plot(everyone, places, "|", color=INK, markersize=11, markeredgewidth=1.4, label="mean of all learners")
    axis.set_yticks(places, labels=SHORT_TRAIT_NAMES)
    axis.set_ylim(len(matrix) - 0.5, -0.5)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xticks((0, 0.5, 1), labels=("0", "0.5", "1"))
    axis.grid(axis="x")
    axis.tick_params(length=0)
    axis.set_title(title(cohorts, index), fontsize=8.5)


def draw_sizes(axis: Axes, cohorts: Cohorts) -> None:
    """A bar per cohort, with its learners."""
    places = range(len(cohorts))
    axis.barh(places, cohorts.sizes, color=[colour(index) for index in places], height=0.7)
    axis.set_yticks(places, labels=[f"{index} {name}" for index, name in enumerate(cohorts.archetypes)])
    axis.set_ylim(len(cohorts) - 0.4, -0.6)
    largest = max(cohorts.sizes)
    for place, row in zip(places, cohorts.model.cohorts, strict=True):
        axis.text(row.size + 0.02 * largest, place, f"{row.size:,}", va="center", fontsize=8)
    axis.set_xlim(0, 1.22 * largest)
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(length=0)
    axis.set_title(f"{len(cohorts.traits):,} learners")


def draw_plane(axis: Axes, cohorts: Cohorts, found: Separation) -> None:
    """A dot per learner of the sample in the plane of the greatest variance, a number at each centroid."""
    size = float(np.clip(12_000 / len(found.labels), _SMALLEST_DOT, _LARGEST_DOT))
    colours = np.array([colour(index) for index in range(len(cohorts))])[found.labels]
    # In the order of the sample, which hashes drew: no cohort lies on top of another as a whole.
    axis.scatter(found.plane[:, 0], found.plane[:, 1], s=size, c=colours, alpha=0.45, linewidths=0, rasterized=True)
    for index, (across, up) in enumerate(found.centroids):
        axis.text(
            across, up, str(index), ha="center", va="center", fontsize=8.5, fontweight="bold", color="white",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": colour(index), "edgecolor": "white"},
        )  # fmt: skip
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(f"first principal direction, {found.explained[0]:.0%} of the variance")
    axis.set_ylabel(f"second, {found.explained[1]:.0%}")
    axis.set_title("Where learners lie")


def draw_silhouettes(axis: Axes, cohorts: Cohorts, found: Separation) -> None:
    """Each learner's silhouette, sorted within the cohort: a blade below 0 would be better off elsewhere."""
    axis.set_title("How well learners fit")
    axis.set_yticks([])
    if found.silhouettes is None:
        axis.text(0.5, 0.5, "one cohort: nothing to compare", ha="center", va="center", transform=axis.transAxes)
        axis.set_xticks([])
        return
    gap = max(1, len(found.labels) // 60)
    start = 0
    for index in range(len(cohorts)):
        blade = np.sort(found.silhouettes[found.labels == index])[::-1]
        if len(blade) == 0:
            continue
        places = np.arange(start, start + len(blade))
        axis.fill_betweenx(places, 0, blade, color=colour(index), alpha=0.75, linewidth=0, step="mid")
        axis.text(-0.03, start + len(blade) / 2, str(index), ha="right", va="center", fontsize=8.5, color=colour(index),
                  transform=axis.get_yaxis_transform(), fontweight="bold", clip_on=False)  # fmt: skip
        start += len(blade) + gap
    mean = float(found.silhouettes.mean())
    axis.axvline(mean, color=INK, linewidth=1, linestyle=(0, (5, 3)))
    axis.axvline(0, color=QUIET, linewidth=0.8)
    axis.set_title(f"How well learners fit: {mean:.2f} on average")
    axis.set_ylim(start - gap, 0)
    axis.set_xlabel("silhouette of each learner")
    axis.grid(axis="x")


def draw_choice(axis: Axes, cohorts: Cohorts) -> None:
    """What `k="auto"` compared, and what it took."""
    ks, values = list(cohorts.silhouette_by_k), list(cohorts.silhouette_by_k.values())
    axis.plot(ks, values, "o-", color=QUIET, markersize=4, linewidth=1.2)
    taken = len(cohorts)
    if taken in cohorts.silhouette_by_k:
        axis.plot([taken], [cohorts.silhouette_by_k[taken]], "o", color=COLOURS[1], markersize=8)
    axis.set_xticks(ks)
    axis.set_xlabel("number of cohorts")
    axis.set_title("Mean silhouette by k")
    axis.grid(axis="y")
