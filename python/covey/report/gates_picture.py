"""The picture of `covey gates verify`: how often a healthy candidate is rolled back, and what harm is found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from covey.report.inks import BAD, BASELINE, CANDIDATE, FOURTH, GOOD, GRID, INK, INKS, LIMIT, PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from covey.rollout.verify.judge import WorldResult
    from covey.rollout.verify.run import Verification

_FEWEST = 1e-4
_RULES = (
    ("any tick", "error > 1.5 % in any tick", "v", BAD),
    ("last 2 min", "error > 1.5 % for 2 min", "^", FOURTH),
    ("z-test", "z-test at 5 %, each tick", "s", BASELINE),
    ("trigger", "covey, alpha 1 %", "o", GOOD),
)


def draw(result: Verification, path: Path) -> None:
    """Writes the picture.

    Args:
        result: of a run, full or smoke.
        path: ends in .svg or .png.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colour = _colour
    text = {"font.size": 10, "text.color": colour(INK), "axes.labelcolor": colour(INK), "svg.hashsalt": "covey"}
    text |= {"xtick.color": colour(INK), "ytick.color": colour(INK), "axes.edgecolor": colour(LIMIT)}
    with rc_context(text):  # type: ignore[arg-type]
        figure = Figure(figsize=(11, 6.6), facecolor=colour(PAPER), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        _draw_false(left, result)
        _draw_power(right, result)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=110, metadata=metadata)


def _colour(ink: str) -> str:
    return INKS[ink][1]


def _draw_false(axis: Axes, result: Verification) -> None:
    worlds = [world for world in result.results if "trigger" in world.rates and world.world.is_healthy]
    rows = range(len(worlds))
    for rule, label, marker, ink in _RULES:
        shares = [max(world.rates[rule].share, _FEWEST) for world in worlds]
        axis.plot(shares, rows, linestyle="none", marker=marker, color=_colour(ink), label=label, markersize=6)
    axis.axvline(0.01, color=_colour(CANDIDATE), linewidth=1.2)
    axis.set_xscale("log")
    axis.set_xlim(_FEWEST * 0.8, 1.3)
    axis.set_xticks([1e-4, 1e-3, 1e-2, 1e-1, 1], labels=["≤ 0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
    axis.minorticks_off()
    axis.set_yticks(list(rows), labels=[world.world.name for world in worlds], fontsize=8)
    axis.set_ylim(len(worlds) - 0.4, -0.6)
    axis.grid(color=_colour(GRID), linewidth=0.6)
    axis.set_title("Healthy candidates that are rolled back", loc="left", fontsize=11)
    axis.legend(loc="upper center", bbox_to_anchor=(0.4, -0.05), ncols=2, frameon=False, fontsize=9)


def _draw_power(axis: Axes, result: Verification) -> None:
    styles = {25: ("o", BASELINE), 100: ("s", CANDIDATE), 1000: ("D", GOOD)}
    found = [world for world in result.results if "trigger" in world.rates and not world.world.is_healthy]
    for rc, (marker, ink) in styles.items():
        _draw_line(axis, [w for w in found if _is(w, rc, 0)], f"from the start, {rc} per look", marker, ink, "-")
        _draw_line(axis, [w for w in found if _is(w, rc, 120)], f"after 60 min, {rc} per look", marker, ink, ":")
    axis.set_xscale("log")
    axis.set_xticks([1.25, 1.5, 2, 3, 5, 10], labels=["1.25", "1.5", "2", "3", "5", "10"])
    axis.minorticks_off()
    axis.set_ylim(-0.02, 1.03)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    axis.set_xlabel("failures, as a multiple of 0.085 %")
    axis.grid(color=_colour(GRID), linewidth=0.6)
    axis.set_title("Harm found within 2 h", loc="left", fontsize=11)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=2, frameon=False, fontsize=9)


def _draw_line(axis: Axes, worlds: list[WorldResult], label: str, marker: str, ink: str, style: str) -> None:
    if not worlds:
        return
    ratios = [world.world.ratio for world in worlds]
    shares = [world.rates["trigger"].share for world in worlds]
    axis.plot(ratios, shares, marker=marker, color=_colour(ink), linestyle=style, label=label, markersize=5)


def _is(world: WorldResult, requests_per_tick: float, onset_tick: int) -> bool:
    return world.world.requests_per_tick == requests_per_tick and world.world.onset_tick == onset_tick
