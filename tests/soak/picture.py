"""The picture of a soak: memory of each process over time, and the slope that was judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from covey.report.inks import BASELINE, CANDIDATE, GRID, INK, INKS, LIMIT, PAPER

from .judge import SLOPE_MEBIBYTES_PER_TEN_MINUTES, Samples, Verdict


def draw(samples: Sequence[Samples], verdicts: Sequence[Verdict], warm_up_seconds: float, path: Path) -> None:
    """Writes the picture.

    Args:
        samples: of each process.
        verdicts: of the same, in the same order.
        warm_up_seconds: what lies before it was not judged.
        path: ends in .svg or .png.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    text = {"font.size": 10, "text.color": _colour(INK), "axes.labelcolor": _colour(INK), "svg.hashsalt": "covey"}
    text |= {"xtick.color": _colour(INK), "ytick.color": _colour(INK), "axes.edgecolor": _colour(LIMIT)}
    with rc_context(text):
        figure = Figure(figsize=(8, 2.4 * len(samples) + 0.6), facecolor=_colour(PAPER), layout="constrained")
        axes = figure.subplots(len(samples), 1, sharex=True, squeeze=False)[:, 0]
        for axis, one, verdict in zip(axes, samples, verdicts, strict=True):
            minutes = np.asarray(one.seconds) / 60
            mebibytes = np.asarray(one.mebibytes)
            axis.plot(minutes, mebibytes, color=_colour(BASELINE), linewidth=0.8, label="resident")
            judged = minutes >= warm_up_seconds / 60
            middle_minutes, middle = float(np.median(minutes[judged])), float(np.median(mebibytes[judged]))
            line = middle + (minutes[judged] - middle_minutes) * verdict.slope_mebibytes / 10
            label = f"{verdict.slope_mebibytes:+.2f} MiB in 10 min; promised: below {SLOPE_MEBIBYTES_PER_TEN_MINUTES:g}"
            axis.plot(minutes[judged], line, color=_colour(CANDIDATE), linewidth=1.6, label=label)
            axis.axvspan(0, warm_up_seconds / 60, color=_colour(GRID), alpha=0.5, linewidth=0)
            axis.set_title(
                f"{one.process}: {one.rest_mebibytes:.0f} MiB at rest, {one.peak_mebibytes:.0f} at most", loc="left"
            )
            axis.set_ylabel("MiB")
            axis.grid(color=_colour(GRID), linewidth=0.6)
            axis.margins(x=0)
            axis.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, borderpad=0.1)
        axes[-1].set_xlabel("minutes under load; grey: warm-up, not judged")
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)


def _colour(ink: str) -> str:
    return INKS[ink][1]
