"""Whether playbooks help, drawn: effects with their intervals, and how the arms went on day by day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from covey.experiment import DecideBy, Verdict
from covey.interventions.planning import HELD_OUT, TREATED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from covey.experiment.results import Comparison
    from covey.interventions.days import ArmDays
    from covey.interventions.report import Measured

_INK, _QUIET, _GRID = "#1f2933", "#6b7280", "#d5dbe1"
# Okabe and Ito: told apart by every kind of eye; the styles of lines tell them apart in grey.
_STYLES = {HELD_OUT: ("#d55e00", (0, (5, 2)), "held out"), TREATED: ("#0072b2", "-", "treated")}
_VERDICTS = {
    Verdict.improved: ("#009e73", "it helps"),
    Verdict.harmed: ("#d55e00", "it harms"),
    Verdict.undecided: ("#4b5563", "not decidable yet"),
    Verdict.invalid: ("#6b7280", "INVALID: the split is not as planned"),
    Verdict.not_judged: ("#6b7280", "nothing to compare"),
}
_ROW_INCHES, _LONGEST_NAME = 0.72, 28


def effects(found: Sequence[Measured], title: str, made: type[Figure] | None = None) -> Figure:
    """A row per playbook: who came back and days with an event, treated less held out; thin: the reading that decides.

    Args:
        found: playbooks that could be measured.
        title: above it.
        made: another kind of figure, as notebooks have.
    """
    from matplotlib.figure import Figure

    figure = (made or Figure)(figsize=(9.4, 2.05 + _ROW_INCHES * len(found)), layout="constrained")
    back, days = figure.subplots(1, 2, sharey=True)
    for row, own in enumerate(found):
        colour, verdict = _verdict(own.comparison)
        _effect(back, own.comparison, row, 100.0, "points", colour, f": {verdict}")
        _effect(days, own.days_comparison, row, 1.0, "days", _INK, "")
    back.set_yticks(range(len(found)), labels=[_label(own) for own in found], fontsize=8.5)
    back.set_ylim(len(found) - 0.45, -0.65)
    for axis, name, unit in (
        (back, "Came back (decides)", "treated less held out, percentage points"),
        (days, "Days with an event", "treated less held out, days a learner"),
    ):
        axis.axvline(0.0, color=_QUIET, linewidth=1.0, zorder=0)
        axis.set_title(name, fontsize=10, loc="left", color=_INK)
        axis.set_xlabel(unit, fontsize=9)
        axis.grid(axis="x", color=_GRID, linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(length=0, labelsize=9)
        axis.margins(x=0.12)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    back.plot([], [], color=_INK, linewidth=1.4, label="95 % interval for any number of looks" if _is_usual(found) else
              "interval for any number of looks")  # fmt: skip
    back.plot([], [], color=_INK, linewidth=5.0, alpha=0.45, solid_capstyle="butt", label="for this look alone")
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=8.5)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=_INK)
    return figure


def day_curves(arms: Sequence[ArmDays], title: str, made: type[Figure] | None = None) -> Figure:
    """Share of each arm with an event on a day since the choice, and by the end of that day, with 95 % bands.

    Args:
        arms: held out and treated.
        title: above both.
        made: another kind of figure, as notebooks have.
    """
    from matplotlib.figure import Figure

    figure = (made or Figure)(figsize=(9.4, 4.3), layout="constrained")
    active, back = figure.subplots(1, 2)
    for own in arms:
        _curve(active, own, own.active, own.active_low, own.active_high)
        _curve(back, own, own.back, own.back_low, own.back_high)
    last = len(arms[0].active)
    for axis, name, top in (
        (active, "Active on the day", max(float(own.active_high.max()) for own in arms)),
        (back, "Came back by the end of the day", 1.0),
    ):
        axis.set_title(name, fontsize=10, loc="left", color=_INK)
        axis.set_xlabel("day since the learner was chosen", fontsize=9)
        axis.set_xlim(1, last)
        axis.set_ylim(0, min(1.0, 1.08 * top) if top < 1.0 else 1.02)
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axis.grid(axis="y", color=_GRID, linewidth=0.6)
        axis.tick_params(length=0, labelsize=9)
        axis.set_xticks([1, *range(7, last + 1, 7)] if last >= 7 else range(1, last + 1))
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    active.legend(frameon=False, fontsize=9, loc="best")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=_INK)
    return figure


def _effect(axis: Axes, one: Comparison, row: int, scale: float, unit: str, colour: str, verdict: str) -> None:
    if one.verdict is Verdict.invalid or one.effect is None:
        _say(axis, row, verdict.removeprefix(": "), colour)
        return
    _say(axis, row, f"{_words(one, scale, unit)}{verdict}", colour)
    always, fixed = one.reading(DecideBy.always_valid), one.reading(DecideBy.fixed)
    for reading, width, alpha in ((fixed, 5.0, 0.45), (always, 1.4, 1.0)):
        if reading.low is not None and reading.high is not None:
            ends = [scale * reading.low, scale * reading.high]
            axis.plot(ends, [row, row], color=colour, linewidth=width, alpha=alpha, solid_capstyle="butt")
    axis.plot([scale * one.effect], [row], color=colour, marker="o", markersize=6)


def _say(axis: Axes, row: int, words: str, colour: str) -> None:
    # At the edge of the axes, so that no effect however far out cuts it.
    axis.text(0.01, row - 0.24, words, transform=axis.get_yaxis_transform(), ha="left", va="center", fontsize=8.5,
              color=colour, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # fmt: skip


def _verdict(one: Comparison) -> tuple[str, str]:
    colour, word = _VERDICTS.get(one.verdict, (_INK, one.verdict.value))
    if one.verdict is Verdict.undecided and not one.reading(DecideBy.always_valid).is_valid:
        word = "too few learners yet"
    return colour, word


def _words(one: Comparison, scale: float, unit: str) -> str:
    always = one.reading(DecideBy.always_valid)
    ends = ""
    if always.low is not None and always.high is not None:
        ends = f" ({scale * always.low:+.1f} to {scale * always.high:+.1f})"
    return f"{scale * (one.effect or 0.0):+.1f} {unit}{ends}"


def _label(own: Measured) -> str:
    name = (
        own.playbook.name if len(own.playbook.name) <= _LONGEST_NAME else f"{own.playbook.name[: _LONGEST_NAME - 1]}…"
    )
    arms = ", ".join(f"{arm.learner_count:,} {_STYLES[arm.arm][2]}" for arm in own.arms)
    return f"{name}\nwithin {own.playbook.outcome_days} days\n{arms}"


def _curve(
    axis: Axes, own: ArmDays, share: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> None:
    colour, style, name = _STYLES[own.arm]
    day = np.arange(1, len(share) + 1)
    axis.fill_between(day, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.plot(day, share, color=colour, linestyle=style, linewidth=1.8, label=f"{name} ({own.learner_count:,})")


def _is_usual(found: Sequence[Measured]) -> bool:
    return all(own.effect.result.alpha == 0.05 for own in found)
