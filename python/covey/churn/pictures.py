"""What a model is worth, drawn: forecast against frequency, and how many of those who leave are among the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covey.churn.metrics import Quality

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from covey.churn.features import Floats
    from covey.churn.metrics import Bools

_INK, _QUIET, _BLUE, _ORANGE = "#1f2933", "#6b7280", "#0072b2", "#d55e00"


def picture(found: Quality, left: Bools, probability: Floats, title: str) -> Figure:
    """Two pictures side by side: calibration in ten bins of equal numbers, and the curve of cumulative gains.

    Args:
        found: quality on the rows.
        left: bool, shape (rows,).
        probability: float64, shape (rows,).
        title: above both.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 4.4), layout="constrained")
    sure, gains = figure.subplots(1, 2)
    said, was = (np.array(column) for column in list(zip(*found.bins, strict=True))[:2])
    most = 1.08 * max(float(said.max()), float(was.max()))
    sure.plot([0, most], [0, most], color=_QUIET, linewidth=1, linestyle=(0, (5, 3)), label="what is said happens")
    sure.plot(said, was, color=_BLUE, marker="o", markersize=4, linewidth=1.6, label="a tenth of the rows each")
    sure.set_xlim(0, most)
    sure.set_ylim(0, most)
    sure.set_xlabel("forecast", fontsize=9)
    sure.set_ylabel("share that left", fontsize=9)
    sure.set_title(f"Calibration: mean distance {found.calibration_error:.3f}", fontsize=9.5, loc="left", color=_INK)
    sure.legend(frameon=False, fontsize=8.5, loc="upper left")
    order = np.argsort(-probability, kind="stable")
    caught = np.concatenate([[0.0], np.cumsum(left[order]) / max(int(left.sum()), 1)])
    asked = np.linspace(0, 1, len(caught))
    gains.plot([0, 1], [0, 1], color=_QUIET, linewidth=1, linestyle=(0, (5, 3)), label="by chance")
    gains.plot(asked, caught, color=_BLUE, linewidth=1.6, label="by score")
    tenth = float(np.interp(0.1, asked, caught))
    gains.plot([0.1], [tenth], color=_ORANGE, marker="o", markersize=6)
    gains.annotate(
        f"the first tenth: {100 * tenth:.0f} % of those who leave", (0.1, tenth), (0.17, tenth - 0.05), fontsize=8.5,
        color=_INK,
    )  # fmt: skip
    gains.set_xlim(0, 1)
    gains.set_ylim(0, 1.02)
    gains.set_xlabel("share of the rows, highest scores first", fontsize=9)
    gains.set_ylabel("share of those who left", fontsize=9)
    limits = f"{found.auc:.3f} ({found.auc_low:.3f} to {found.auc_high:.3f})"
    gains.set_title(f"Gains: area under the ROC curve {limits}", fontsize=9.5, loc="left", color=_INK)
    gains.legend(frameon=False, fontsize=8.5, loc="lower right")
    for axis in (sure, gains):
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=_INK)
    return figure
