"""What was found, in sentences: the same on a terminal and in a report."""

from __future__ import annotations

import math

import numpy as np

from covey.evolve.answer import Answer
from covey.evolve.forecast import Forecast
from covey.evolve.schedule import Choice, Schedule
from covey.evolve.transitions import Dwell


def basis(answer: Answer) -> str:
    """What the answer rests on."""
    found = answer.snapshots
    away = "" if found.away_after_days is None else f" Away: no event in the {found.away_after_days} days before."
    cohorts = (
        "The cohorts are the same at all of them" if found.alignment is None else "Cohorts are found anew at each"
        " and matched by their centroids"
    )  # fmt: skip
    return (
        f"{len(found.learner_ids):,} learners at {len(found)} instants, {found.items[0].name} to "
        f"{found.items[-1].name}, {answer.moves.step_days:.0f} days apart. {cohorts}.{away}"
    )


def dwell_text(dwell: Dwell, step_days: float) -> str:
    """How long learners stay in a state."""
    half = dwell.curve.quantile(0.5) if dwell.run_count else math.nan
    if not dwell.run_count:
        return "nobody entered it"
    return "more than half stay on" if math.isnan(half) else f"{half * step_days:.0f} days"


def forecast_text(found: Forecast) -> str:
    """What the forecast is worth."""
    model, staying, _ = found.scores
    return (
        f"Next cohort: right for {100 * model.accuracy:.1f} % of {found.test_move_count:,} moves of the last "
        f"snapshots, not seen before; staying where one is, {100 * staying.accuracy:.1f} %: {found.verdict} "
        f"(by {100 * found.gain:+.1f} points, {100 * found.gain_low:+.1f} to {100 * found.gain_high:+.1f}). "
        f"Calibration error {model.calibration_error:.3f}."
    )


def schedule_text(choice: Choice, step_days: float) -> str:
    """Which schedule, why, and when another one would be cheaper."""
    best = choice.schedules[choice.chosen]
    ratio = choice.change_cost / choice.staleness_cost
    verdict = (
        f"Assign every {_days(best)}: the cheapest"
        if choice.is_decided
        else f"Not decidable yet: every {_days(best)} is the cheapest so far, but the limits of another reach below it"
    )
    bounds = [
        f"every {_days(often)} is cheaper than every {_days(seldom)} while a change costs less than {even:.2g} times "
        f"as much as a stale {step_days:.0f} days"
        for often, seldom, even in zip(choice.schedules, choice.schedules[1:], choice.break_even, strict=False)
        if not np.isnan(even)
    ]
    back = (
        f" {100 * choice.taken_back_share:.0f} % of the changes were taken back within four snapshots."
        if not np.isnan(choice.taken_back_share)
        else ""
    )
    told = f" ({'; '.join(bounds)})" if bounds else ""
    return f"{verdict}, where a change costs {ratio:.3g} times as much as a stale {step_days:.0f} days{told}.{back}"


def _days(schedule: Schedule) -> str:
    return f"{schedule.every_days:.0f} days"
